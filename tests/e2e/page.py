"""The demo page in a real browser, for tests: what a customer does there, and what a customer sees.

Playwright drives whichever Chromium the machine has: ``CHROMIUM`` in the environment, else chromium, chromium-browser or google-chrome on
the PATH. Every wait is for something visible and ends in a clear failure; nothing sleeps. ``problems`` collects what a page must never
have: script errors, console errors and requests to other hosts.

The customer's voice: ``speak`` plays a WAV into the browser's microphone at the moment the test wants it. The microphone is a sound device
(tests/e2e/microphone.py), and everything between it and the page is Chromium's own: permission, echo cancellation, noise suppression,
gain control. `_STAND_IN` lists the three things that are put in place of a part of the browser, and why.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Browser as PlaywrightBrowser
from playwright.async_api import Page as PlaywrightPage
from playwright.async_api import async_playwright

from tests.e2e.microphone import Microphone, open_microphone

DESKTOP = (1280, 800)
HANDHELD = (390, 844)
ENDED = ("closed", "over", "lost", "refused")
QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)

# What is put in place of a part of the browser, by the name of the microphone it makes:
# `missing`: the machine that runs the test may have a microphone of its own; this is what Chromium throws where there is none.
# `unanswered`: a browser without a window answers its own question about the microphone at once.
# `exact`: the microphone is asked for, but the page gets the test's samples from a node in its own AudioContext. A stream through
#   Chromium loses, doubles or pauses 10 ms now and then, so nothing can be proved to the sample through one.
_STAND_IN = """
(microphone) => {
  const devices = navigator.mediaDevices;
  if (microphone === 'missing') {
    devices.getUserMedia = async () => { throw new DOMException('Requested device not found', 'NotFoundError'); };
  } else if (microphone === 'unanswered') {
    devices.getUserMedia = () => new Promise(() => {});
  } else if (microphone === 'exact') {
    AudioContext.prototype.createMediaStreamSource = function () {
      const wire = new GainNode(this);
      window.__speak = async (wav) => {
        const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
        const source = new AudioBufferSourceNode(this, { buffer: await this.decodeAudioData(bytes.buffer) });
        source.connect(wire);
        await new Promise((resolve) => { source.onended = resolve; source.start(); });
      };
      return wire;
    };
  }
}
"""


@dataclass(frozen=True)
class Said:
    """One line of the chat or one caption. ``who`` is ``customer`` or ``assistant``."""

    who: str
    text: str
    final: bool = True


@dataclass
class Page:
    """One browser tab. ``say`` is the microphone's way to take sound. Times are in milliseconds."""

    tab: PlaywrightPage
    address: str
    say: Callable[[bytes], Awaitable[None]]
    problems: list[str] = field(default_factory=list)

    async def open(self) -> None:
        """Load the page and wait until the chat is connected."""
        await self.tab.goto(self.address)
        await self._connected()

    async def reload(self) -> None:
        """Load the page again, as a customer would, and wait until the chat is connected."""
        await self.tab.reload()
        await self._connected()

    async def _connected(self) -> None:
        await self.tab.locator(".rw-launcher").wait_for(state="attached", timeout=60_000)

    # The chat

    async def open_chat(self) -> None:
        """Open the chat window, if it is not open."""
        if await self.tab.locator(".rw-conversation-container").count() == 0:
            await self.tab.locator(".rw-launcher").click()
        await self.tab.locator(".rw-new-message:not([disabled])").wait_for()

    async def say_in_chat(self, text: str) -> None:
        """Type a message and send it."""
        await self.open_chat()
        await self.tab.locator(".rw-new-message").fill(text)
        await self.tab.locator(".rw-new-message").press("Enter")

    async def ask_in_chat(self, text: str, *, timeout_ms: float = 20_000) -> list[str]:
        """Send a message and return what the assistant answered: everything it says until it stops typing."""
        before = len(await self.chat_messages())
        await self.say_in_chat(text)
        await self.tab.wait_for_function(
            """([before]) => {
              const lines = [...document.querySelectorAll('.rw-messages-container .rw-client, .rw-messages-container .rw-response')];
              const typing = document.querySelector('.rw-typing-indication') !== null;
              return !typing && lines.slice(before + 1).some((line) => line.classList.contains('rw-response'));
            }""",
            arg=[before],
            timeout=timeout_ms,
        )
        return [line.text for line in (await self.chat_messages())[before:] if line.who == "assistant"]

    async def wait_for_bot(self, text: str, *, timeout_ms: float = 20_000) -> None:
        """Wait until the assistant has said something in the chat that contains ``text``."""
        await self.tab.locator(".rw-messages-container .rw-response", has_text=text).last.wait_for(timeout=timeout_ms)

    async def chat_messages(self) -> list[Said]:
        """Everything that stands in the chat, oldest first."""
        found = await self.tab.evaluate(
            """() => [...document.querySelectorAll('.rw-messages-container .rw-client, .rw-messages-container .rw-response')]
              .filter((line) => line.closest('.rw-typing-indication') === null)
              .map((line) => [line.classList.contains('rw-client') ? 'customer' : 'assistant', line.innerText.trim()])"""
        )
        return [Said(who, text) for who, text in found]

    async def choices(self) -> list[str]:
        """The quick replies offered at the moment."""
        return [text.strip() for text in await self.tab.locator(".rw-reply").all_inner_texts()]

    async def choose(self, title: str) -> None:
        """Press a quick reply."""
        await self.tab.locator(".rw-reply", has_text=title).last.click()

    async def session_id(self) -> str | None:
        """The chat's session id as the widget keeps it."""
        found: str | None = await self.tab.evaluate(
            "() => JSON.parse(localStorage.getItem('chat_session'))?.session_id ?? null"
        )
        return found

    # The phone

    async def continue_by_phone(self) -> None:
        """Press the button beside the chat, which opens the phone and calls."""
        await self.tab.locator("#handover").click()

    async def call_state(self) -> str:
        """closed, asking, ringing, listening, thinking, speaking, over, lost or refused."""
        return str(await self.tab.locator("#phone").get_attribute("data-state"))

    async def wait_for_state(self, *states: str, timeout_ms: float = 20_000) -> str:
        """Wait until the call is in one of ``states``; return which."""
        await self.tab.wait_for_function(
            "(states) => states.includes(document.getElementById('phone').dataset.state)", arg=list(states), timeout=timeout_ms
        )
        return await self.call_state()

    async def captions(self) -> list[Said]:
        """What was said in the call, oldest first, with what is still changing."""
        found = await self.tab.evaluate(
            """() => [...document.querySelectorAll('#phone-captions li')]
              .map((line) => [line.dataset.who, line.querySelector('p').textContent, !line.classList.contains('interim')])"""
        )
        return [Said(who, text, final) for who, text, final in found]

    async def wait_for_caption(self, who: str, text: str, *, timeout_ms: float = 20_000) -> None:
        """Wait until a final caption of ``who`` contains ``text``."""
        line = self.tab.locator(f"#phone-captions li[data-who={who}]:not(.interim) p", has_text=text)
        await line.last.wait_for(timeout=timeout_ms)

    async def wait_for_captions(self, count: int, *, timeout_ms: float = 20_000) -> None:
        """Wait until ``count`` final captions stand there."""
        await self.tab.wait_for_function(
            "(count) => document.querySelectorAll('#phone-captions li:not(.interim)').length >= count",
            arg=count,
            timeout=timeout_ms,
        )

    async def speak(self, wav: bytes) -> None:
        """Say a WAV file's sound into the microphone; returns when it has been said. The page hears it up to half a second later."""
        await self.say(wav)

    async def type_in_phone(self, text: str) -> None:
        """Type into the phone's field what one would say, closing the keypad if it is open."""
        if await self.tab.locator("#phone-keypad").is_visible():
            await self.tab.locator("#phone-keypad-toggle").click()
        await self.tab.locator("#phone-text").fill(text)
        await self.tab.locator("#phone-text").press("Enter")

    async def press_keys(self, digits: str) -> None:
        """Key digits, opening the keypad if it is closed."""
        if not await self.tab.locator("#phone-keypad").is_visible():
            await self.tab.locator("#phone-keypad-toggle").click()
        for digit in digits:
            await self.tab.locator(f'#phone-keypad button[value="{digit}"]').click()

    async def hang_up(self) -> None:
        """Press the red button, unless the call has ended already."""
        if await self.call_state() in ENDED:
            return
        await self.tab.locator("#phone-hang-up").click()

    async def notes(self) -> list[str]:
        """What the phone says about the microphone and the recogniser at the moment."""
        return [text for text in await self.tab.locator(".phone-note:visible").all_inner_texts() if text]

    async def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write a PNG of the window, or of the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        await self.tab.screenshot(path=path, full_page=whole)


