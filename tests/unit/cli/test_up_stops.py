"""``throughline up`` stops the server before what its calls need."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from throughline.cli.up import Started, _stop

_STOPS_IN_TIME = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(0)); print('up', flush=True); time.sleep(60)"
)
_NEVER_STOPS = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def started(name: str, program: str) -> Started:
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return Started(name, process, Path("unused"))


def test_the_action_server_runs_until_the_server_has_stopped() -> None:
    server, actions = started("rasa", _NEVER_STOPS), started("actions", _STOPS_IN_TIME)
    ended: list[str] = []
    waits = server.process.wait

    def wait(timeout: float | None = None) -> int:
        ended.append("actions run" if actions.process.poll() is None else "actions are gone")
        return waits(timeout)

    server.process.wait = wait  # type: ignore[method-assign]
    _stop([server, actions], within_s=0.2)
    assert set(ended) == {"actions run"}
    assert server.process.returncode == -9, "it did not stop, and was ended"
    assert actions.process.returncode == 0, "it was asked, and stopped by itself"


def test_what_has_ended_already_is_left_alone() -> None:
    server = started("rasa", "print('up', flush=True)")
    deadline = time.monotonic() + 10
    while server.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    _stop([server], within_s=0.2)
    assert server.process.returncode == 0
