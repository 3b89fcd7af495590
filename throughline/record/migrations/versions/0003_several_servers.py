"""What several servers need, and what is known of who somebody is: fences, attempts, times of proof, failed tries one by one."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("finished_at IS NULL")

# Every column that names another table's row: without them a person could not be erased without reading whole tables.
_INDEXES = (
    ("addresses", "contact_id"),
    ("chat_tokens", "session_id"),
    ("codes", "contact_id"),
    ("codes", "used_by_session"),
    ("call_tokens", "contact_id"),
    ("call_tokens", "chat_session_id"),
    ("phone_calls", "session_id"),
    ("messages", "contact_id"),
    ("messages", "session_id"),
    ("heard", "session_id"),
    ("handoffs", "session_id"),
    ("outcomes", "session_id"),
    ("merges", "into_contact_id"),
    ("merges", "session_id"),
    ("audit_log", "session_id"),
)


def upgrade() -> None:
    """Add them; failed tries, which were counted for each session, become rows of their own with the session's time."""
    op.add_column("contacts", sa.Column("fence", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("messages", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.drop_index(op.f("ix_messages_finished_at"), table_name="messages")
    op.create_index(
        "ix_messages_unfinished",
        "messages",
        ["contact_id", "id"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    op.add_column("addresses", sa.Column("proved_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE addresses SET proved_at = created_at")
    with op.batch_alter_table("addresses") as batch:
        batch.alter_column("proved_at", existing_type=sa.DateTime(timezone=True), nullable=False)
    op.add_column("sessions", sa.Column("assurance_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sessions", sa.Column("assurance_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sessions", sa.Column("caller_digest", sa.String(length=64), nullable=True))
    op.add_column("sessions", sa.Column("caller_vouched", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("merges", sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "failed_tries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.String(length=255), nullable=False),
        sa.Column("caller_digest", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_failed_tries_session_id", "failed_tries", ["session_id"], unique=False)
    op.create_index("ix_failed_tries_caller_digest_at", "failed_tries", ["caller_digest", "at"], unique=False)
    op.create_index("ix_failed_tries_at", "failed_tries", ["at"], unique=False)
    _one_by_one()
    op.drop_table("code_tries")
    op.create_table(
        "marks",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "erased",
        sa.Column("contact_sha256", sa.String(length=64), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("contact_sha256"),
    )
    op.create_table(
        "owed_deletions",
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "reference"),
    )
    for table, column in _INDEXES:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column], unique=False)


def _one_by_one() -> None:
    counted = op.get_bind().execute(
        sa.text("SELECT t.session_id, t.failed, s.started_at FROM code_tries t JOIN sessions s ON s.session_id = t.session_id")
    )
    rows = [{"session_id": row.session_id, "at": row.started_at} for row in counted.all() for _ in range(row.failed)]
    if rows:
        insert = sa.text("INSERT INTO failed_tries (session_id, kind, at) VALUES (:session_id, 'code', :at)")
        op.get_bind().execute(insert, rows)


def downgrade() -> None:
    """Take them away; failed tries are counted for each session again."""
    for table, column in reversed(_INDEXES):
        op.drop_index(op.f(f"ix_{table}_{column}"), table_name=table)
    op.drop_table("owed_deletions")
    op.drop_table("erased")
    op.drop_table("marks")
    op.create_table(
        "code_tries",
        sa.Column("session_id", sa.String(length=255), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"]),
        sa.PrimaryKeyConstraint("session_id"),
    )
    op.execute("INSERT INTO code_tries (session_id, failed) SELECT session_id, COUNT(*) FROM failed_tries GROUP BY session_id")
    op.drop_table("failed_tries")
    op.drop_column("merges", "undone_at")
    op.drop_column("sessions", "caller_vouched")
    op.drop_column("sessions", "caller_digest")
    op.drop_column("sessions", "assurance_until")
    op.drop_column("sessions", "assurance_at")
    op.drop_column("addresses", "proved_at")
    op.drop_index("ix_messages_unfinished", table_name="messages")
    op.create_index(op.f("ix_messages_finished_at"), "messages", ["finished_at"], unique=False)
    op.drop_column("messages", "attempts")
    op.drop_column("contacts", "fence")
