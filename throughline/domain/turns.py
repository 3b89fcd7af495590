"""A turn and what comes back for it: what the channels hand to the runner, and what the runner hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WEB_CHAT = "web_chat"
PHONE = "phone"

# Where a call comes from: our own page, or a telephone.
PAGE_CALL = "page"
TELEPHONE_CALL = "twilio"

REHEARSED = "rehearsed"
"""Stands in the metadata of a message whose turn is only rehearsed: whatever would count it does not."""


@dataclass(frozen=True)
class Turn:
    """One party's complete contribution.

    ``message_id`` identifies the message for deduplication: two turns with one id have one effect. ``source`` is how the words
    came: ``typed``, ``speech`` or ``keypad``. ``confidence`` is the recogniser's, 0..1, None where there is none.
    """

    contact_id: str
    session_id: str
    channel: str
    text: str
    message_id: str
    source: str = "typed"
    confidence: float | None = None


@dataclass(frozen=True)
class Button:
    """A choice offered with an utterance. ``payload`` is what choosing it says."""

    title: str
    payload: str


@dataclass(frozen=True)
class Utterance:
    """One thing the assistant says. ``event_id`` is its event in the record; empty for what is in none, such as a filler."""

    event_id: str
    text: str
    buttons: tuple[Button, ...] = ()
    image: str | None = None
    interruptible: bool = True
    custom: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Expectation:
    """What the dialogue expects to hear next.

    ``kind`` is one of EXPECTATIONS; ``slot`` the form's requested slot, if one is asked for.
    """

    kind: str = "free"
    slot: str | None = None


EXPECTATIONS = (
    "free",
    "yes_no",
    "choice",
    "name",
    "date",
    "time",
    "digits",
    "phone_number",
    "postcode",
    "code",
    "reference",
)


@dataclass(frozen=True)
class TurnResult:
    """What a turn led to. ``contact_id`` may differ from the turn's after a merge. ``transfer``: the session ends with a person, to
    whom the call is to be put through. ``withdrawn``: the turn was taken back in time, and nothing has come of it. ``message_id``: its
    message in the record, empty where there was none. ``speed``: how fast to speak from now on, 1.0 being as usual, None for no change;
    ``speed_once``: the same for these utterances alone."""

    contact_id: str
    utterances: tuple[Utterance, ...]
    expects: Expectation = Expectation()
    end_session: bool = False
    transfer: bool = False
    withdrawn: bool = False
    message_id: str = ""
    speed: float | None = None
    speed_once: float | None = None
