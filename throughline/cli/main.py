"""``throughline COMMAND``: the way in for operators and trainers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

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
    check.add_argument("--live", action="store_true", help="also try the vendors' keys, the number and the public address")
    check.set_defaults(run=_check)

    _add_call(commands)

    show = commands.add_parser("show", help="show a contact's whole conversation", description=_SHOW)
    show.add_argument("contact", nargs="?", help="contact id; without one, the latest conversations are listed")
    show.add_argument("--timing", action="store_true", help="instead: what each answer on the phone took, stage by stage")
    show.set_defaults(run=_show)

    merge = commands.add_parser("merge", help="make two contacts one person", description=_MERGE)
    merge.add_argument("contact", help="contact id: the one that becomes a part of the other")
    merge.add_argument("into", help="contact id: the one that is right where both know something")
    merge.set_defaults(run=_merge)

    unmerge = commands.add_parser("unmerge", help="take back that two contacts are one person", description=_UNMERGE)
    unmerge.add_argument("contact", help="contact id: the one that became a part of another")
    unmerge.add_argument("--because", default="unmerged by an operator", help="the reason, for the audit log")
    unmerge.set_defaults(run=_unmerge)

    train = commands.add_parser("train", help="train the model if its inputs changed", description=_TRAIN)
    train.set_defaults(run=_train)

    fetch = commands.add_parser("fetch-whisper", help="fetch a Whisper model for better listening", description=_FETCH)
    fetch.add_argument("name", nargs="?", default="base.en", help="tiny.en, base.en, small.en, ... (default base.en)")
    fetch.add_argument("directory", nargs="?", type=Path, help="where to (default: the setting speech.whisper_dir)")
    fetch.set_defaults(run=_fetch_whisper)
    _add_voice(commands)
    _add_personal_data(commands)
    return parser


def _add_voice(commands: Any) -> None:
    voice = commands.add_parser("voice", help="have the phone's fixed sentences spoken beforehand", description=_VOICE)
    what = voice.add_mutually_exclusive_group()
    what.add_argument("--count", action="store_true", help="only say how many characters are still to be spoken")
    what.add_argument("--yes", action="store_true", help="do not ask")
    what.add_argument("--say", metavar="TEXT", help="instead: speak this, and print how the voice is given it")
    voice.add_argument(
        "--save",
        type=Path,
        default=Path("var/said.wav"),
        metavar="FILE.wav",
        help="with --say: where to (default var/said.wav)",
    )
    voice.set_defaults(run=_voice)


def _add_personal_data(commands: Any) -> None:
    export = commands.add_parser("export", help="write down everything that is kept of one person", description=_EXPORT)
    _add_whose(export)
    export.add_argument("--to", type=Path, metavar="FILE.zip", help="the archive (default CONTACT.zip in this folder)")
    export.set_defaults(run=_export)

    erase = commands.add_parser("erase", help="erase one person", description=_ERASE)
    _add_whose(erase)
    erase.add_argument("--yes", action="store_true", help="do not ask")
    erase.add_argument("--cancel-visits", action="store_true", help="cancel visits that are still ahead")
    words = erase.add_mutually_exclusive_group()
    words.add_argument("--training-data", action="store_true", help="take their sentences out of data/nlu")
    words.add_argument("--leave-training-data", action="store_true", help="leave them: anybody might have said them")
    erase.set_defaults(run=_erase)

    retain = commands.add_parser(
        "retain", help="remove what is older than data/business/retention.yml says", description=_RETAIN
    )
    retain.add_argument("--dry-run", action="store_true", help="only say how much that is")
    retain.set_defaults(run=_retain)


def _add_call(commands: Any) -> None:
    call = commands.add_parser(
        "call",
        help="call a running line, say WAV files or speak, and read what was said",
        description=_CALL,
        epilog=_CALL_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    call.add_argument("wavs", nargs="*", type=Path, metavar="WAV", help="sound to say, each once the assistant is quiet")
    call.add_argument("--to", metavar="URL", help="the line's address (default: the setting site.public_url)")
    call.add_argument("--from", dest="caller", type=_number, default="+15035550100", metavar="NUMBER", help=_FROM_HELP)
    call.add_argument("--keys", type=_keys, metavar="DIGITS", help="keys to press after the greeting, such as a code")
    call.add_argument("--microphone", action="store_true", help="speak yourself after the rest; Ctrl-C hangs up")
    call.add_argument("--page", action="store_true", help="call as the page's own phone, even where Twilio's keys are set")
    call.add_argument("--save", type=Path, metavar="FILE.wav", help="keep what was heard")
    call.set_defaults(run=_call)


def _add_whose(command: Any) -> None:
    """The ways of naming somebody."""
    command.add_argument("contact", nargs="?", help="contact id (`throughline show` lists the latest)")
    command.add_argument("--phone", type=_number, metavar="NUMBER", help="instead: their telephone number, as +15035550100")
    command.add_argument("--email", metavar="ADDRESS", help="instead: their e-mail address")
    command.add_argument(
        "--account", metavar="ID", help="instead: their account of the website, as `throughline show` names it"
    )


def _number(text: str) -> str:
    if text != "anonymous" and not (
        text.startswith("+") and text[1:].isascii() and text[1:].isdigit() and 5 <= len(text) <= 16
    ):
        raise argparse.ArgumentTypeError("write the number as +15035550100, or anonymous")
    return text


def _keys(text: str) -> str:
    if not text or set(text) - set("0123456789*#"):
        raise argparse.ArgumentTypeError("keys are 0 to 9, * and #")
    return text


_UP = "Start the action server and Rasa with both channels; print one address when they are ready. Ctrl-C stops everything."
_CHECK = (
    "Look at every part and say what is wrong and how to mend it. Nothing is changed. With --live also: the speech vendors with "
    "your keys, your Twilio account and number, and your public address as Twilio meets it. Nothing outside is asked without --live."
)
_CALL = """Call a running line as Twilio would: signed webhooks, then a media stream in real time. Everything is the real way in; only
the telephone network is left out. TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN must be those of the line. Where they are not set, the
call is made as the page's own phone makes it. Both sides' words are printed as they are said.

