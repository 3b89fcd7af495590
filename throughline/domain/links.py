"""The text message with a link that opens the chat where a call is: its address, and its words. Pure.

The words are the response ``utter_link_text`` of the domain. They go past the gate of said.py, to a number that may not be the caller's
own, and so they tell nothing: what always holds is that no place in them is filled but PLACES, which are made for this message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from throughline.domain.privacy import filled, placeholders

LINK_TEXT = "utter_link_text"
LINK, CODE = "link", "code"
PLACES = frozenset({LINK, CODE})
_FRAGMENT = "#link="
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,128}")


def chat_link(public_url: str, token: str) -> str:
    """Where the page opens the link. A fragment: it reaches no server, no proxy's log and no other site."""
    return f"{public_url}/demo/{_FRAGMENT}{token}"


def is_secret(value: object) -> bool:
    """Whether ``value`` looks like what stands behind ``#link=``."""
    return isinstance(value, str) and _SECRET.fullmatch(value) is not None


def link_words(responses: Mapping[str, Any]) -> str | None:
    """The message as the domain's ``responses`` have it, with its places; None where there is none that can be sent."""
    texts = [str(variant["text"]) for variant in responses.get(LINK_TEXT) or () if variant.get("text")]
    sendable = [text for text in texts if LINK in placeholders(text) <= PLACES]
    return sendable[0] if sendable else None


def link_text(words: str, *, link: str, code: str) -> str:
    """The message with its values."""
    return str(filled(words, {LINK: link, CODE: code}))
