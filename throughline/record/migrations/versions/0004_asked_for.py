"""What a turn has asked the server for is kept with its message until it is carried out."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it."""
    op.add_column("messages", sa.Column("asked_for", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take it away: what was asked for and not carried out is forgotten."""
    op.drop_column("messages", "asked_for")