Exit status: 0 if the assistant answered every time, 1 if not, 2 for wrong usage."""
_CALL_EXAMPLES = """examples:
  throughline call                          hear the greeting, and hang up
  throughline call leak.wav name.wav        say two sentences, one after the other
  throughline call --keys 12345678 hi.wav   go on with a chat by its code
  throughline call --microphone             speak yourself
  throughline call --to https://voice.example.com leak.wav   through the tunnel, as Twilio comes

A WAV file may have any rate, 8 to 32 bits, one channel or more. Short sentences, spoken clearly, do best with the demo recogniser.
To make one:  espeak-ng -w leak.wav "my washing machine is leaking"   or:  arecord -f S16_LE -r 16000 -d 4 leak.wav"""
_FROM_HELP = "the caller's number (default +15035550100)"
_SHOW = "Print everything that was said with one contact, over all channels and sessions, with facts, outcomes and hand-offs."
_MERGE = "Make one person of two contacts. Their conversations become one; what the other does not know is carried over to it."
_UNMERGE = (
    "Take the latest merge of a contact back. Its visits go back to it, with what was said and done in them since, and what the merge "
    "carried over leaves the other. Whoever is in one of these visits has to prove again who they are."
)
_EXPORT = (
    "Write everything that is kept of one person, over all their ids, channels and visits, into an archive that they can be given: a "
    "page to read, and the same as JSON. Nothing of anybody else is in it. Exit status: 0 when it is written, 1 if not."
)
_ERASE = (
    "Erase one person: everything said, known and recorded of them under all their ids; here, in the training data and at the telephone "
    "company. What the books need (that there was a visit, and when) stays without them. It says beforehand what goes and what stays, "
    "and asks. Safe to run again. Exit status: 0 once nothing is left, 1 while something is (it says what), 2 for wrong usage."
)
_RETAIN = "Remove what is older than data/business/retention.yml says, as the servers do once a day. Safe to run at any time."
_TRAIN = "Train models/ from domain.yml, config.yml and data/, unless the model there is of exactly these inputs."
_FETCH = "Download a faster-whisper model, so that the phone line understands free speech. The line uses it at its next start."

_VOICE = (
    "Have all fixed sentences of the phone spoken and kept in var/cache/speech, so that callers hear them at once. A server does so by "
    "itself in the background. It says beforehand how many characters that are, and asks if they are paid for. With --say, listen to how "
    "a sentence sounds, such as after an edit of data/business/lexicon.yml."
)


# Each command is imported when it runs: `throughline --help` answers at once.


def _up(options: argparse.Namespace) -> int:
    from throughline.cli.up import up

    return up(host=options.host, port=options.port, actions_port=options.actions_port, logs=options.logs)


def _check(options: argparse.Namespace) -> int:
    from throughline.cli.check import check

    return check(live=options.live)


def _call(options: argparse.Namespace) -> int:
    from throughline.cli.call import CallOrder, call

    order = CallOrder(
        wavs=tuple(options.wavs),
        to=options.to,
        caller=options.caller,
        keys=options.keys or "",
        microphone=options.microphone,
        page=options.page,
        save=options.save,
    )
    return call(order)


def _show(options: argparse.Namespace) -> int:
    from throughline.cli.show import show

    if options.timing and options.contact is None:
        raise SystemExit("Say whose: `throughline show CONTACT --timing`; `throughline show` lists the latest.")
    return show(options.contact, timing=options.timing)


def _merge(options: argparse.Namespace) -> int:
    from throughline.cli.merging import merge

    return merge(options.contact, options.into)


def _unmerge(options: argparse.Namespace) -> int:
    from throughline.cli.merging import unmerge

    return unmerge(options.contact, options.because)


def _export(options: argparse.Namespace) -> int:
    from throughline.cli.export import export

    return export(options)


def _erase(options: argparse.Namespace) -> int:
    from throughline.cli.erase import erase

    return erase(options)


def _retain(options: argparse.Namespace) -> int:
    from throughline.cli.retain import retain

    return retain(dry_run=options.dry_run)


def _train(_options: argparse.Namespace) -> int:
    from throughline.cli.model import train

    train()
    return 0


def _fetch_whisper(options: argparse.Namespace) -> int:
    from throughline.cli.fetch import fetch_whisper

    return fetch_whisper(options.name, options.directory)


def _voice(options: argparse.Namespace) -> int:
    from throughline.cli.voice import say, voice

    return say(options.say, options.save) if options.say else voice(count=options.count, yes=options.yes)


if __name__ == "__main__":
    sys.exit(main())