def chromium() -> str:
    """The browser's program. Raises LookupError where there is none: the test cannot be skipped."""
    for candidate in (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(candidate) if candidate else None
        if found:
            return found
    raise LookupError("No Chromium: install one, or name it in CHROMIUM.")


@dataclass(frozen=True)
class Browser:
    """A running Chromium and its microphone."""

    chromium: PlaywrightBrowser
    microphone: Microphone


@asynccontextmanager
async def open_browser(*, options: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """A Chromium without a window, started with ``options``, with a microphone of its own."""
    async with open_microphone() as microphone, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=[*QUIET, *options], env={**os.environ, "PULSE_SERVER": microphone.server}
        )
        try:
            yield Browser(browser, microphone)
        finally:
            await browser.close()


@asynccontextmanager
async def open_page(
    address: str,
    *,
    browser: Browser | None = None,
    size: tuple[int, int] = DESKTOP,
    microphone: str = "allowed",
    script: str = "",
) -> AsyncIterator[Page]:
    """The demo page, as a visitor sees it for the first time: nothing is stored. In a browser of its own if none is given.

    ``microphone`` is ``allowed`` or ``refused``, by the visitor's answer to the browser's question, or one of `_STAND_IN`. ``script`` is
    run first, as a script of the company's own page would be.
    """
    async with AsyncExitStack() as stack:
        opened = browser if browser is not None else await stack.enter_async_context(open_browser())
        permissions = ["microphone"] if microphone in ("allowed", "exact") else []
        context = await opened.chromium.new_context(viewport={"width": size[0], "height": size[1]}, permissions=permissions)
        stack.push_async_callback(context.close)
        tab = await context.new_page()
        page = Page(tab, address, partial(_say_exactly, tab) if microphone == "exact" else opened.microphone.speak)
        _watch(page)
        await tab.add_init_script(f"({_STAND_IN})({microphone!r})")
        await tab.add_init_script(script)
        await page.open()
        yield page


async def _say_exactly(tab: PlaywrightPage, wav: bytes) -> None:
    await tab.evaluate("(wav) => window.__speak(wav)", base64.b64encode(wav).decode("ascii"))


def _watch(page: Page) -> None:
    home = urlsplit(page.address).netloc

    def requested(url: str) -> None:
        there = urlsplit(url)
        if there.scheme in ("http", "https", "ws", "wss") and there.netloc != home:
            page.problems.append(f"request to another host: {url}")

    page.tab.on("request", lambda request: requested(request.url))
    page.tab.on("websocket", lambda socket: requested(socket.url))
    page.tab.on("pageerror", lambda error: page.problems.append(f"script error: {error}"))
    page.tab.on("console", lambda line: page.problems.append(f"console: {line.text}") if line.type == "error" else None)
