"""Links that are sent to a telephone or an e-mail address and open the conversation they were sent from."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make their table."""
    op.create_table(
        "links",
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("contact_id", sa.String(255), nullable=False),
        sa.Column("session_id", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("address", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True)),
        sa.Column("used_by_session", sa.String(255)),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.contact_id"]),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"]),
        sa.ForeignKeyConstraint(["used_by_session"], ["sessions.session_id"]),
        sa.PrimaryKeyConstraint("token_sha256"),
    )
    op.create_index("ix_links_contact_id", "links", ["contact_id"])
    op.create_index("ix_links_session_id_created_at", "links", ["session_id", "created_at"])
    op.create_index("ix_links_address_created_at", "links", ["address", "created_at"])
    op.create_index("ix_links_used_by_session", "links", ["used_by_session"])


def downgrade() -> None:
    """Drop it: links that were sent open nothing any more."""
    op.drop_table("links")
