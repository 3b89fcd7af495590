"""What crosses the chat's socket, checked both ways. No I/O.

In: a customer's words, bounded, and never read as a command. Out: only the exact shapes that both widgets draw; an empty
text, null or an unknown shape would brick the customer's tab for good, and an extra key makes rasa-webchat drop the message.

Sources: rasa-webchat 1.0.1 (npm), Rasa's chat widget 0.1.x; both render a ``javascript:`` link as a live one, so every address is
cleaned here. A choice that leads somewhere (``tel:``, ``https:``) is a link in both: Rasa's widget goes by the payload's scheme,
rasa-webchat by ``type: web_url`` and ``url`` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from throughline.domain.tel_link import is_dialable
from throughline.errors import Rejected

_SAFE_SCHEMES = frozenset({"http", "https", "mailto"})
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_COMMAND_START = re.compile(r"^[\s/]+")  # Rasa strips white space before it looks for the slash of a command
# Markdown links and images with any address; the address is judged apart.
_MARKDOWN_LINK = re.compile(r"(!?)\[([^\]\n]*)\]\(\s*<?([^)\s>]*)>?[^)\n]*\)")
_REFERENCE_LINK = re.compile(r"^\s{0,3}\[([^\]\n]+)\]:\s*(\S+).*$", re.MULTILINE)
_AUTOLINK = re.compile(r"<([a-zA-Z][a-zA-Z0-9+.-]*:[^>\s]*)>")
_MAX_BUTTONS = 12
_MAX_TITLE_CHARS = 200


def words_of(message: Any, *, most_chars: int) -> str | None:
    """The customer's words in a ``user_uttered`` payload; None where there are none (rasa-webchat's first, empty one).

    Raises Rejected("too_long"). Leading slashes go: Rasa would take ``/intent`` and ``/restart`` as commands.
    """
    text = message.get("message") if isinstance(message, Mapping) else None
    if not isinstance(text, str):
        return None
    if len(text) > most_chars:
        raise Rejected("too_long", f"{len(text)} characters")
    return plain_words(text) or None


def login_token_of(message: Any) -> Any:
    """The website's token that came with a message in ``customData``, where rasa-webchat carries what a page wants to add; None where none
    did. Not checked."""
    custom = message.get("customData") if isinstance(message, Mapping) else None
    return (custom.get("token") or None) if isinstance(custom, Mapping) else None


def link_of(message: Any) -> Any:
    """The link by which the page was opened, as it comes in ``customData``; None where none did. Not checked."""
    custom = message.get("customData") if isinstance(message, Mapping) else None
    return (custom.get("link") or None) if isinstance(custom, Mapping) else None


def plain_words(text: str) -> str:
    """``text`` without control characters and without anything Rasa would take for a command."""
    return _COMMAND_START.sub("", _CONTROL.sub(" ", text)).strip()


def safe_address(address: Any) -> str | None:
    """``address`` if a browser may be sent there (http, https, mailto, tel, or a path on this site), else None. A ``tel:`` address may
    call a number and key digits after pauses (domain/tel_link.py), and nothing else: others reprogram telephones."""
    if not isinstance(address, str):
        return None
    cleaned: str = _CONTROL.sub("", address).strip()
    if not cleaned or re.search(r"\s", cleaned):
        return None
    try:
        scheme = urlsplit(cleaned).scheme.lower()
    except ValueError:
        return None
    if scheme == "tel":
        return cleaned if is_dialable(cleaned) else None
    if scheme in _SAFE_SCHEMES:
        return cleaned
    is_path = cleaned.startswith("/") and not cleaned.startswith(("//", "/\\"))
    return cleaned if is_path else None


def safe_text(text: str) -> str:
    """``text`` with every link that leads somewhere unsafe turned into its words."""

    def keep(match: re.Match[str]) -> str:
        address = safe_address(match.group(3))
        return f"{match.group(1)}[{match.group(2)}]({address})" if address else match.group(2)

    text = _MARKDOWN_LINK.sub(keep, _CONTROL.sub(" ", text))
    text = _REFERENCE_LINK.sub(lambda match: match.group(0) if safe_address(match.group(2)) else match.group(1), text)
    return _AUTOLINK.sub(lambda match: match.group(0) if safe_address(match.group(1)) else match.group(1), text).strip()


def literal(text: str) -> str:
    """A customer's own words for showing them back: markdown and HTML in them are shown, not obeyed."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~<>&])", r"\\\1", _CONTROL.sub(" ", text)).strip()


def widget_messages(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ``bot_uttered`` payloads for one bot event's ``{text, data: {buttons, quick_replies, image, attachment, ...}}``.

    Anything that neither widget can draw is left out; the result may be empty.
    """
    extra = data.get("data") or {}
    messages: list[dict[str, Any]] = []
    text = safe_text(str(data.get("text") or ""))
    choices = _choices(extra.get("quick_replies") or extra.get("buttons") or ())
    if text and choices:
        messages.append({"text": text, "quick_replies": choices})
    elif text:
        messages.append({"text": text})
    image = safe_address(extra.get("image"))
    if image:
        messages.append({"attachment": {"type": "image", "payload": {"src": image}}})
    return messages


def _choices(buttons: Any) -> list[dict[str, str]]:
    choices = []
    for button in list(buttons)[:_MAX_BUTTONS]:
        title, payload = str(button.get("title") or "").strip(), str(button.get("payload") or "").strip()
        if not title or not payload or payload.startswith("/"):
            continue
        choice = {"content_type": "text", "title": title[:_MAX_TITLE_CHARS], "payload": payload}
        if ":" in payload and _scheme(payload):
            address = safe_address(payload)
            if address is None:
                continue
            choice |= {"payload": address, "type": "web_url", "url": address}
        choices.append(choice)
    return choices


def _scheme(payload: str) -> str:
    try:
        return urlsplit(payload).scheme
    except ValueError:
        return ""  # an address in brackets that is none: words, then
