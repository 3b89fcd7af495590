"""Opening an engine once more in the middle of a call, where the caller is already speaking to nobody.

A new connection that is refused, or that takes longer than one does on a good network, says little about the next: behind a
vendor's address are many machines. So there is a second try, beside the first where that is still under way, and whichever
opens first is taken. On a slow network that is the first: it loses nothing by the second.
"""

from __future__ import annotations

import asyncio

from throughline.domain.transcripts import AudioFormat
from throughline.errors import Unavailable
from throughline.log import get_logger
from throughline.speech.stt.protocol import SpeechToText, SttStream

_SECOND_AFTER_MS = 500
"""A connection with TLS takes four times the way there and back: 400 ms across an ocean."""
_PAUSE_MS = 100
"""After a refusal."""

_log = get_logger("speech")

_let_go: set[asyncio.Future[None]] = set()  # the event loop by itself keeps only weak references


async def opened_by_two_tries(
    engine: SpeechToText, audio: AudioFormat, *, second_after_ms: float = _SECOND_AFTER_MS
) -> SttStream:
    """The stream of the try that opens first; the other one is given up. Raises what the second one does: Unavailable."""
    tries = [asyncio.ensure_future(engine.open(audio))]
    taken: asyncio.Task[SttStream] | None = None
    try:
        done, _ = await asyncio.wait(tries, timeout=second_after_ms / 1000)
        if done and not isinstance(tries[0].exception(), Unavailable):
            taken = tries[0]
            return taken.result()
        if done:
            await asyncio.sleep(_PAUSE_MS / 1000)
        tries.append(asyncio.ensure_future(engine.open(audio)))
        waiting = {each for each in tries if not each.done()}
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            taken = next((each for each in tries if each.done() and each.exception() is None), None)
            if taken:
                return taken.result()
        return tries[-1].result()
    finally:
        for each in tries:
            if each is not taken:
                _give_up(each)


def _give_up(opening: asyncio.Task[SttStream]) -> None:
    """Cancel it; what it has opened all the same is closed."""
    task = asyncio.ensure_future(_closed(opening))
    _let_go.add(task)
    task.add_done_callback(_let_go.discard)
    opening.cancel()


async def _closed(opening: asyncio.Task[SttStream]) -> None:
    await asyncio.wait({opening})
    if opening.cancelled() or opening.exception():
        return
    try:
        await opening.result().close()
    except Exception as error:  # noqa: BLE001 -- nobody is there any more whom it concerns
        _log.warning("speech.not_closed", reason=type(error).__name__)
