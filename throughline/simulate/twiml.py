"""TwiML, as far as a voice call of ours may meet it: what a document says is to be done.

Source: twilio.com/docs/voice/twiml. Verbs that Twilio does not know are passed over with a warning (12200), here too.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field

from throughline.errors import ProtocolError

VERBS = ("Connect", "Dial", "Hangup", "Pause", "Play", "Record", "Redirect", "Reject", "Say")
LONGEST_PARAMETER_CHARS = 500
"""Of a ``<Parameter>``'s name and value together."""


@dataclass(frozen=True)
class Stream:
    """``<Stream>``: where the websocket is, and the custom parameters."""

    url: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Verb:
    """One verb: its name, attributes and text, and the stream of a ``<Connect>``."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    stream: Stream | None = None


def parse(twiml: str) -> list[Verb]:
    """The verbs of a document, unknown ones too. Raises ProtocolError for what is no TwiML."""
    try:
        root = ElementTree.fromstring(twiml)  # noqa: S314 - from the server under trial
    except ElementTree.ParseError as error:
        raise ProtocolError(f"no XML: {error}") from None
    if root.tag != "Response":
        raise ProtocolError(f"<{root.tag}> instead of <Response>")
    return [_verb(element) for element in root]


def _verb(element: ElementTree.Element) -> Verb:
    text = " ".join("".join(element.itertext()).split())
    stream = element.find("Stream") if element.tag == "Connect" else None
    return Verb(element.tag, dict(element.attrib), text, None if stream is None else _stream(stream))


def _stream(element: ElementTree.Element) -> Stream:
    url = element.get("url", "")
    if not url.startswith(("wss://", "ws://")) or "?" in url:
        raise ProtocolError(f"<Stream> to {url!r}: only wss://, and without a query")
    parameters = {parameter.get("name", ""): parameter.get("value", "") for parameter in element.findall("Parameter")}
    for name, value in parameters.items():
        if not name or len(name) + len(value) > LONGEST_PARAMETER_CHARS:
            raise ProtocolError(f"<Parameter> {name!r} is nameless or too long")
    return Stream(url, parameters)
