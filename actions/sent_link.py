"""Sends the caller a text message with a link that opens this conversation in the chat.

Only the caller's own number gets one, and nobody many: the record bounds it. What is told afterwards is true: that it was sent is said once
the telephone company has taken it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actions.situation import Situation
from throughline import log
from throughline.domain.assurance import FALSE_NUMBER
from throughline.domain.links import chat_link, link_text, link_words
from throughline.domain.tel_link import is_e164
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")

SENT = "utter_link_sent"


async def sent_link(where: Situation, domain: Mapping[str, Any], *, code: str) -> bool:
    """Whether a link was sent just now. Not to somebody who has been sent one a moment ago and asks again: it may not have arrived, and a
    landline gets none. ``code`` is named in the message, for another device."""
    texts, session_id = where.app.texts, where.session_id
    if texts is None or session_id is None or not where.by_phone or _asks_again(where):
        return False
    words = link_words(domain.get("responses") or {})
    if words is None:
        _log.error(
            "link.no_words", mend="Give utter_link_text in domain.yml a text with {link} in it, and no other place but {code}."
        )
        return False
    record, ttl_s = where.app.record, where.settings.codes.link_ttl_s
    try:
        number = await _number(where, session_id)
        if number is None:
            return False
        issuing = record.call(record.issue_link, where.contact_id, session_id, kind="phone", address=number, ttl_s=ttl_s)
        link = chat_link(where.settings.public_url(), await where.bounded(issuing))
        await where.bounded(texts.send_text(number, link_text(words, link=link, code=code)))
    except (Unavailable, Rejected) as error:
        _log.warning("link.not_sent", session=session_id, error=str(error))
        return False
    _log.info("link.sent", session=session_id)
    return True


async def _number(where: Situation, session_id: str) -> str | None:
    """The number that the caller calls from, where it is known and not known to be false."""
    session = await where.bounded(where.app.record.call(where.app.record.session, session_id))
    number, attestation = str(session.detail.get("caller") or ""), str(session.detail.get("attestation") or "")
    return number if is_e164(number) and not attestation.startswith(FALSE_NUMBER) else None


def _asks_again(where: Situation) -> bool:
    """Whether this call has been told of a link within its latest turns."""
    told = [event.get("metadata") or {} for event in where.tracker.events if event.get("event") == "bot"]
    return any(one.get("utter_action") == SENT and one.get("session_id") == where.session_id for one in told)
