"""Every table of the record, and the column types they share.

The migrations bring a database to exactly this shape (tests/unit/record/test_record_open.py compares the two). What always holds: order
comes from the database's own numbers (``id``, ``seq``), never from clocks; times are stored as UTC; free-form data is JSON in a text
column; secrets (tokens, codes) are stored as digests only; a column that names another table's row has an index, so that a person can be
erased without reading whole tables. A new table needs a line in personal.py: whose data is in it.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

SCHEMA_VERSION = "0010"  # the newest migration; a database that says so needs no look at the migrations

ID_CHARS = 255  # as wide as Rasa's own sender_id
WORD_CHARS = 64


class UtcTime(sa.types.TypeDecorator):  # type: ignore[misc]  # SQLAlchemy 1.4 carries no types
    """A moment. Takes and gives timezone-aware datetimes; SQLite keeps no zone, so it is put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """To UTC. A time without a zone is a fault of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the record takes times with a zone only")
        utc = value.astimezone(timezone.utc)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """From UTC."""
        return None if value is None else value.replace(tzinfo=timezone.utc)


class JsonText(sa.types.TypeDecorator):  # type: ignore[misc]
    """JSON in a text column."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str:
        """To JSON text."""
        return json.dumps(value, separators=(",", ":"))  # ASCII: holds what UTF-8 cannot, half a surrogate pair

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        """From JSON text."""
        return None if value is None else json.loads(value)


def _contact(*, nullable: bool = False, name: str = "contact_id", **options: Any) -> Any:
    return sa.Column(name, sa.String(ID_CHARS), sa.ForeignKey("contacts.contact_id"), nullable=nullable, **options)


def _session(*, nullable: bool = True, name: str = "session_id", **options: Any) -> Any:
    return sa.Column(name, sa.String(ID_CHARS), sa.ForeignKey("sessions.session_id"), nullable=nullable, **options)


metadata = sa.MetaData()

_OPEN = sa.text("open_digest IS NOT NULL")
_UNFINISHED = sa.text("finished_at IS NULL")

contacts = sa.Table(
    "contacts",
    metadata,
    sa.Column("contact_id", sa.String(ID_CHARS), primary_key=True),
    _contact(nullable=True, name="merged_into", index=True),
    sa.Column("created_at", UtcTime, nullable=False),
    # Grows whenever the conversation's lock is taken away from its holder: what that holder saves later is refused.
    sa.Column("fence", sa.Integer, nullable=False, default=0, server_default="0"),
)

