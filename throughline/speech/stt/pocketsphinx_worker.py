"""The process in which pocketsphinx listens to one call: ``python -m throughline.speech.stt.pocketsphinx_worker FOLDER``.

``stt/pocketsphinx.py`` starts it and talks to it over its standard input and output. In come messages: one letter (``Message``),
four bytes with the length of the content (big-endian), the content. Out go transcripts, one JSON object a line. It ends when
its input ends, so it never outlives the server that started it.
"""

from __future__ import annotations

import enum
import json
import signal
import struct
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from throughline.domain.transcripts import AudioFormat, Transcript

_HEADER = struct.Struct(">cI")


class Message(enum.Enum):
    """The kinds of message to the worker. The first one is OPEN."""

    OPEN = b"o"  # content: the audio format, as JSON
    AUDIO = b"a"  # content: audio in that format
    EXPECT = b"e"  # content: an expectation's kind
    FLUSH = b"f"


def packed(message: Message, content: bytes = b"") -> bytes:
    """A message as it goes through the pipe."""
    return _HEADER.pack(message.value, len(content)) + content


def unpacked(source: BinaryIO) -> Iterable[tuple[Message, bytes]]:
    """The messages in ``source`` until it ends."""
    while len(header := source.read(_HEADER.size)) == _HEADER.size:
        letter, length = _HEADER.unpack(header)
        yield Message(letter), source.read(length)


def listen(folder: Path, source: BinaryIO, sink: BinaryIO) -> None:
    """Serve one call."""
    from throughline.speech.stt.pocketsphinx_ear import PocketsphinxEar

    messages = iter(unpacked(source))
    first = next(messages, None)
    if first is None:  # the call was over before it began
        return
    ear = PocketsphinxEar(folder, AudioFormat(**json.loads(first[1])))
    for message, content in messages:
        reports: list[Transcript] = []
        if message is Message.AUDIO:
            reports = ear.hear(content)
        elif message is Message.EXPECT:
            ear.expect(content.decode())
        elif message is Message.FLUSH:
            reports = ear.flush()
        for report in reports:
            sink.write(json.dumps(asdict(report)).encode() + b"\n")
        sink.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes our input
    listen(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
