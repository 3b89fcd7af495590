"""What a caller had not heard to its end when their last call broke off: said again to whoever calls again right away.

Only of the latest call, if it has ended, and only what was said after the caller's last words. Of a call that ended with its greeting
nothing is: they are greeted anew. Where a question is open it is put anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from actions.situation import Situation
from throughline.domain.sentences import sentences_of
from throughline.domain.turns import PHONE
from throughline.record.entries import Heard, StoredEvent

_MESSAGES = 12  # of the latest ones, the greeting of the call at hand and a proof among them
_GREETING = ("utter_resume", "utter_call_")
_NOT_AGAIN = ("utter_ask_", "utter_goodbye")
_BY_US = ("completed", "transferred", "silence", "too_long")  # calls that were not cut off (call/effects.py: REASONS)


@dataclass(frozen=True)
class CutOff:
    """``rest`` is what of the assistant's words was not heard, from the sentence on that was cut; said in the call ``session_id``."""

    rest: str
    session_id: str


async def cut_off(where: Situation) -> CutOff | None:
    """What was cut off in the call before, if that ended just now. Raises Unavailable, or Rejected."""
    record = where.app.record
    start = await where.bounded(record.call(record.history_start, where.contact_id, messages=_MESSAGES))
    events = await where.bounded(record.call(record.conversation, where.contact_id, after_seq=start))
    calls = dict.fromkeys(event.session_id for event in reversed(events) if event.session_id and event.channel == PHONE)
    since = where.now - timedelta(minutes=where.business.phone.cut_off_minutes)
    for session_id in calls:
        session = await where.bounded(record.call(record.session, session_id))
        if session.ended_at is None:
            continue  # the call at hand
        if session.ended_at < since or session.end_reason in _BY_US:
            return None
        of_call = [event for event in events if event.session_id == session_id]
        said = _said_last(of_call, (*_NOT_AGAIN, *where.business.dialogue.passing))
        heard = await where.bounded(record.call(record.heard, [event.event_id for event in said]))
        rest = " ".join(_unheard(event.data, heard.get(event.event_id)) for event in said).strip()
        return CutOff(rest, session_id) if rest else None
    return None


def _said_last(events: Sequence[StoredEvent], without: tuple[str, ...]) -> list[StoredEvent]:
    """What the assistant said after the caller's last words, but responses whose names begin as ``without`` says; nothing where it was
    greeting them."""
    said: list[StoredEvent] = []
    for event in reversed(events):
        if event.type_name == "user":
            break
        response = str((event.data.get("metadata") or {}).get("utter_action") or "")
        if response.startswith(_GREETING):
            return []
        if event.type_name == "bot" and not response.startswith(without):
            said.insert(0, event)
    return said


def _unheard(data: Any, heard: Heard | None) -> str:
    """The sentences that were not heard whole. What nobody reported on was heard: it was in no call, or is too old to tell."""
    if heard is None or heard.complete:
        return ""
    text, place = " ".join(str(data.get("text") or "").split()), 0
    for sentence in sentences_of(text):
        if place + len(sentence) > len(heard.text_heard):
            break
        place += len(sentence) + 1
    return text[place:]
