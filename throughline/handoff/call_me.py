"""Calls a customer who asks for it in the chat: notes the call, has the telephone company place it, notes whether it has.

Stands between the dialogue, the record and the telephone company. What always holds: who asks twice is called once; a call that the company
may have taken counts. What becomes of it comes by the webhooks. Decision: docs/decisions/0018-calls-we-place.md.
"""

from __future__ import annotations

from datetime import timedelta

from throughline import log
from throughline.domain.company import Business
from throughline.errors import Rejected
from throughline.record import PlacedCall, Record
from throughline.record.identity import utc_now
from throughline.settings.server import Settings
from throughline.telephony.protocol import CallControl

_log = log.get_logger("handoff")

ANSWERED_PATH, FALLBACK_PATH, STATUS_PATH = (f"/webhooks/phone/{name}" for name in ("answered", "fallback", "status"))
PLACED = "placed"
"""What our id of a call is named in the addresses that the company asks."""


async def call_customer(
    record: Record, control: CallControl, settings: Settings, business: Business, session_id: str
) -> PlacedCall:
    """Have the customer called who asks for it in the visit ``session_id``; the call, which the company has taken, now or when they asked
    before.

    Raises Rejected("no_number") for a visit that may not have us call anybody, Rejected("too_many_calls"), Rejected("not_callable"),
    Rejected("under_way") for a call that was answered, or of which we don't know whether it was taken, Unavailable.
    """
    placed, is_new = await record.call(
        record.begin_call,
        session_id,
        proved_since=utc_now() - timedelta(days=settings.identity.number_days),
        together=timedelta(minutes=business.privacy.together_minutes),
        limits=settings.call_limits(),
    )
    if not is_new:
        if placed.call_sid is None or placed.answered:
            raise Rejected("under_way")
        return placed
    public, which = settings.public_url(), f"?{PLACED}={placed.placed_id}"
    try:
        call_sid = await control.place(
            placed.number,
            from_=business.company.phone,
            answered_url=public + ANSWERED_PATH + which,
            fallback_url=public + FALLBACK_PATH,
            status_url=public + STATUS_PATH + which,
            ring_s=settings.twilio.call_ring_s,
        )
    except Rejected:
        await record.call(record.note_call_refused, placed.placed_id)
        raise
    _log.info("call.placed", session=session_id, placed=placed.placed_id)
    await record.call(record.note_call_taken, placed.placed_id, call_sid)
    return placed
