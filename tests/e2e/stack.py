"""The whole product, started as its users start it: ``throughline up`` with a record of its own on free ports."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import requests

_READY_WITHIN_S = 300
_STOP_WITHIN_S = 30


def free_port() -> int:
    """A TCP port nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    """``start``, use ``address``, ``stop``; may be started again on the same record and ports. Logs go to ``folder``."""

    folder: Path
    port: int = field(default_factory=free_port)
    actions_port: int = field(default_factory=free_port)
    secret: str = "a key for tests only"  # noqa: S105 - and for nothing else

    @property
    def address(self) -> str:
        """Where the site, the chat and the phone line are."""
        return f"http://localhost:{self.port}"

    @property
    def page(self) -> str:
        """The demo page."""
        return f"{self.address}/demo/"

    @property
    def media_url(self) -> str:
        """The phone line's websocket."""
        return f"ws://localhost:{self.port}/webhooks/phone/media"

    @property
    def database_url(self) -> str:
        """The record."""
        return f"sqlite:///{self.folder}/record.db"

    def start(self) -> None:
        """Start everything and wait until it is ready. Raises RuntimeError with what was printed."""
        self._output = (self.folder / "up.log").open("ab")
        ports = ["--port", str(self.port), "--actions-port", str(self.actions_port), "--logs", str(self.folder)]
        command = [sys.executable, "-m", "throughline.cli.main", "up", *ports]
        environment = {**os.environ, "DATABASE_URL": self.database_url, "THROUGHLINE_SECRET": self.secret}
        self._process = subprocess.Popen(command, stdout=self._output, stderr=subprocess.STDOUT, env=environment)
        deadline = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if requests.get(f"{self.address}/health", timeout=2).status_code == requests.codes.ok:
                    return
            except requests.RequestException:
                pass  # not listening yet
            time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"not ready:\n{(self.folder / 'up.log').read_text(errors='replace')[-4000:]}")

    def stop(self) -> None:
        """Stop everything that ``start`` has started."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def page_call(self, session_id: str | None = None) -> requests.Response:
        """Ask for a call as the page does."""
        body = {"session_id": session_id}
        return requests.post(
            f"{self.address}/webhooks/phone/page-call", json=body, headers={"Origin": self.address}, timeout=10
        )
