"""A message knows where in the conversation its turn is, so that the answer to an old one is found as fast as that to the last."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_PAGE = 1000
_NEXT = sa.text("SELECT id, data FROM events WHERE id > :after AND type_name = 'user' ORDER BY id LIMIT :page")
_PUT = sa.text("UPDATE messages SET turn_seq = :seq WHERE message_id = :message_id")


def upgrade() -> None:
    """Add it; of turns that are in the record it is where the customer's words stand."""
    op.add_column("messages", sa.Column("turn_seq", sa.Integer(), nullable=True))
    connection, after = op.get_bind(), 0
    while rows := connection.execute(_NEXT, {"after": after, "page": _PAGE}).all():
        after = rows[-1].id
        said = [{"seq": row.id, "message_id": json.loads(row.data).get("message_id")} for row in rows]
        if known := [one for one in said if one["message_id"] is not None]:
            connection.execute(_PUT, known)


def downgrade() -> None:
    """Take it away."""
    op.drop_column("messages", "turn_seq")
