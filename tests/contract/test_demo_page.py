"""The demo page keeps its side of the seams: the chat widget's, the page-call token's and the media endpoint's.

A real Chromium and the real widget against a stand-in server (tests/e2e/stub_server.py), which tells what the page has sent.
"""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import urllib.request
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio

from tests.e2e.page import HANDHELD, Browser, Page, open_browser, open_page
from throughline.domain.transcripts import WIDEBAND
from throughline.speech.tts.espeak import EspeakTts

pytestmark = [pytest.mark.contract, pytest.mark.asyncio(loop_scope="module")]

RATE_HZ = 16000
STUB = Path(__file__).parents[1] / "e2e" / "stub_server.py"


Samples = npt.NDArray[np.float64]


class Stub:
    """The stand-in server as a process."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.root = address.removesuffix("/demo/")

    def heard(self) -> dict[str, Any]:
        """What the page has sent so far."""
        with urllib.request.urlopen(f"{self.root}/stub/heard") as answer:  # noqa: S310 -- our own server
            found: dict[str, Any] = json.load(answer)
        return found

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one kind the media endpoint got, without audio."""
        return [message for name, message in self.heard()["events"] if name == kind]

    def do(self, what: str) -> None:
        """Change how it behaves."""
        urllib.request.urlopen(f"{self.root}/stub/{what}", data=b"").close()  # noqa: S310 -- our own server


