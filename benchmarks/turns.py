"""How long a turn takes and how long audio would stall meanwhile, beside stock Rasa on the same model in the same run.

    python -m benchmarks.turns [--turns 60] [--conversations 20]
    python -m benchmarks.turns --parts          # only the phone turns of this project, and where their time goes

Prints one table. ``chat turn``: message sent to first reply. ``phone turn``: final transcript to first audio frame. ``stall``: how late
the ticks of a 20 ms clock on the server's loop are while many conversations are busy at once (benchmarks/ticker.py).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import servers, stopwatch
from benchmarks.customers import SCRIPT, percentile
from throughline.domain.transcripts import TELEPHONE
from throughline.simulate.chat import ChatCustomer
from throughline.simulate.page_call import page_caller

_PAUSE_S = 0.05

Ask = Callable[[str], Awaitable[None]]


async def _chat_latencies(address: str, turns: int, tick: Callable[[], None]) -> list[float]:
    """Milliseconds from message to first reply, one customer after the other."""
    taken: list[float] = []
    while len(taken) < turns:
        async with ChatCustomer(address) as customer:
            for text in SCRIPT[: turns - len(taken)]:
                seen, began = len(customer.messages), time.perf_counter()
                await customer.say(text)
                await customer.wait_for_messages(seen + 1)
                taken.append((time.perf_counter() - began) * 1000)
                tick()
                await asyncio.sleep(_PAUSE_S)
    return taken


async def _stock_latencies(address: str, turns: int, tick: Callable[[], None]) -> list[float]:
    taken: list[float] = []
    async with aiohttp.ClientSession() as session:
        while len(taken) < turns:
            sender = uuid.uuid4().hex
            for text in SCRIPT[: turns - len(taken)]:
                began = time.perf_counter()
                await _stock_say(session, address, sender, text)
                taken.append((time.perf_counter() - began) * 1000)
                tick()
                await asyncio.sleep(_PAUSE_S)
    return taken


async def _stock_say(session: aiohttp.ClientSession, address: str, sender: str, text: str) -> None:
    message = {"sender": sender, "message": text}
    async with session.post(f"{address}/webhooks/rest/webhook", json=message) as answer:
        answer.raise_for_status()
        await answer.read()


async def _phone_latencies(address: str, turns: int, tick: Callable[[], None]) -> list[float]:
    """Milliseconds from a final transcript to the first audio frame. The words come typed, as the page's field sends them: what is
    measured begins where recognition ends."""
    taken: list[float] = []
    while len(taken) < turns:
        async with await page_caller(address, audio=TELEPHONE) as caller:
            await caller.wait_quiet()
            for text in SCRIPT[: turns - len(taken)]:
                began = time.monotonic()
                await caller.type(text)
                taken.append((await caller.first_frame() - began) * 1000)
                tick()
                await caller.wait_quiet(0.2)
    return taken


async def _stalls(address: str, busy: Callable[[], Awaitable[None]]) -> list[float]:
    """Lateness in ms of every tick of the server's 20 ms clock while ``busy`` runs."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{address}/webhooks/ticker/lateness?reset=1") as answer:
            await answer.read()
        await busy()
        async with session.get(f"{address}/webhooks/ticker/lateness") as answer:
            return [float(ms) for ms in (await answer.json())["lateness_ms"]]


async def _busy_chats(address: str, conversations: int, tick: Callable[[], None]) -> None:
    async def one() -> None:
        async with ChatCustomer(address) as customer:
            for text in SCRIPT:
                seen = len(customer.messages)
                await customer.say(text)
                await customer.wait_for_messages(seen + 1, within_s=60)
                tick()

    await asyncio.gather(*(one() for _ in range(conversations)))


async def _busy_stock(address: str, conversations: int, tick: Callable[[], None]) -> None:
    async def one(session: aiohttp.ClientSession) -> None:
        sender = uuid.uuid4().hex
        for text in SCRIPT:
            await _stock_say(session, address, sender, text)
            tick()

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(one(session) for _ in range(conversations)))


