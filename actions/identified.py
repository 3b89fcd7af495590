"""What follows once somebody has shown who they are: the session is surer of it, and the number they call from, or
are called at, becomes theirs unless the telephone company says that it is false."""

from __future__ import annotations

from datetime import timedelta

from actions.situation import Situation
from throughline import log
from throughline.domain.assurance import FALSE_NUMBER, LEVELS
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


async def identified(where: Situation, session_id: str, contact_id: str, *, proof: str) -> None:
    """Note it. The proof itself stands already: what can't be noted here is logged, and the conversation goes on."""
    record = where.app.record
    # Whoever is on the telephone stays there until they hang up; a page may be left open, and somebody else sit down at it.
    lasts = None if where.by_phone else timedelta(hours=where.settings.identity.chat_hours)
    try:
        await where.bounded(record.call(record.raise_assurance, session_id, LEVELS[proof], lasts=lasts))
        session = await where.bounded(record.call(record.session, session_id))
        is_false = str(session.detail.get("attestation") or "").startswith(FALSE_NUMBER)
        if (caller := session.detail.get("caller")) and not is_false:
            await where.bounded(record.call(record.add_address, contact_id, "phone", str(caller), proof=proof))
    except (Unavailable, Rejected) as error:
        _log.error("identity.not_noted", proof=proof, error=str(error))
