"""``throughline COMMAND``: the way in for operators and trainers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from throughline.errors import ConfigurationError, ThroughlineError

_HOME_FILES = ("domain.yml", "config.yml", "endpoints.yml")


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 fine, 1 something is wrong and was said, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    if not all(Path(name).exists() for name in _HOME_FILES):
        print("Run throughline in the project's folder (the one with domain.yml).", file=sys.stderr)
        return 2
    try:
        return int(options.run(options))
    except ConfigurationError as error:
        print("Something has to be mended first:", file=sys.stderr)
        for problem in error.problems:
            print(f"  - {problem.where}: {problem.what}\n    Mend: {problem.mend}", file=sys.stderr)
        return 1
    except ThroughlineError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="throughline",
        description="One assistant on the website's chat and on the phone, over one shared record.",
        epilog="Begin with `throughline check`, then `throughline up`. Settings stand in endpoints.yml under `throughline:`.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    up = commands.add_parser("up", help="train if needed and start everything", description=_UP)
    up.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for every network (default 127.0.0.1)")
    up.add_argument("--port", type=int, default=5005, help="port of the site, the chat and the phone line (default 5005)")
    up.add_argument("--actions-port", type=int, default=5055, help="port of the action server, loopback only (default 5055)")
    up.add_argument("--logs", type=Path, default=Path("var/log"), help="folder for the processes' logs (default var/log)")
    up.set_defaults(run=_up)

    check = commands.add_parser("check", help="check settings, services, model and speech", description=_CHECK)
    check.set_defaults(run=_check)

    show = commands.add_parser("show", help="show a contact's whole conversation", description=_SHOW)
    show.add_argument("contact", nargs="?", help="contact id; without one, the latest conversations are listed")
    show.set_defaults(run=_show)

    train = commands.add_parser("train", help="train the model if its inputs changed", description=_TRAIN)
    train.set_defaults(run=_train)

    fetch = commands.add_parser("fetch-whisper", help="fetch a Whisper model for better listening", description=_FETCH)
    fetch.add_argument("name", nargs="?", default="base.en", help="tiny.en, base.en, small.en, ... (default base.en)")
    fetch.add_argument("directory", nargs="?", type=Path, help="where to (default: the setting speech.whisper_dir)")
    fetch.set_defaults(run=_fetch_whisper)
    return parser


_UP = "Start the action server and Rasa with both channels; print one address when they are ready. Ctrl-C stops everything."
_CHECK = "Look at every part and say what is wrong and how to mend it. Nothing is changed."
_SHOW = "Print everything that was said with one contact, over all channels and sessions, with facts, outcomes and hand-offs."
_TRAIN = "Train models/ from domain.yml, config.yml and data/, unless the model there is of exactly these inputs."
_FETCH = "Download a faster-whisper model, so that the phone line understands free speech. The line uses it at its next start."


# Each command is imported when it runs: `throughline --help` answers at once.


def _up(options: argparse.Namespace) -> int:
    from throughline.cli.up import up

    return up(host=options.host, port=options.port, actions_port=options.actions_port, logs=options.logs)


def _check(_options: argparse.Namespace) -> int:
    from throughline.cli.check import check

    return check()


def _show(options: argparse.Namespace) -> int:
    from throughline.cli.show import show

    return show(options.contact)


def _train(_options: argparse.Namespace) -> int:
    from throughline.cli.model import train

    train()
    return 0


def _fetch_whisper(options: argparse.Namespace) -> int:
    from throughline.cli.fetch import fetch_whisper

    return fetch_whisper(options.name, options.directory)


if __name__ == "__main__":
    sys.exit(main())