async def _measure(turns: int, conversations: int, console: Console) -> dict[str, tuple[list[float], list[float]]]:
    """Figure name to (ours, stock's); an empty list where stock Rasa has no such thing."""
    busy = conversations * len(SCRIPT)
    with tempfile.TemporaryDirectory() as name, Progress(console=console) as progress:
        folder = Path(name)
        task = progress.add_task("starting the servers", total=2 * turns + turns // 2 + 2 * busy)
        tick = lambda: progress.advance(task)  # noqa: E731 - a name for the callback
        with servers.actions(folder) as actions:
            with servers.throughline(folder, actions.address) as ours:
                progress.update(task, description="chat turns")
                chat = await _chat_latencies(ours.address, turns, tick)
                progress.update(task, description="phone turns")
                phone = await _phone_latencies(ours.address, turns // 2, tick)  # each waits until the answer was heard
                progress.update(task, description=f"{conversations} busy conversations")
                stalls = await _stalls(ours.address, lambda: _busy_chats(ours.address, conversations, tick))
            progress.update(task, description="starting stock Rasa")
            with servers.stock(folder, actions.address) as stock:
                progress.update(task, description="stock Rasa: turns")
                stock_chat = await _stock_latencies(stock.address, turns, tick)
                progress.update(task, description="stock Rasa: busy conversations")
                stock_stalls = await _stalls(stock.address, lambda: _busy_stock(stock.address, conversations, tick))
    return {"chat turn": (chat, stock_chat), "phone turn": (phone, []), "stall": (stalls, stock_stalls)}


async def _measure_parts(turns: int, console: Console) -> tuple[list[float], list[dict[str, float]]]:
    """The caller's ms from final transcript to first frame, and the ms of each turn by part, as the server's stopwatch took them."""
    with tempfile.TemporaryDirectory() as name, Progress(console=console) as progress:
        folder = Path(name)
        task = progress.add_task("starting the servers", total=turns + len(SCRIPT))
        tick = lambda: progress.advance(task)  # noqa: E731 - a name for the callback
        with servers.actions(folder) as actions, servers.throughline(folder, actions.address, watched=True) as ours:
            progress.update(task, description="phone turns")
            await _phone_latencies(ours.address, len(SCRIPT), tick)  # the first turns of a server are slower: not counted
            async with aiohttp.ClientSession() as session:
                url = f"{ours.address}/webhooks/stopwatch/turns"
                await (await session.get(f"{url}?reset=1")).read()
                phone = await _phone_latencies(ours.address, turns, tick)
                async with session.get(url) as answer:
                    return phone, (await answer.json())["turns"]


def _print_parts(phone: list[float], turns: list[dict[str, float]], console: Console) -> None:
    table = Table("ms of a phone turn", "mean", "median", "95th", "turns with it")
    names = sorted({name for turn in turns for name in turn}, key=lambda name: -sum(turn.get(name, 0.0) for turn in turns))
    for name in names:
        values = [turn[name] for turn in turns if name in turn]
        mean = sum(values) / len(turns)
        table.add_row(
            name, f"{mean:.1f}", f"{statistics.median(values):.1f}", f"{percentile(values, 0.95):.1f}", str(len(values))
        )
    table.add_section()
    mean = statistics.mean(phone)
    table.add_row(
        "as the caller sees it",
        f"{mean:.1f}",
        f"{statistics.median(phone):.1f}",
        f"{percentile(phone, 0.95):.1f}",
        str(len(phone)),
    )
    console.print(table)
    console.print(
        f"Parts lie inside '{stopwatch.WHOLE}', but for '{stopwatch.SPEECH}', which follows it; some run beside others."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=60, help="turns of each kind (default 60)")
    parser.add_argument("--conversations", type=int, default=20, help="conversations busy at once (default 20)")
    parser.add_argument("--parts", action="store_true", help="print where the time of a phone turn goes")
    options = parser.parse_args()
    console = Console(width=120)
    if options.parts:
        _print_parts(*asyncio.run(_measure_parts(options.turns, console)), console)
        return
    figures = asyncio.run(_measure(options.turns, options.conversations, console))
    table = Table("ms", "median", "95th", "99th", "longest", "stock median", "stock 95th", "stock 99th", "stock longest")
    for name, (ours, stock) in figures.items():
        table.add_row(name, *_row(ours), *(_row(stock) if stock else ["-"] * 4))
    console.print(table)


def _row(values: list[float]) -> list[str]:
    figures = (statistics.median(values), percentile(values, 0.95), percentile(values, 0.99), max(values))
    return [f"{figure:.1f}" for figure in figures]


if __name__ == "__main__":
    main()