@pytest.fixture(scope="module")
def running_stub() -> Iterator[Stub]:
    with subprocess.Popen([sys.executable, str(STUB)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Stub(process.stdout.readline().strip())
        finally:
            process.terminate()


@pytest.fixture
def stub(running_stub: Stub) -> Stub:
    running_stub.do("reset")
    return running_stub


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as started:
        yield started


Visit = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture
def visit(stub: Stub, browser: Browser) -> Visit:
    """Opens the page as a new visitor."""
    return partial(open_page, stub.address, browser=browser)


def sweep(at_s: Samples) -> Samples:
    """A tone that rises from 200 Hz to 3.2 kHz in one second: no two pieces of it are alike. Silence before and after."""
    loudness = 9000 * np.clip(np.minimum(at_s, 1 - at_s) / 0.05, 0, 1)
    rising: Samples = loudness * np.sin(2 * math.pi * (200 * at_s + 1500 * at_s**2))
    return rising


def wav(samples: Samples) -> bytes:
    """Samples of 16 kHz as a WAV file: what the customer says here."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def difference_from_sweep(heard: Samples) -> float:
    """The largest difference, over all samples, from the sweep begun at whichever fraction of a sample fits best."""
    at_s = np.arange(len(heard)) / RATE_HZ
    begun = int(np.argmax(np.correlate(heard, sweep(np.arange(RATE_HZ) / RATE_HZ))))
    begins = begun + np.arange(-1, 1, 1 / 100)
    return float(min(np.abs(heard - sweep(at_s - begin / RATE_HZ)).max() for begin in begins))


def loudness(samples: Samples) -> Samples:
    """Root mean square of every 20 ms."""
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    measured: Samples = np.sqrt(np.mean(frames**2, axis=1))
    return measured


def likeness(part: Samples, whole: Samples) -> float:
    """The correlation of ``part`` with the piece of ``whole`` that is most like it."""
    pieces = np.lib.stride_tricks.sliding_window_view(whole, len(part))
    return max(float(np.corrcoef(part, piece)[0, 1]) for piece in pieces if piece.std() > 0)


async def test_from_the_chat_to_the_phone_and_back(stub: Stub, visit: Visit) -> None:
    async with visit() as page:
        assert await page.ask_in_chat("The washing machine leaks") == ["I’m sorry about the leak. Which make is your washer?"]
        assert await page.choices() == ["Bosch", "Another make"]
        await page.choose("Bosch")
        await page.wait_for_bot("ZIP code")

        await page.continue_by_phone()
        await page.wait_for_caption("assistant", "Hello again")
        await page.wait_for_state("listening")  # the stand-in listens once the greeting's mark has come back
        assert stub.heard()["sessions"] == [await page.session_id()]
        (start,) = stub.events("start")
        assert start["start"]["customParameters"] == {"token": "stub-token"}
        assert start["start"]["mediaFormat"] == {"encoding": "audio/l16", "sampleRate": 16000, "channels": 1}
        assert await page.notes() == ["Demo recogniser: it understands chosen sentences only. Typing always works."]

        await page.type_in_phone("97209")
        await page.wait_for_caption("assistant", "I have noted 97209")
        await page.press_keys("48#")
        await page.wait_for_state("listening")
        assert [message["dtmf"]["digit"] for message in stub.events("dtmf")] == ["4", "8", "#"]
        assert [message["mark"]["name"] for message in stub.events("mark")] == ["turn-1", "turn-2"]

        await page.type_in_phone("goodbye")
        await page.wait_for_state("over")
        await page.wait_for_caption("assistant", "Goodbye")

        await page.reload()
        await page.open_chat()
        assert [line.text for line in await page.chat_messages()][:2] == [
            "The washing machine leaks",
            "I’m sorry about the leak. Which make is your washer?",
        ]
        assert page.problems == []


async def test_the_websites_login_goes_along_with_everything(stub: Stub, visit: Visit) -> None:
    """With what the page asks first, so that no anonymous session comes before; and each time the token of the moment."""
    async with visit(script="let count = 0; window.websiteLogin = () => `token-${++count}`;") as page:
        assert stub.heard()["logins"][:2] == [["session_request", "token-1"], ["session_request", None]]
        await page.ask_in_chat("The washing machine leaks")
        await page.continue_by_phone()
        await page.wait_for_state("listening")
        later = stub.heard()["logins"][2:]
        assert {what for what, _ in later} == {"user_uttered", "page-call"}
        tokens = [int(str(token).removeprefix("Bearer ").removeprefix("token-")) for _, token in later]
        assert tokens == sorted(set(tokens)), "each time anew"
        assert "token-" not in await page.tab.evaluate("() => JSON.stringify({...localStorage, ...sessionStorage})")
        assert page.problems == []


async def test_without_a_login_nothing_goes_along(stub: Stub, visit: Visit) -> None:
    async with visit() as page:
        await page.ask_in_chat("The washing machine leaks")
        assert {token for _, token in stub.heard()["logins"]} == {None}


async def test_every_sample_of_the_microphone_reaches_the_server_once_and_in_order(stub: Stub, visit: Visit) -> None:
    """From the first node of the page's own to the server. One sample less or more makes a difference of 3,500; twice the two
    resamplers' rounding and ripple make one of 30."""
    async with visit(microphone="exact") as page:
        await page.continue_by_phone()
        await page.wait_for_state("listening")
        before = len(stub.heard()["samples"])
        await page.speak(wav(sweep(np.arange(RATE_HZ) / RATE_HZ)))
        await page.tab.wait_for_timeout(300)  # the last frames are on their way: hanging up at once would cut them off
        await page.hang_up()
        assert difference_from_sweep(np.array(stub.heard()["samples"][before:], dtype=float)) < 100
        assert stub.events("stop")
        assert await page.call_state() == "over"
        assert page.problems == []


async def test_what_is_said_into_the_device_reaches_the_server(stub: Stub, visit: Visit) -> None:
    """The whole path, from the sound device to the server. Chromium's part of it changes what is said: it suppresses noise, controls the
    gain, and now and then loses or doubles 10 ms between the device's clock and the page's. What stays is how loudness goes up and
    down in frames of 20 ms: over 17 calls, with the processor idle and overloaded, it correlated by 0.93 to 1.00."""
    sentence = b"".join([chunk async for chunk in EspeakTts(voice="en-us+m3", rate_wpm=150).speak("it's a Bosch", WIDEBAND)])
    said = np.frombuffer(sentence, dtype="<i2").astype(float)
    async with visit() as page:
        await page.continue_by_phone()
        await page.wait_for_state("listening")
        await page.speak(wav(said))  # the gain is found while somebody speaks
        await page.tab.wait_for_timeout(1000)
        before = len(stub.heard()["samples"])
        await page.speak(wav(said))
        await page.tab.wait_for_timeout(1000)
        assert likeness(loudness(said), loudness(np.array(stub.heard()["samples"][before:], dtype=float))) > 0.8
        assert page.problems == []


async def test_an_interruption_empties_the_phone_at_once_and_returns_its_marks(stub: Stub, visit: Visit) -> None:
    async with visit() as page:
        await page.continue_by_phone()
        await page.wait_for_state("listening")
        await page.type_in_phone("stop")
        await page.wait_for_caption("assistant", "nobody will hear")  # the state is "speaking" for too short a time to be seen
        await page.wait_for_state("listening")
        assert [message["mark"]["name"] for message in stub.events("mark")] == ["turn-1", "turn-2"]


@pytest.mark.parametrize(
    ("microphone", "note"), [("refused", "This page may not use the microphone."), ("missing", "No microphone was found.")]
)
async def test_without_a_microphone_the_call_goes_on_by_typing(stub: Stub, visit: Visit, microphone: str, note: str) -> None:
    async with visit(microphone=microphone, size=HANDHELD) as page:
        await page.continue_by_phone()
        await page.wait_for_state("listening")
        assert (await page.notes())[0].startswith(note)
        await page.type_in_phone("97209")
        await page.wait_for_caption("assistant", "I have noted 97209")
        frames = stub.heard()["frames"]
        await page.wait_for_state("listening")
        heard = stub.heard()
        assert heard["frames"] > frames, "silence goes out, so that the server's clock goes on"
        assert heard["loudest"] == 0
        assert page.problems == []


async def test_a_customer_need_not_answer_the_browsers_question(visit: Visit) -> None:
    async with visit(microphone="unanswered") as page:
        await page.continue_by_phone()
        await page.wait_for_state("asking")
        await page.tab.locator("#phone-skip").click()
        await page.wait_for_state("listening")
        await page.type_in_phone("97209")
        await page.wait_for_caption("customer", "97209")


async def test_where_the_browser_allows_no_sound_one_can_read_along_and_type(stub: Stub) -> None:
    address = stub.address.replace("localhost", "insecure.test")
    async with (
        open_browser(options=["--host-resolver-rules=MAP insecure.test 127.0.0.1"]) as browser,
        open_page(address, browser=browser) as page,
    ):
        await page.continue_by_phone()
        await page.wait_for_state("listening")
        assert (await page.notes())[0].startswith("This address allows no sound")
        await page.type_in_phone("97209")
        await page.wait_for_caption("assistant", "I have noted 97209")
        await page.wait_for_state("listening")
        heard = stub.heard()
        assert [message["mark"]["name"] for message in stub.events("mark")] == ["turn-1", "turn-2"]
        assert heard["frames"] > 20
        assert heard["loudest"] == 0
        assert page.problems == []


async def test_a_lost_connection_and_a_refusal_are_told_and_can_be_mended(stub: Stub, visit: Visit) -> None:
    async with visit() as page:
        await page.continue_by_phone()
        await page.wait_for_state("listening")
        await page.type_in_phone("break")
        await page.wait_for_state("lost")

        stub.do("refuse?on=1")
        await page.tab.locator("#phone-call").click()
        await page.wait_for_state("refused")
        assert await page.tab.locator("#phone-detail").inner_text() == "All lines are busy. Please try again in a minute."

        stub.do("refuse?on=0")
        await page.tab.locator("#phone-call").click()
        await page.wait_for_state("listening")


async def test_a_chat_that_lost_its_connection_shows_nothing_twice(stub: Stub, visit: Visit) -> None:
    async with visit() as page:
        stub.do("drop")
        await page.tab.locator("#chat-status:not(:empty)").wait_for()
        await page.tab.locator("#chat-status:empty").wait_for(state="attached")
        await page.ask_in_chat("The washing machine leaks")
        stub.do("drop")
        await page.tab.locator(".rw-loading").wait_for()
        await page.tab.locator(".rw-loading").wait_for(state="detached")
        await page.ask_in_chat("Bosch")
        assert [line.who for line in await page.chat_messages()] == ["customer", "assistant", "customer", "assistant"]


async def test_a_session_the_server_no_longer_knows_leaves_nothing_behind(stub: Stub, visit: Visit) -> None:
    async with visit() as page:
        await page.ask_in_chat("The washing machine leaks")
        stub.do("forget")
        await page.reload()
        await page.open_chat()
        assert await page.session_id() == "stub-session-2"
        assert await page.chat_messages() == []
        assert await page.ask_in_chat("The dryer is loud") != []


async def test_a_link_in_the_chat_opens_the_phone_in_the_same_page(visit: Visit) -> None:
    async with visit() as page:
        for words in ("It leaks", "Bosch", "97209"):
            await page.ask_in_chat(words)
        await page.tab.get_by_role("link", name="talk here").click()
        await page.wait_for_state("listening")
        assert len(page.tab.context.pages) == 1


async def test_the_panel_can_be_put_away_while_the_call_goes_on(stub: Stub, visit: Visit) -> None:
    async with visit(size=HANDHELD) as page:
        await page.ask_in_chat("It leaks")
        button = page.tab.locator("#handover")
        assert await button.inner_text() == "Continue by phone"
        await page.continue_by_phone()
        await page.wait_for_state("listening")
        await page.tab.locator("#phone-close").click()
        assert await button.inner_text() == "Back to the call"
        assert await page.tab.evaluate("document.activeElement.id") == "handover"
        assert await page.call_state() == "listening"
        await button.click()
        await page.type_in_phone("97209")
        await page.wait_for_caption("assistant", "I have noted 97209")
        assert len(stub.events("start")) == 1


async def test_what_people_say_is_never_markup(visit: Visit) -> None:
    async with visit() as page:
        await page.continue_by_phone()
        await page.wait_for_state("listening")
        hostile = '<img src=x onerror="document.title=1"><b>bold</b>'
        await page.type_in_phone(hostile)
        await page.wait_for_caption("customer", hostile)
        assert await page.tab.locator("#phone-captions :is(img, b)").count() == 0


async def test_the_page_stays_whole_without_the_companys_facts(visit: Visit) -> None:
    async with visit() as page:
        assert await page.tab.locator("[data-company=prices] tr").count() == 3
        assert await page.tab.locator("[data-missing]:visible").count() == 0
        await page.tab.route("**/company.json", lambda route: route.fulfill(status=503))
        await page.reload()
        assert await page.tab.locator("[data-missing]:visible").count() == 3
        assert await page.tab.locator("footer").inner_text() != ""
