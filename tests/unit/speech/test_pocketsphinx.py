"""The processes that listen: what becomes of a call when one dies, and how many there may be."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from throughline.domain.transcripts import WIDEBAND
from throughline.errors import ConfigurationError, Unavailable
from throughline.speech.stt.pocketsphinx import PocketsphinxStt
from throughline.speech.stt.pocketsphinx_worker import Message, packed, unpacked

pytestmark = pytest.mark.unit


async def test_a_process_that_cannot_go_on_is_lost_to_its_call_alone(tmp_path: Path) -> None:
    stream = await PocketsphinxStt(lambda: tmp_path).open(WIDEBAND)  # a folder without models: the process ends at once
    with pytest.raises(Unavailable, match="ended by itself"):
        _ = [report async for report in stream.transcripts()]
    stream.send(bytes(640))
    await stream.close()


async def test_no_more_calls_than_the_machine_can_bear(tmp_path: Path) -> None:
    stt = PocketsphinxStt(lambda: tmp_path, most_calls=1)
    first = await stt.open(WIDEBAND)
    with pytest.raises(Unavailable, match="1 calls at most"):
        await stt.open(WIDEBAND)
    await first.close()
    second = await stt.open(WIDEBAND)
    await second.close()


async def test_a_fault_in_the_training_data_shows_at_warm_up(tmp_path: Path) -> None:
    stt = PocketsphinxStt.from_training_data(tmp_path / "nothing", cache=tmp_path / "cache")
    with pytest.raises(ConfigurationError, match="no training sentences"):
        await stt.warm_up()
    assert list((tmp_path / "cache").iterdir()) == []


def test_messages_go_through_the_pipe_whole() -> None:
    sent = [(Message.OPEN, b"{}"), (Message.AUDIO, bytes(70_000)), (Message.FLUSH, b""), (Message.EXPECT, b"code")]
    assert list(unpacked(io.BytesIO(b"".join(packed(*message) for message in sent)))) == sent


def test_a_message_cut_off_by_the_end_of_the_call_is_none() -> None:
    assert list(unpacked(io.BytesIO(packed(Message.FLUSH) + b"a\x00"))) == [(Message.FLUSH, b"")]
