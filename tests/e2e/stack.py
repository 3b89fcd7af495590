"""The whole product, started as its users start it: ``throughline up`` with a record and settings of its own on free ports."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests
from ruamel.yaml import YAML

from tests import website
from throughline.domain.transcripts import WIDEBAND, AudioFormat
from throughline.simulate.call import Caller
from throughline.simulate.twilio import TwilioLine

_ROOT = Path(__file__).parents[2]
_PARTS = ("actions", "channels", "config.yml", "credentials.yml", "data", "domain.yml", "requirements.lock", "throughline")
_MADE = ("models", "var/cache")  # by the first training
_READY_WITHIN_S = 300
_STOP_WITHIN_S = 60  # calls under way may go on for a while

SESSIONS_PER_MINUTE = 120
"""The limit that the tests' chat runs with: above what they all open together from this machine in any minute."""

SETTINGS: Mapping[str, Mapping[str, object]] = {
    "chat": {"sessions_per_minute": SESSIONS_PER_MINUTE},
    "login": {"issuer": website.ISSUER, "audience": website.AUDIENCE, "leeway_s": 0},
    "phone": {"calls_per_minute": 60},
    "site": {"trusted_proxies": 1},  # so that a test may stand at another network address
}
"""What the tests set under ``throughline:``, beside what the project's own endpoints.yml says."""

TWILIO_ACCOUNT = "AC" + "5" * 32
TWILIO_TOKEN = "an auth token for tests only"  # noqa: S105 - and for nothing else
COMPANY_NUMBER = "+15035550142"


def free_port() -> int:
    """A TCP port nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    """``start``, use ``address``, ``stop``; may be started again on the same record and ports.

    ``folder`` holds the record, the logs, and the project as it is run: everything linked but endpoints.yml, which has SETTINGS and then
    ``settings``; and with ``always_open`` data/business, where the office never closes. ``environment`` is added to ours.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    actions_port: int = field(default_factory=free_port)
    secret: str = "a key for tests only"  # noqa: S105 - and for nothing else
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    always_open: bool = False

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
        home = self._project()
        self._output = (self.folder / "up.log").open("ab")
        ports = ["--port", str(self.port), "--actions-port", str(self.actions_port), "--logs", str(self.folder)]
        command = [sys.executable, "-m", "throughline.cli.main", "up", *ports]
        environment = {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "THROUGHLINE_SECRET": self.secret,
            "THROUGHLINE_LOGIN_SECRET": website.SECRET,
            "TWILIO_ACCOUNT_SID": TWILIO_ACCOUNT,
            "TWILIO_AUTH_TOKEN": TWILIO_TOKEN,
            "TWILIO_API_URL": "http://127.0.0.1:9",  # nobody there, unless a test says otherwise
            **self.environment,
        }
        self._process = subprocess.Popen(command, stdout=self._output, stderr=subprocess.STDOUT, env=environment, cwd=home)
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

    def _project(self) -> Path:
        home = self.folder / "project"
        for part in _MADE:
            (_ROOT / part).mkdir(parents=True, exist_ok=True)
        for part in _PARTS + _MADE:
            link = home / part
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(_ROOT / part)
        yaml = YAML()
        endpoints = yaml.load(_ROOT / "endpoints.yml")
        for part, settings in [*SETTINGS.items(), *self.settings.items()]:
            endpoints["throughline"].setdefault(part, {}).update(settings)
        if self.always_open:
            endpoints["throughline"]["business_dir"] = self._always_open(home)
        yaml.dump(endpoints, home / "endpoints.yml")
        return home

    @staticmethod
    def _always_open(home: Path) -> str:
        """A copy of data/business with an office that never closes."""
        business = home / "business"
        shutil.copytree(_ROOT / "data/business", business, dirs_exist_ok=True)
        hours = (business / "hours.yml").read_text()
        week = "[monday, tuesday, wednesday, thursday, friday, saturday, sunday]"
        always = f'office:\n  - {{days: {week}, opens: "00:00", closes: "23:59"}}\nvisits:'
        changed = re.sub(r"office:.*?visits:", always, hours, flags=re.DOTALL)
        (business / "hours.yml").write_text(re.sub(r"^closed:.*$", "closed: []", changed, flags=re.MULTILINE))
        return "business"

    def line(self) -> TwilioLine:
        """A telephone number whose calls come here."""
        return TwilioLine(self.address, account_sid=TWILIO_ACCOUNT, auth_token=TWILIO_TOKEN)

    def page_caller(self, token: str, audio: AudioFormat = WIDEBAND) -> Caller:
        """The page's own phone, which has got ``token``."""
        return Caller(self.media_url, token, audio=audio, origin=self.address)

    @property
    def runs(self) -> bool:
        """Whether it was started and neither stopped nor died."""
        return self._process.poll() is None

    def kill(self, part: str = "") -> None:
        """End its processes as a crash would, or those of one ``part`` of it: ``actions``."""
        for process in self._processes(part):
            process.kill()
        if not part:
            self._process.kill()
            self.stop()

    @contextlib.contextmanager
    def standing_still(self, part: str) -> Iterator[None]:
        """Meanwhile the processes of one ``part`` of it, ``actions``, stand still: whoever calls them waits."""
        stopped = self._processes(part)
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in stopped:
                with contextlib.suppress(psutil.NoSuchProcess):  # it was killed meanwhile
                    process.resume()

    def _processes(self, part: str) -> list[psutil.Process]:
        family = psutil.Process(self._process.pid).children(recursive=True)
        return [one for one in family if part in " ".join(one.cmdline())]

    def begin_to_stop(self) -> None:
        """Ask it to stop, as ``stop`` does, and go on meanwhile."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop everything that ``start`` has started."""
        self.begin_to_stop()
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