addresses = sa.Table(
    "addresses",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _contact(index=True),
    sa.Column("kind", sa.String(WORD_CHARS), nullable=False),
    sa.Column("value", sa.String(ID_CHARS), nullable=False),
    sa.Column("proof", sa.String(WORD_CHARS), nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("proved_at", UtcTime, nullable=False),  # when that proof was given last
    sa.UniqueConstraint("kind", "value", "contact_id", name="uq_addresses_kind_value_contact"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("session_id", sa.String(ID_CHARS), primary_key=True),
    _contact(),
    sa.Column("channel", sa.String(WORD_CHARS), nullable=False),
    sa.Column("assurance", sa.String(WORD_CHARS), nullable=False),
    sa.Column("detail", JsonText, nullable=False),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.Column("end_reason", sa.String(WORD_CHARS)),
    sa.Column("shown_seq", sa.Integer, nullable=False, default=0, server_default="0"),  # last event its page has been shown
    sa.Column("assurance_at", UtcTime),  # when that level was proved; NULL: at the start
    sa.Column("assurance_until", UtcTime),  # when it lapses; NULL: not before the session ends
    # Who is on the other side, to count failed tries by: a keyed digest of the telephone number or the network address.
    sa.Column("caller_digest", sa.String(64)),
    # Whether somebody vouches for that number (STIR/SHAKEN, full attestation).
    sa.Column("caller_vouched", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Index("ix_sessions_contact_id_started_at", "contact_id", "started_at"),
)

chat_tokens = sa.Table(
    "chat_tokens",
    metadata,
    sa.Column("token_sha256", sa.String(64), primary_key=True),
    _session(nullable=False, index=True),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime),
)

codes = sa.Table(
    "codes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _contact(index=True),
    _session(nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, index=True),
    sa.Column("open_digest", sa.String(64), unique=True),  # the digest while the code can be redeemed, else NULL
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("used_at", UtcTime),
    _session(name="used_by_session", index=True),
    sa.Index("ix_codes_session_id", "session_id"),
    sa.Index("ix_codes_open_expires_at", "expires_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
)

# Wrong codes and wrong facts, one by one: counted for each session, for each caller and for all together.
failed_tries = sa.Table(
    "failed_tries",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _session(nullable=False),
    sa.Column("caller_digest", sa.String(64)),
    sa.Column("kind", sa.String(WORD_CHARS), nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Index("ix_failed_tries_session_id", "session_id"),
    sa.Index("ix_failed_tries_caller_digest_at", "caller_digest", "at"),
    sa.Index("ix_failed_tries_at", "at"),
)

call_tokens = sa.Table(
    "call_tokens",
    metadata,
    sa.Column("token_sha256", sa.String(64), primary_key=True),
    _contact(nullable=True, index=True),
    _session(name="chat_session_id", index=True),
    sa.Column("origin", sa.String(WORD_CHARS), nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("used_at", UtcTime),
    sa.Column("call_sid", sa.String(ID_CHARS), index=True),  # the telephone call it was given to; NULL: a page's
)

# Links that were sent to somebody's telephone or e-mail address.
links = sa.Table(
    "links",
    metadata,
    sa.Column("token_sha256", sa.String(64), primary_key=True),
    _contact(index=True),
    _session(nullable=False),
    sa.Column("kind", sa.String(WORD_CHARS), nullable=False),  # of the address, as in addresses
    sa.Column("address", sa.String(ID_CHARS), nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("used_at", UtcTime),
    _session(name="used_by_session", index=True),
    sa.Index("ix_links_session_id_created_at", "session_id", "created_at"),
    sa.Index("ix_links_address_created_at", "address", "created_at"),
)

# A call of the telephone line, under the id that the telephone company gave it.
phone_calls = sa.Table(
    "phone_calls",
    metadata,
    sa.Column("call_sid", sa.String(ID_CHARS), primary_key=True),
    sa.Column("caller", sa.String(ID_CHARS), nullable=False, index=True),  # E.164, or empty where it is withheld
    sa.Column("attestation", sa.String(WORD_CHARS), nullable=False),  # STIR/SHAKEN, as it came; empty where there was none
    sa.Column("step", sa.Integer, nullable=False),  # how often it was to be connected
    sa.Column("connected_step", sa.Integer, nullable=False),  # the latest of them that was; 0 before the first
    _session(index=True),  # the latest
    sa.Column("announced_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
)

# Calls that we place, each noted before the telephone company is asked for it: so they are counted over all servers.
placed_calls = sa.Table(
    "placed_calls",
    metadata,
    sa.Column("placed_id", sa.String(ID_CHARS), primary_key=True),  # stands in the addresses that the company asks about it
    _contact(index=True),  # whom it is for
    _session(nullable=False, index=True),  # the chat that asked for it
    sa.Column("number", sa.String(ID_CHARS), nullable=False),  # E.164
    sa.Column("call_sid", sa.String(ID_CHARS), unique=True),  # once the company has taken it
    sa.Column("placed_at", UtcTime, nullable=False, index=True),
    sa.Column("answered_at", UtcTime),
    sa.Column("ended_at", UtcTime),
    sa.Column("outcome", sa.String(WORD_CHARS)),  # of throughline.domain.placed_calls, once it is over
    sa.Index("ix_placed_calls_number_placed_at", "number", "placed_at"),
)

# Signed requests from outside that were taken: the same one again is a repetition.
processed_requests = sa.Table(
    "processed_requests",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(WORD_CHARS), nullable=False),
    sa.Column("received_at", UtcTime, nullable=False),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("message_id", sa.String(ID_CHARS), nullable=False, unique=True),
    _contact(index=True),
    _session(nullable=False, index=True),
    sa.Column("channel", sa.String(WORD_CHARS), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("source", sa.String(WORD_CHARS), nullable=False),
    sa.Column("confidence", sa.Float),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
    sa.Column("attempts", sa.Integer, nullable=False, default=0, server_default="0"),  # to finish what a crash cut short
    sa.Column("turn_seq", sa.Integer),  # the last event of its turn, once that is committed
    sa.Column("asked_for", JsonText),  # by its turn, which is committed, and not carried out yet
    sa.Column("timing", JsonText),  # milliseconds by stage, of a turn on the phone
    sa.Index("ix_messages_unfinished", "contact_id", "id", sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED),
)

# The first seven columns are those of Rasa's SQLTrackerStore, so that stock tools can read this table.
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _contact(name="sender_id"),
    sa.Column("type_name", sa.String(ID_CHARS), nullable=False),
    sa.Column("timestamp", sa.Float),
    sa.Column("intent_name", sa.String(ID_CHARS)),
    sa.Column("action_name", sa.String(ID_CHARS)),
    sa.Column("data", JsonText, nullable=False),
    sa.Column("event_id", sa.String(ID_CHARS), nullable=False, unique=True),
    sa.Column("session_id", sa.String(ID_CHARS)),
    sa.Column("channel", sa.String(WORD_CHARS)),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index("ix_events_sender_id_id", "sender_id", "id"),
    sqlite_autoincrement=True,  # a number is never given twice, also after a conversation was erased
)

tracker_heads = sa.Table(
    "tracker_heads",
    metadata,
    sa.Column("contact_id", sa.String(ID_CHARS), sa.ForeignKey("contacts.contact_id"), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("last_seq", sa.Integer, nullable=False),
    sa.Column("window_seq", sa.Integer, nullable=False),  # the live window begins with this event; 0 = with the first
    sa.Column("window_header", JsonText, nullable=False),  # the tracker's state just before it, see window.py
)

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _contact(),
    sa.Column("slot", sa.String(ID_CHARS), nullable=False),
    sa.Column("value", JsonText, nullable=False),
    sa.Column("event_id", sa.String(ID_CHARS), nullable=False),
    sa.Column("session_id", sa.String(ID_CHARS)),
    sa.Column("channel", sa.String(WORD_CHARS)),
    sa.Column("said_at", UtcTime, nullable=False),
    sa.Column("confidence", sa.Float),
    sa.Index("ix_facts_contact_id_slot_id", "contact_id", "slot", "id"),
)

heard = sa.Table(
    "heard",
    metadata,
    sa.Column("event_id", sa.String(ID_CHARS), sa.ForeignKey("events.event_id"), primary_key=True),
    _session(nullable=False, index=True),
    sa.Column("text_heard", sa.Text, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("heard_at", UtcTime, nullable=False),
)

handoffs = sa.Table(
    "handoffs",
    metadata,
    sa.Column("handoff_id", sa.String(ID_CHARS), primary_key=True),
    _contact(index=True),
    _session(index=True),
    sa.Column("kind", sa.String(WORD_CHARS), nullable=False),
    sa.Column("reason", sa.String(ID_CHARS), nullable=False),
    sa.Column("packet", JsonText, nullable=False),
    sa.Column("idempotency_key", sa.String(ID_CHARS), nullable=False, unique=True),
    sa.Column("created_at", UtcTime, nullable=False),
)

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("outcome_id", sa.String(ID_CHARS), primary_key=True),
    _contact(index=True),
    _session(index=True),
    sa.Column("kind", sa.String(WORD_CHARS), nullable=False),
    sa.Column("data", JsonText, nullable=False),
    sa.Column("idempotency_key", sa.String(ID_CHARS), nullable=False, unique=True),
    sa.Column("created_at", UtcTime, nullable=False),
)

merges = sa.Table(
    "merges",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _contact(index=True),
    _contact(name="into_contact_id", index=True),
    sa.Column("reason", sa.String(ID_CHARS), nullable=False),
    _session(index=True),
    sa.Column("moved", JsonText, nullable=False),  # what the merge changed, enough to take it back
    sa.Column("merged_at", UtcTime, nullable=False),
    sa.Column("undone_at", UtcTime),
)

# One value for the whole record, such as the check of the servers' common secret.
marks = sa.Table(
    "marks",
    metadata,
    sa.Column("name", sa.String(WORD_CHARS), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("action", sa.String(WORD_CHARS), nullable=False),
    _contact(nullable=True, index=True),
    _session(index=True),
    sa.Column("detail", JsonText, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)

# Who was erased, by a digest of each id: what comes late for them is refused, and erasing again says that it is done.
erased = sa.Table(
    "erased",
    metadata,
    sa.Column("contact_sha256", sa.String(64), primary_key=True),
    sa.Column("erased_at", UtcTime, nullable=False),
)

# What another company still keeps of somebody who was erased here, under its own id: to be deleted there.
owed_deletions = sa.Table(
    "owed_deletions",
    metadata,
    sa.Column("kind", sa.String(WORD_CHARS), primary_key=True),
    sa.Column("reference", sa.String(ID_CHARS), primary_key=True),
    sa.Column("since", UtcTime, nullable=False),
)

# The embedded CRM and calendar stand for other companies' systems: they know a contact's id, and nothing ties them to it.
crm_customers = sa.Table(
    "crm_customers",
    metadata,
    sa.Column("contact_id", sa.String(ID_CHARS), primary_key=True),
    sa.Column("fields", JsonText, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
)

crm_cases = sa.Table(
    "crm_cases",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("case_id", sa.String(ID_CHARS), nullable=False, unique=True),
    sa.Column("reference", sa.String(WORD_CHARS), nullable=False, unique=True),
    sa.Column("contact_id", sa.String(ID_CHARS), nullable=False, index=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("details", JsonText, nullable=False),
    sa.Column("idempotency_key", sa.String(ID_CHARS), nullable=False, unique=True),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("kind", sa.String(WORD_CHARS), nullable=False, server_default="repair"),  # as all were before there were kinds
    sa.Column("due_at", UtcTime),  # when it is to be dealt with, where a time was told
)

crm_notes = sa.Table(
    "crm_notes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("case_id", sa.String(ID_CHARS), sa.ForeignKey("crm_cases.case_id"), nullable=False, index=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("idempotency_key", sa.String(ID_CHARS), nullable=False, unique=True),
    sa.Column("written_at", UtcTime, nullable=False),
)

calendar_technicians = sa.Table(
    "calendar_technicians",
    metadata,
    sa.Column("technician", sa.String(ID_CHARS), primary_key=True),
)

calendar_visits = sa.Table(
    "calendar_visits",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("visit_id", sa.String(ID_CHARS), nullable=False, unique=True),
    sa.Column("reference", sa.String(WORD_CHARS), nullable=False, unique=True),
    sa.Column("technician", sa.String(ID_CHARS), sa.ForeignKey("calendar_technicians.technician"), nullable=False),
    sa.Column("starts_at", UtcTime, nullable=False),
    sa.Column("ends_at", UtcTime, nullable=False),
    sa.Column("contact_id", sa.String(ID_CHARS), nullable=False, index=True),
    sa.Column("details", JsonText, nullable=False),
    sa.Column("idempotency_key", sa.String(ID_CHARS), nullable=False, unique=True),
    sa.Column("booked_at", UtcTime, nullable=False),
    sa.Column("place", sa.String(ID_CHARS)),  # the company's own name of the territory; NULL: not known
    sa.Column("cancelled_at", UtcTime),  # from then on it takes nobody's time
    sa.Index("ix_calendar_visits_technician_ends_at", "technician", "ends_at"),
)

# What was done to a visit after it was booked, each once for its key.
calendar_changes = sa.Table(
    "calendar_changes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("visit_id", sa.String(ID_CHARS), sa.ForeignKey("calendar_visits.visit_id"), nullable=False, index=True),
    sa.Column("kind", sa.String(WORD_CHARS), nullable=False),
    sa.Column("idempotency_key", sa.String(ID_CHARS), nullable=False, unique=True),
    sa.Column("changed_at", UtcTime, nullable=False),
)
