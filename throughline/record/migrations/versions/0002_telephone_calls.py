"""Calls of a telephone line, and the signed requests that announce them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both tables, and the call that a call token was given to."""
    op.create_table(
        "phone_calls",
        sa.Column("call_sid", sa.String(length=255), nullable=False),
        sa.Column("caller", sa.String(length=255), nullable=False),
        sa.Column("attestation", sa.String(length=64), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("connected_step", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.String(length=255), nullable=True),
        sa.Column("announced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"]),
        sa.PrimaryKeyConstraint("call_sid"),
    )
    op.create_index(op.f("ix_phone_calls_caller"), "phone_calls", ["caller"], unique=False)
    op.create_table(
        "processed_requests",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.add_column("call_tokens", sa.Column("call_sid", sa.String(length=255), nullable=True))
    op.create_index(op.f("ix_call_tokens_call_sid"), "call_tokens", ["call_sid"], unique=False)


def downgrade() -> None:
    """Take them away."""
    op.drop_index(op.f("ix_call_tokens_call_sid"), table_name="call_tokens")
    op.drop_column("call_tokens", "call_sid")
    op.drop_table("processed_requests")
    op.drop_index(op.f("ix_phone_calls_caller"), table_name="phone_calls")
    op.drop_table("phone_calls")
