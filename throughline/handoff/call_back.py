"""A call that the assistant could not finish, and nobody else could take: somebody is asked to call back, with everything that was said.

Stands between the telephone line and the record. What always holds: one call leads to one call-back, however often it is asked for; a
message that the caller leaves is in it, also where it was promised before.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from zoneinfo import ZoneInfo

from throughline.domain.assurance import CALLER_ID
from throughline.domain.company import Business
from throughline.domain.facts import FACTS
from throughline.domain.turns import PHONE
from throughline.errors import Rejected
from throughline.handoff import dossier, packet
from throughline.record import Record

KIND = "call_back"
_MESSAGES = 60  # the packet's transcript; the whole conversation stays in the record


async def promise_call_back(
    record: Record, business: Business, *, call_sid: str, caller: str, reason: str, now: datetime, recording: str = ""
) -> None:
    """Have the caller called back at ``caller`` (E.164, empty where it is withheld), after the message at ``recording`` was listened to
    where one was left. A call that never reached the assistant gets a contact and a session of its own, but one that we have placed is
    whose it was placed for. Raises Unavailable or
    Rejected when the record does not take it: then nothing may be promised."""
    contact_id, session_id = await _whose(record, call_sid, caller)
    known = [fact for fact in await record.call(record.facts, contact_id) if fact.slot in FACTS]
    lines, tried = await dossier.latest(record, contact_id, messages=_MESSAGES)
    today = now.astimezone(ZoneInfo(business.company.timezone)).date()
    packed = packet.build(
        contact_id, reason, facts=known, transcript=lines, open_question=None, tried=tried, words=business.words, today=today
    )
    await record.call(
        record.open_handoff,
        contact_id,
        session_id,
        kind=KIND,
        reason=reason,
        packet={**packet.as_json(packed), "call_back_to": caller},
        idempotency_key=f"{KIND}:{call_sid}",
        recording=recording,
    )


async def _whose(record: Record, call_sid: str, caller: str) -> tuple[str, str]:
    call = await record.call(record.phone_call, call_sid)
    if call.session is not None:
        return call.session.contact_id, call.session.session_id
    with contextlib.suppress(Rejected):  # it came in
        placed = await record.call(record.placed_call, call_sid)
        return placed.contact_id, placed.session_id
    contact_id = await record.call(record.create_contact)
    if caller:
        await record.call(record.add_address, contact_id, "phone", caller, proof=CALLER_ID)
    session = await record.call(record.open_session, contact_id, PHONE, detail={"call_sid": call_sid})
    await record.call(record.note_call_session, call_sid, session.session_id)
    await record.call(record.end_session, session.session_id, "failed")
    return contact_id, session.session_id
