"""What the record gives back, as plain data. Times are UTC-aware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from throughline.domain.assurance import Assurance
from throughline.domain.turns import Turn


@dataclass(frozen=True)
class Session:
    """One chat visit or one call. ``contact_id`` is the living contact, also after a merge. ``shown_seq`` is the last event that the
    visit's page has been shown."""

    session_id: str
    contact_id: str
    channel: str
    assurance: Assurance
    started_at: datetime
    ended_at: datetime | None
    detail: Mapping[str, Any]
    shown_seq: int = 0
    end_reason: str | None = None


@dataclass(frozen=True)
class Address:
    """Where somebody is reached. ``kind`` is phone (E.164), email, account or browser; ``proof`` the strongest there is of whose it is, and
    ``proved_at`` when that was given last."""

    kind: str
    value: str
    proof: str
    created_at: datetime
    proved_at: datetime


@dataclass(frozen=True)
class Merge:
    """``contact_id`` became a part of ``into``, because of the proof ``reason``; no longer since ``undone_at``."""

    contact_id: str
    into: str
    reason: str
    merged_at: datetime
    undone_at: datetime | None


@dataclass(frozen=True)
class CallToken:
    """What a call token let in: whose call it is (living contact; None: nobody known), the chat it came from, and how."""

    contact_id: str | None
    chat_session_id: str | None
    origin: str


@dataclass(frozen=True)
class OpenedLink:
    """Where a link led that was sent to ``address`` (``kind``: phone or email): to whom (living contact)."""

    contact_id: str
    kind: str
    address: str


@dataclass(frozen=True)
class PhoneCall:
    """A call of the telephone line. ``caller`` is E.164 or empty, ``attestation`` what STIR/SHAKEN said of it. It was to be connected
    ``step`` times, of which ``connected_step`` is the latest that was (0: none); ``session`` is the latest visit it led to."""

    call_sid: str
    caller: str
    attestation: str
    step: int
    connected_step: int
    session: Session | None
    ended_at: datetime | None


@dataclass(frozen=True)
class PlacedCall:
    """A call that we place to ``number`` (E.164), for a living contact, asked for in the chat ``session_id``. ``call_sid`` is None until
    the telephone company has taken it; ``answered``: somebody has picked up; ``confirmed``: they said that it is them. ``outcome`` is of
    throughline.domain.placed_calls, None while it is under way."""

    placed_id: str
    contact_id: str
    session_id: str
    number: str
    call_sid: str | None
    answered: bool
    confirmed: bool
    outcome: str | None


@dataclass(frozen=True)
class StoredEvent:
    """One event of a conversation. ``seq`` orders all events; ``contact_id`` is the contact it was said under (an alias, after a
    merge); ``data`` is Rasa's event dict. ``session_id`` is None for events of Rasa's own tools."""

    seq: int
    event_id: str
    contact_id: str
    session_id: str | None
    channel: str | None
    type_name: str
    data: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True)
class Heard:
    """How much of an utterance the customer really heard. ``complete`` is False after a barge-in."""

    event_id: str
    session_id: str
    text_heard: str
    complete: bool
    at: datetime


@dataclass(frozen=True)
class Handoff:
    """A conversation passed on, with what was passed."""

    handoff_id: str
    contact_id: str
    session_id: str | None
    kind: str
    reason: str
    packet: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True)
class Outcome:
    """What a conversation led to."""

    outcome_id: str
    contact_id: str
    session_id: str | None
    kind: str
    data: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True)
class Stored:
    """A message was stored. ``is_new`` is False for a repetition; ``behind``: earlier ones of the same contact were not finished then."""

    is_new: bool
    behind: bool


@dataclass(frozen=True)
class Timed:
    """A turn on the phone and how long its stages took: ``timing`` has milliseconds by stage (throughline/call/effects.py, TurnTimed)."""

    message_id: str
    session_id: str
    source: str
    text: str
    at: datetime
    timing: Mapping[str, float]


@dataclass(frozen=True)
class Progress:
    """What has become of a message. ``asked_for`` is what its turn, which is committed then, wants done before it is ``finished``."""

    finished: bool
    asked_for: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class LeftOver:
    """A message that was stored and not finished, under its living contact. ``attempts`` were made to finish what a crash or a failed
    save had cut short. ``asked_for``: as in ``Progress``; the customer has their answer then."""

    turn: Turn
    received_at: datetime
    attempts: int
    asked_for: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Owed:
    """Something that another company still keeps of somebody who was erased: its ``kind`` and that company's id of it."""

    kind: str
    reference: str
    since: datetime


@dataclass(frozen=True)
class NewEvent:
    """An event to append: Rasa's event dict with ``metadata.event_id``, and where it came from."""

    event_id: str
    data: Mapping[str, Any]
    session_id: str | None
    channel: str | None


@dataclass(frozen=True)
class Checkpoint:
    """Where a live window begins: at the event ``event_id``, with ``header`` the tracker's state just before it (window.py)."""

    event_id: str
    header: Mapping[str, Any]


@dataclass(frozen=True)
class Head:
    """The state of a contact's tracker in the record: ``version`` counts saves (0: never saved), ``fence`` how often the conversation's
    lock was taken away from a holder that did not let go. ``last_seq`` is its last event (0: none)."""

    contact_id: str
    version: int
    fence: int = 0
    last_seq: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Held:
    """What a reader of the record has kept: a window as of ``head``, which began with event ``first_seq`` and had so many ``events``."""

    head: Head
    first_seq: int
    events: int


@dataclass(frozen=True)
class Window:
    """What a tracker is rebuilt from: the header (see Checkpoint; None from the beginning) and Rasa's event dicts after it, of which
    ``first_seq`` is the first (0: from the beginning). With ``beyond``, which a reader has kept, only the events after that head."""

    head: Head
    header: Mapping[str, Any] | None
    events: tuple[Mapping[str, Any], ...]
    first_seq: int = 0
    beyond: Head | None = None
