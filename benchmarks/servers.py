"""Starts the servers that a benchmark compares, each on free ports and with a record of its own, and stops them."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import requests
from ruamel.yaml import YAML

from throughline.bootstrap import SPEECH_FOLDER
from throughline.cli.model import model_path, quiet_environment

SECRET = "a key for trials only"  # noqa: S105 - and for nothing else
"""Of servers and action servers alike, which run in different folders: with keys of their own the action server refuses every action."""

_READY_WITHIN_S = 240


@dataclass(frozen=True)
class Running:
    """A running server."""

    name: str
    address: str
    process_id: int
    log_file: Path


def wait_for(running: Running, logged: str, *, within_s: float) -> None:
    """Return once ``running`` has logged this. Raises RuntimeError where it doesn't."""
    deadline = time.monotonic() + within_s
    while logged not in running.log_file.read_text(errors="replace"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{running.name} has not logged {logged!r} within {within_s:g} s")
        time.sleep(0.5)


def free_port() -> int:
    """A TCP port nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(
    name: str, command: list[str], ready: str, folder: Path, *, home: Path = Path(), **environment: str
) -> Iterator[Running]:
    """Run ``command`` in ``home`` until the block ends; the block begins when ``ready`` answers 200. Raises RuntimeError with the
    log's end."""
    log_file = folder / f"{name}.log"
    with log_file.open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=quiet_environment(**environment), cwd=home)
    try:
        deadline = time.monotonic() + _READY_WITHIN_S
        while True:
            if child.poll() is not None or time.monotonic() > deadline:
                tail = log_file.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{name} is not ready (status {child.poll()}):\n{tail}")
            with contextlib.suppress(requests.RequestException):
                if requests.get(ready, timeout=2).status_code == requests.codes.ok:
                    break
            time.sleep(0.2)
        yield Running(name, ready.rsplit("/", 1)[0], child.pid, log_file)
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def actions(folder: Path, **environment: str) -> Iterator[Running]:
    """The action server, on the record in ``folder`` or where ``environment`` says."""
    port = free_port()
    command = [sys.executable, "-m", "rasa_sdk", "--actions", "actions", "-p", str(port)]
    ours = {"DATABASE_URL": f"sqlite:///{folder}/record.db", "THROUGHLINE_SECRET": SECRET, "SANIC_HOST": "127.0.0.1"}
    environment = {**ours, **environment}
    ready = f"http://127.0.0.1:{port}/health"
    with process("actions", command, ready, folder, **environment) as running:
        yield running


@contextlib.contextmanager
def throughline(
    folder: Path,
    actions_address: str,
    *,
    watched: bool = False,
    also: str = "",
    speech: Mapping[str, object] | None = None,
    vendors: Mapping[str, str] | None = None,
    phone: Mapping[str, object] | None = None,
    site: Mapping[str, object] | None = None,
) -> Iterator[Running]:
    """This project's server with both channels and the ticker; ``watched`` with the stopwatch in the ticker's place. ``also``:
    the dotted name of another channel of the benchmark's. ``speech``, ``phone`` and ``site`` go into its settings of these names,
    ``vendors`` (keys and addresses) into its environment."""
    port = free_port()
    home, endpoints_file = _project(folder, actions_address, {"speech": speech or {}, "phone": phone or {}, "site": site or {}})
    credentials = Path("credentials.yml").read_text() + (
        "benchmarks.stopwatch.Stopwatch:\n" if watched else "benchmarks.ticker.Ticker:\n"
    )
    credentials += f"{also}:\n" if also else ""
    command = _rasa_run(folder, "throughline", port, endpoints_file, credentials)
    database, public = f"sqlite:///{folder}/record.db", f"http://127.0.0.1:{port}"
    ours = {"DATABASE_URL": database, "THROUGHLINE_SECRET": SECRET, "THROUGHLINE_PUBLIC_URL": public}
    environment = {**ours, **(vendors or {})}
    with process("throughline", command, f"{public}/health", folder, home=home, **environment) as running:
        yield running


@contextlib.contextmanager
def stock(folder: Path, actions_address: str) -> Iterator[Running]:
    """Stock Rasa on the same model: its REST channel, its SQLTrackerStore on SQLite, its lock."""
    port = free_port()
    endpoints = (
        f"tracker_store:\n  type: SQL\n  dialect: sqlite\n  db: {folder}/stock.db\n"
        f"action_endpoint:\n  url: {actions_address}/webhook\n  enable_selective_domain: true\n"
    )
    endpoints_file = folder / "stock-endpoints.yml"
    endpoints_file.write_text(endpoints)
    command = _rasa_run(folder, "stock", port, endpoints_file, "rest:\nbenchmarks.ticker.Ticker:\n")
    with process("stock", command, f"http://127.0.0.1:{port}/webhooks/rest/", folder) as running:
        yield Running(running.name, f"http://127.0.0.1:{port}", running.process_id, running.log_file)


def _project(folder: Path, actions_address: str, settings: Mapping[str, Mapping[str, object]]) -> tuple[Path, Path]:
    """The project as it is run: everything linked but endpoints.yml, where the server looks for its settings, and kept speech, which is
    another voice's. Returns both."""
    home = folder / "project"
    (home / "var/cache").mkdir(parents=True)
    parts = [path for path in Path().iterdir() if not path.name.startswith(".") and path.name not in ("endpoints.yml", "var")]
    for part in (*parts, *(path for path in Path("var/cache").iterdir() if path.name != SPEECH_FOLDER.name)):
        (home / part).symlink_to(part.resolve())
    yaml = YAML()
    endpoints = yaml.load(Path("endpoints.yml"))
    endpoints["action_endpoint"]["url"] = f"{actions_address}/webhook"
    for group, values in settings.items():
        endpoints["throughline"].setdefault(group, {}).update(values)
    yaml.dump(endpoints, home / "endpoints.yml")
    return home, home / "endpoints.yml"


def _rasa_run(folder: Path, name: str, port: int, endpoints_file: Path, credentials: str) -> list[str]:
    credentials_file = folder / f"{name}-credentials.yml"
    credentials_file.write_text(credentials)
    files = ["--endpoints", str(endpoints_file), "--credentials", str(credentials_file)]
    model = str(model_path().resolve())
    return [sys.executable, "-m", "rasa", "run", "-i", "127.0.0.1", "-p", str(port), "-m", model, *files]
