"""Visits to us, visits of technicians and open codes are found by their time, however many there have been before."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_OPEN = sa.text("open_digest IS NOT NULL")


def upgrade() -> None:
    """Make the indexes, in place of those that are their beginning."""
    op.create_index("ix_sessions_contact_id_started_at", "sessions", ["contact_id", "started_at"])
    op.drop_index("ix_sessions_contact_id", table_name="sessions")
    op.create_index("ix_calendar_visits_technician_ends_at", "calendar_visits", ["technician", "ends_at"])
    op.drop_index("ix_calendar_visits_technician", table_name="calendar_visits")
    op.create_index("ix_codes_open_expires_at", "codes", ["expires_at"], sqlite_where=_OPEN, postgresql_where=_OPEN)


def downgrade() -> None:
    """As it was."""
    op.drop_index("ix_codes_open_expires_at", table_name="codes")
    op.create_index("ix_calendar_visits_technician", "calendar_visits", ["technician"])
    op.drop_index("ix_calendar_visits_technician_ends_at", table_name="calendar_visits")
    op.create_index("ix_sessions_contact_id", "sessions", ["contact_id"])
    op.drop_index("ix_sessions_contact_id_started_at", table_name="sessions")
