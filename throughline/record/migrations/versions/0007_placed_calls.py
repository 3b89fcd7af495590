"""Calls that we place."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add their table."""
    op.create_table(
        "placed_calls",
        sa.Column("placed_id", sa.String(length=255), nullable=False),
        sa.Column("contact_id", sa.String(length=255), nullable=False),
        sa.Column("session_id", sa.String(length=255), nullable=False),
        sa.Column("number", sa.String(length=255), nullable=False),
        sa.Column("call_sid", sa.String(length=255), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.contact_id"]),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"]),
        sa.PrimaryKeyConstraint("placed_id"),
        sa.UniqueConstraint("call_sid"),
    )
    op.create_index(op.f("ix_placed_calls_contact_id"), "placed_calls", ["contact_id"], unique=False)
    op.create_index(op.f("ix_placed_calls_session_id"), "placed_calls", ["session_id"], unique=False)
    op.create_index(op.f("ix_placed_calls_placed_at"), "placed_calls", ["placed_at"], unique=False)
    op.create_index("ix_placed_calls_number_placed_at", "placed_calls", ["number", "placed_at"], unique=False)


def downgrade() -> None:
    """Take it away: that we have called somebody is forgotten."""
    op.drop_table("placed_calls")
