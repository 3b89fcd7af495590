"""``throughline up``: train if needed, start every process, say when they are ready, and stop them all together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import requests
from rich.console import Console

from throughline import bootstrap
from throughline.cli.model import quiet_environment, train
from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.settings.business import load_business
from throughline.settings.server import load_settings
from throughline.website_login import website_login

_READY_WITHIN_S = 300
_STOP_WITHIN_S = 20  # beside what calls are given
_POLL_S = 0.1


@dataclass
class Started:
    """A process of ours and where it writes."""

    name: str
    process: subprocess.Popen[bytes]
    log_file: Path


def up(*, host: str, port: int, actions_port: int, logs: Path) -> int:
    """Run until interrupted or until a process dies. Returns the exit status. Raises ConfigurationError or Unavailable."""
    began = time.monotonic()
    console = Console()
    settings = load_settings()
    website_login(settings.login)
    line = bootstrap.telephone(settings)
    load_business(Path(settings.business_dir))  # every fault a person can mend shows here, before anything is started
    _ports_are_free(port, actions_port)
    model = train(console)
    variable = settings.site.public_url_env
    environment = quiet_environment(**{variable: os.environ.get(variable) or f"http://localhost:{port}"})
    started: list[Started] = []
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        rasa = [sys.executable, "-m", "channels.serve", "run", "-i", host, "-p", str(port), "-m", str(model)]
        actions = [sys.executable, "-m", "rasa_sdk", "--actions", "actions", "-p", str(actions_port)]
        started.append(_start("rasa", [*rasa, "--endpoints", _endpoints(actions_port)], environment, logs))
        # Whoever reaches the action server can read and book without being asked who they are: this machine only.
        started.append(_start("actions", actions, {**environment, "SANIC_HOST": "127.0.0.1"}, logs))
        _wait_until_ready(console, started, "actions", f"http://127.0.0.1:{actions_port}/health")
        times = _wait_until_ready(console, started, "rasa", f"http://127.0.0.1:{port}/health")
        parts = ", ".join(f"{name.removesuffix('_ms').replace('_', ' ')} {ms / 1000:.1f} s" for name, ms in times.items())
        console.print(f"[green]✓[/] ready after {time.monotonic() - began:.1f} s ({parts})")
        console.print(f"\n  Open [bold]http://localhost:{port}/demo/[/]\n")
        if line is not None:
            console.print(f"  Twilio's webhooks: {environment[variable]}/webhooks/phone/voice, .../fallback, .../status\n")
        console.print(f"  Logs are in {logs}/. Ctrl-C stops everything.")
        return _watch(started)
    except KeyboardInterrupt:
        console.print("\nstopping ...")
        return 0
    finally:
        _stop(started, settings.phone.drain_s + _STOP_WITHIN_S)


def _ports_are_free(*ports: int) -> None:
    problems = []
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                mend = "Stop what uses it, or choose others: `throughline up --port 5006 --actions-port 5056`."
                problems.append(Problem(f"port {port}", "is in use.", mend))
    if problems:
        raise ConfigurationError(problems)


def _endpoints(actions_port: int) -> str:
    """endpoints.yml, or a copy with the action server's other port."""
    if actions_port == 5055:
        return "endpoints.yml"
    text = Path("endpoints.yml").read_text(encoding="utf-8").replace("localhost:5055/", f"localhost:{actions_port}/")
    copy = Path("var") / f"endpoints-{actions_port}.yml"
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(text, encoding="utf-8")
    return str(copy)


def _start(name: str, command: list[str], environment: dict[str, str], logs: Path) -> Started:
    logs.mkdir(parents=True, exist_ok=True)
    log_file = logs / f"{name}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True)  # noqa: S603 - our own command
    return Started(name, process, log_file)


def _wait_until_ready(console: Console, started: list[Started], name: str, address: str) -> dict[str, float]:
    """Wait for ``address`` to answer 200; returns the start-up times in ms that it names. Raises Unavailable."""
    began = time.monotonic()
    with console.status(f"starting {name} ..."):
        while time.monotonic() - began < _READY_WITHIN_S:
            _none_has_died(started)
            try:
                answer = requests.get(address, timeout=2)
            except requests.RequestException:
                answer = None
            if answer is not None and answer.status_code == requests.codes.ok:
                times = answer.json().get("start_up", {})
                return {str(key): float(value) for key, value in times.items()}
            time.sleep(_POLL_S)
    raise Unavailable(f"{name} was not ready after {_READY_WITHIN_S} s; see its log")


def _none_has_died(started: list[Started]) -> None:
    for one in started:
        if one.process.poll() is not None:
            tail = "\n".join(one.log_file.read_text(errors="replace").splitlines()[-25:])
            raise Unavailable(f"{one.name} ended with status {one.process.returncode}. The end of {one.log_file}:\n{tail}")


def _watch(started: list[Started]) -> int:
    while True:
        _none_has_died(started)
        time.sleep(0.5)


def _stop(started: list[Started], within_s: float) -> None:
    """Ask one process after the other to stop, wait, and end those that don't. The server comes first: its calls may go on for a while,
    and need the action server."""
    deadline = time.monotonic() + within_s
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
        try:
            one.process.wait(max(1.0, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):  # or somebody is in a hurry
            one.process.kill()
            one.process.wait()
