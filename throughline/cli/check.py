"""``throughline check``: every part looked at, each fault with its mend. Nothing is changed, and without ``--live`` nothing outside of
this machine is contacted."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import requests
from rich.console import Console
from rich.markup import escape

from throughline import bootstrap
from throughline.cli import check_live
from throughline.cli.check_live import NotTried
from throughline.cli.check_public import LOOPBACK
from throughline.cli.model import model_path
from throughline.errors import ConfigurationError, Problem, ThroughlineError
from throughline.settings.business import load_business
from throughline.settings.checked_yaml import load_mapping
from throughline.settings.privacy import DOMAIN_FILE, check_privacy
from throughline.settings.responses import check_intents, check_responses
from throughline.settings.server import FILE, Settings, load_settings
from throughline.website_login import website_login

_HTTP_TIMEOUT_S = 3
_LEAST_FREE_BYTES = 500_000_000


class Doubt(str):
    """What stops nobody and should still be mended, with how."""


def check(*, live: bool = False) -> int:
    """Look at every part; with ``live`` also at what only the outside can tell. Returns 0 if all is well, 1 if anything has to be
    mended."""
    console = Console()
    faults = 0
    try:
        settings = load_settings()
    except ConfigurationError as error:
        _print_problems(console, "settings", error.problems)
        return 1
    console.print(f"[green]✓[/] settings: {FILE}")
    for name, look in {**_PARTS, **(check_live.parts() if live else {})}.items():
        try:
            with console.status(f"{name} ..."):
                found = look(settings)
            mark = "[dim]-[/]" if isinstance(found, NotTried) else "[yellow]![/]" if isinstance(found, Doubt) else "[green]✓[/]"
            console.print(f"{mark} {name}: {escape(found)}")
        except ConfigurationError as error:
            faults += 1
            _print_problems(console, name, error.problems)
        except ThroughlineError as error:
            faults += 1
            _print_problems(console, name, [Problem(name, str(error), "See the log in var/log/.")])
    return 1 if faults else 0


def _print_problems(console: Console, name: str, problems: list[Problem]) -> None:
    for problem in problems:
        console.print(f"[red]✗[/] {name}: {escape(problem.where)}: {escape(problem.what)}\n    Mend: {escape(problem.mend)}")


def _business(settings: Settings) -> str:
    folder = Path(settings.business_dir)
    business = load_business(folder)
    problems: list[Problem] = []
    domain = load_mapping(DOMAIN_FILE, problems)
    problems += check_privacy(folder, domain.get("responses") or {}, domain.get("slots") or {})
    problems += check_responses(DOMAIN_FILE, business)
    problems += check_intents(DOMAIN_FILE, business)
    if problems:
        raise ConfigurationError(problems)
    return f"{settings.business_dir}: {business.company.name}"


def _record(settings: Settings) -> str:
    record = bootstrap.open_record(settings)
    record.ping()
    return record.name


def _record_log(settings: Settings) -> str:
    loud = bootstrap.open_record(settings).loud_settings()
    if not loud:
        return "what is stored stands in no log of the database's"
    return Doubt(
        f"the database writes customers' words into its own log, which `throughline erase` does not reach ({', '.join(loud)}).\n"
        f"    Mend: as its superuser: {'; '.join(loud.values())}; then restart Throughline. See docs/personal-data.md."
    )


def _disk(_settings: Settings) -> str:
    free = shutil.disk_usage(".").free
    if free < _LEAST_FREE_BYTES:
        raise ConfigurationError(
            [Problem("disk", f"only {free / 1e6:.0f} MB are free.", "Make room; the record grows with use.")]
        )
    return f"{free / 1e9:.0f} GB free"


def _model(_settings: Settings) -> str:
    path = model_path()
    if not path.exists():
        raise ConfigurationError([Problem(str(path), "is not trained yet, or its inputs changed.", "Run `make train`.")])
    return str(path)


def _widget(_settings: Settings) -> str:
    path = Path("channels/site/vendor/rasa-webchat.js")
    if not path.exists():
        raise ConfigurationError([Problem(str(path), "is missing: the demo page has no chat.", "Run `make install`.")])
    return str(path)


def _login(settings: Settings) -> str:
    found = website_login(settings.login)
    return "nobody logs in" if found is None else f"{settings.login.algorithm} tokens of {settings.login.issuer}"


def _telephone(settings: Settings) -> str:
    if bootstrap.telephone(settings) is None:
        return "no Twilio account in the environment: the page's own phone works, a telephone number does not"
    public = settings.public_url()
    if not public.startswith("https://"):
        mend = f"Set {settings.site.public_url_env} to the https address at which Twilio reaches this machine."
        raise ConfigurationError([Problem(public, "is no address that Twilio can call.", mend)])
    return f"Twilio's webhooks are {public}/webhooks/phone/voice, .../fallback, .../status"


def _listening(settings: Settings) -> str:
    engine = bootstrap.listening(settings)
    # Getting a Whisper server ready would ask it.
    server, chosen = replace(settings.speech.openai, url=""), settings.speech.stt
    own = replace(settings, speech=replace(settings.speech, stt="auto" if chosen == "openai" else chosen, openai=server))
    environ = {name: value for name, value in os.environ.items() if name != server.url_env}
    asyncio.run(bootstrap.listening(own, environ).warm_up())
    return engine.name + (" (demo recogniser: `throughline fetch-whisper` gets a better one)" if engine.demo else "")


def _speaking(settings: Settings) -> str:
    engine = bootstrap.speaking(settings)
    # Getting a vendor's engine ready would ask the vendor.
    own = replace(settings, speech=replace(settings.speech, tts="auto"))
    asyncio.run(bootstrap.speaking(own, environ={}).warm_up())
    return engine.name


def _action_server(_settings: Settings) -> str:
    problems: list[Problem] = []
    endpoint = load_mapping(FILE, problems).get("action_endpoint") or {}
    address = str(endpoint.get("url", "")).removesuffix("/webhook") + "/health"
    return _answers(address, "Start it with `throughline up`.")


def _server(settings: Settings) -> str:
    if urlsplit(settings.public_url()).hostname not in LOOPBACK:
        return NotTried(f"{settings.public_url()} is outside: `throughline check --live` looks at it")
    return _answers(f"{settings.public_url()}/health", "Start it with `throughline up`.")


def _answers(address: str, mend: str) -> str:
    try:
        status = requests.get(address, timeout=_HTTP_TIMEOUT_S).status_code
    except requests.RequestException as error:
        raise ConfigurationError([Problem(address, f"does not answer ({type(error).__name__}).", mend)]) from error
    if status != requests.codes.ok:
        raise ConfigurationError(
            [Problem(address, f"answers {status}.", "Wait until it is ready, or see its log in var/log/.")]
        )
    return address


_PARTS: dict[str, Callable[[Settings], str]] = {
    "business": _business,
    "record": _record,
    "record's log": _record_log,
    "disk": _disk,
    "model": _model,
    "chat widget": _widget,
    "website login": _login,
    "telephone": _telephone,
    "listening": _listening,
    "speaking": _speaking,
    "action server": _action_server,
    "rasa server": _server,
}
