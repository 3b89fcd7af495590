"""Visits can be moved and cancelled, each change once; a case says of what kind it is, and when somebody waits for an answer."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """All cases so far were about repairs."""
    op.add_column("calendar_visits", sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("calendar_visits", sa.Column("changed_by", sa.String(length=64), nullable=True))
    op.add_column("crm_cases", sa.Column("kind", sa.String(length=64), nullable=False, server_default="repair"))
    op.add_column("crm_cases", sa.Column("due_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Cancelled visits go, or they would count again."""
    op.execute("DELETE FROM calendar_visits WHERE cancelled_at IS NOT NULL")
    op.drop_column("crm_cases", "due_at")
    op.drop_column("crm_cases", "kind")
    op.drop_column("calendar_visits", "changed_by")
    op.drop_column("calendar_visits", "cancelled_at")
