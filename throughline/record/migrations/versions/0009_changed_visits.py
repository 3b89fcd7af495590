"""Visits are moved and cancelled and know their place; cases are of a kind, and may be due at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table. Of visits that are there already the place is not known; every case so far was about a repair."""
    op.add_column("calendar_visits", sa.Column("place", sa.String(255)))
    op.add_column("calendar_visits", sa.Column("cancelled_at", sa.DateTime(timezone=True)))
    op.create_table(
        "calendar_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("visit_id", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("idempotency_key", sa.String(255), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["visit_id"], ["calendar_visits.visit_id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("idempotency_key"),
    )
    op.create_index("ix_calendar_changes_visit_id", "calendar_changes", ["visit_id"])
    op.add_column("crm_cases", sa.Column("kind", sa.String(64), nullable=False, server_default="repair"))
    op.add_column("crm_cases", sa.Column("due_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """As it was: a visit that was cancelled is none any more."""
    op.drop_column("crm_cases", "due_at")
    op.drop_column("crm_cases", "kind")
    op.drop_index("ix_calendar_changes_visit_id", table_name="calendar_changes")
    op.drop_table("calendar_changes")
    op.execute("DELETE FROM calendar_visits WHERE cancelled_at IS NOT NULL")
    op.drop_column("calendar_visits", "cancelled_at")
    op.drop_column("calendar_visits", "place")
