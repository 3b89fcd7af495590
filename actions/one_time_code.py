"""Makes the one-time code by which the other channel finds this conversation."""

from __future__ import annotations

from actions.situation import Situation
from throughline.errors import Rejected


async def one_time_code(where: Situation) -> str:
    """Eight digits, good for the settings' ``codes.code_ttl_s``; earlier ones of this session are void. Raises Unavailable or Rejected."""
    if where.session_id is None:
        raise Rejected("no_session", "a code belongs to a visit or a call of ours")
    record, ttl_s = where.app.record, where.settings.codes.code_ttl_s
    return await where.bounded(record.call(record.issue_code, where.contact_id, where.session_id, ttl_s=ttl_s))
