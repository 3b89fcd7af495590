"""Whole dialogues without sockets: the trained model, the real runner, the real action server and a record of its own.

``python -m tests.e2e.talk`` reads lines and answers them: ``/phone`` starts a call with the chat's contact, ``/code`` a call without one,
``/chat`` goes back to the chat, ``/new`` begins with somebody new.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import requests
from rasa.core.agent import load_agent
from rasa.core.utils import AvailableEndpoints
from rasa.utils.endpoints import EndpointConfig

from channels.turns import TurnRunner
from tests.e2e.stack import free_port
from throughline import bootstrap
from throughline.domain.assurance import Assurance
from throughline.domain.turns import PHONE, WEB_CHAT, Turn, TurnResult
from throughline.record.lock_store import RecordLockStore
from throughline.record.tracker_store import RecordTrackerStore

_READY_WITHIN_S = 120


class Assistant:
    """The model in ``models/`` with an action server. ``start``, then make ``Customer``s of it, then ``stop``.

    ``database_url``: the record, if not in a file in ``folder``. ``actions_url``: the action server, if not one of its own."""

    def __init__(self, folder: Path, *, database_url: str | None = None, actions_url: str | None = None) -> None:
        self._folder = folder
        self._port = free_port()
        self._database_url = database_url or f"sqlite:///{folder}/record.db"
        self._actions_url = actions_url
        self._server: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Load the model and start the action server. Raises RuntimeError when the server doesn't come up."""
        os.environ["DATABASE_URL"] = url = self._database_url
        os.environ["THROUGHLINE_SECRET"] = "a key for tests only"  # noqa: S105 - and for nothing else
        bootstrap.application.cache_clear()
        self.app = bootstrap.application()
        if self._actions_url is None:
            self._server = self._start_actions()
        actions_url = self._actions_url or f"http://localhost:{self._port}/webhook"
        endpoints = AvailableEndpoints(
            action=EndpointConfig(actions_url, enable_selective_domain=True),
            nlg=EndpointConfig(type="channels.said.Said"),
        )
        agent = await load_agent("models", endpoints=endpoints)
        if agent.processor is None:
            raise RuntimeError("no model could be loaded from models/")
        agent.tracker_store = RecordTrackerStore(agent.domain, host=url)
        agent.lock_store = RecordLockStore(EndpointConfig(url))
        agent.processor.tracker_store = agent.tracker_store
        agent.processor.lock_store = agent.lock_store
        self.agent = agent
        self.runner = TurnRunner(self.app, lambda: agent)
        if self._server is not None:
            self._wait_for_actions()
        await self.runner.start()

    async def stop(self) -> None:
        """Stop everything that ``start`` has started."""
        await self.runner.stop()
        if self._server is not None:
            self._server.terminate()
            self._server.wait(10)

    def actions_log(self) -> str:
        """What the action server has printed."""
        return (self._folder / "actions.log").read_text(errors="replace")

    def _start_actions(self) -> subprocess.Popen[bytes]:
        log = (self._folder / "actions.log").open("wb")
        command = [sys.executable, "-m", "rasa_sdk", "--actions", "actions", "--port", str(self._port)]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def _wait_for_actions(self) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < deadline:
            try:
                requests.get(f"http://localhost:{self._port}/health", timeout=1)
                return
            except requests.RequestException:
                time.sleep(0.2)
        raise RuntimeError(self.actions_log())


class Customer:
    """Somebody who chats and calls, new or of this ``contact_id``. Every method gives what the assistant said, as lines of text."""

    def __init__(self, assistant: Assistant, contact_id: str | None = None) -> None:
        self._assistant = assistant
        self._record = assistant.app.record
        self.contact_id = contact_id or self._record.create_contact()
        self.channel = WEB_CHAT
        self.session_id = self._record.open_session(self.contact_id, WEB_CHAT).session_id
        self.last = TurnResult(self.contact_id, ())

    async def says(self, text: str) -> str:
        """One message on the channel at hand."""
        turn = Turn(self.contact_id, self.session_id, self.channel, text, uuid.uuid4().hex)
        return self._heard(await self._assistant.runner.take(turn))

    async def calls(self, *, known: bool = True) -> str:
        """A call begins: from the page (``known``), which is as good as a code, or by somebody we don't know yet."""
        if not known:
            self.contact_id = self._record.create_contact()
        self.channel = PHONE
        level = Assurance.POSSESSED if known else Assurance.ANONYMOUS
        self.session_id = self._record.open_session(self.contact_id, PHONE, assurance=level).session_id
        return self._heard(await self._assistant.runner.resume(self.contact_id, self.session_id, PHONE))

    def returns_to_chat(self) -> None:
        """Another visit of the chat, of somebody who gave a code there."""
        self.channel = WEB_CHAT
        level = Assurance.POSSESSED
        self.session_id = self._record.open_session(self.contact_id, WEB_CHAT, assurance=level).session_id

    @property
    def asked(self) -> str | None:
        """The fact that is asked for."""
        return self.last.expects.slot

    def facts(self) -> dict[str, object]:
        """What the record holds as facts."""
        return {fact.slot: fact.value for fact in self._record.facts(self.contact_id) if fact.value is not None}

    def _heard(self, result: TurnResult) -> str:
        self.last = result
        self.contact_id = result.contact_id
        return "\n".join(utterance.text for utterance in result.utterances)


async def _converse() -> None:
    with tempfile.TemporaryDirectory() as folder:
        assistant = Assistant(Path(folder))
        await assistant.start()
        customer = Customer(assistant)
        try:
            while line := (await asyncio.to_thread(sys.stdin.readline)):
                text = line.strip()
                if not text:
                    continue
                sys.stdout.write(f"\n> {text}\n")
                if text in ("/phone", "/code"):
                    said = await customer.calls(known=text == "/phone")
                elif text == "/chat":
                    said = ""
                    customer.returns_to_chat()
                elif text == "/new":
                    said = ""
                    customer = Customer(assistant)
                else:
                    said = await customer.says(text)
                end = "  (session ends)" if customer.last.end_session else ""
                sys.stdout.write(f"{said}\n    [{customer.asked}] {customer.facts()}{end}\n")
                sys.stdout.flush()
        finally:
            await assistant.stop()
            sys.stdout.write(assistant.actions_log()[-3000:])


if __name__ == "__main__":
    asyncio.run(_converse())
