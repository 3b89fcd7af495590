"""How long each stage of a turn on the phone took is kept with its message."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Of earlier turns the stages are not known."""
    op.add_column("messages", sa.Column("timing", sa.Text()))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("messages", "timing")
