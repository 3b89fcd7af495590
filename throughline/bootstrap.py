"""The only place where adapters are chosen and wired.

Everything above (actions, channels, the command line) asks here for what it needs; everything below knows only protocols.
Nothing here imports Rasa: the action server starts in a second because of it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from throughline import log
from throughline import record as record_room
from throughline.connectors.calendar.embedded import EmbeddedCalendar
from throughline.connectors.calendar.protocol import Calendar
from throughline.connectors.crm.embedded import EmbeddedCrm
from throughline.connectors.crm.protocol import Crm
from throughline.errors import ConfigurationError, Problem
from throughline.record import Record
from throughline.settings.business import Business, load_business
from throughline.settings.server import Settings, load_settings
from throughline.speech.stt.protocol import SpeechToText
from throughline.speech.tts.protocol import TextToSpeech
from throughline.telephony.protocol import CallControl

if TYPE_CHECKING:
    from throughline.telephony.twilio_signature import TwilioSignature

SECRET_FILE = Path("var/secret")


@dataclass(frozen=True)
class Application:
    """What a process works with."""

    settings: Settings
    business: Business
    record: Record
    crm: Crm
    calendar: Calendar


@functools.lru_cache(maxsize=1)
def application() -> Application:
    """This process's application. Raises ConfigurationError with every fault of the settings, or Unavailable for the record."""
    settings = load_settings()
    log.configure(personal_data=settings.log.personal_data, level=settings.log.level)
    business = load_business(Path(settings.business_dir))
    record = open_record(settings)
    return Application(
        settings=settings,
        business=business,
        record=record,
        crm=EmbeddedCrm(record),
        calendar=EmbeddedCalendar(record),
    )


def open_record(settings: Settings) -> Record:
    """The record at the settings' address, migrated. Memoised per address by the record itself."""
    record = record_room.open(settings.database_url(), secret=code_secret(settings))
    record.migrate()
    return record


def code_secret(settings: Settings) -> bytes:
    """The key under which one-time codes are stored: from the environment, else a random one kept for this machine."""
    from_environment = os.environ.get(settings.database.secret_env)
    if from_environment:
        return from_environment.encode()
    if not SECRET_FILE.exists():
        SECRET_FILE.parent.mkdir(parents=True, exist_ok=True)
        descriptor, written = tempfile.mkstemp(dir=SECRET_FILE.parent)  # only its owner may read it
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        # Linked into place whole: another process of ours finds no half of it, and the first one's stays.
        with contextlib.suppress(FileExistsError):
            os.link(written, SECRET_FILE)
        Path(written).unlink()
    return SECRET_FILE.read_bytes()


@dataclass(frozen=True)
class Telephone:
    """The telephone line: whose requests are let in, and how calls are acted on from outside."""

    signature: TwilioSignature
    control: CallControl


def telephone(settings: Settings, environ: Mapping[str, str] = os.environ) -> Telephone | None:
    """The telephone line of the account in the environment; None without one. Raises ConfigurationError for half of one."""
    twilio = settings.twilio
    account, token = environ.get(twilio.account_sid_env, ""), environ.get(twilio.auth_token_env, "")
    if not account and not token:
        return None
    if not re.fullmatch(r"AC[0-9a-f]{32}", account) or not token:
        mend = f"Set {twilio.account_sid_env} (AC and 32 more) and {twilio.auth_token_env}: both stand on the console's first page."
        raise ConfigurationError([Problem("the environment", "names half of a Twilio account.", mend)])
    from throughline.telephony.twilio_control import TwilioControl
    from throughline.telephony.twilio_signature import TwilioSignature

    api_url = environ.get(twilio.api_url_env) or twilio.api_url
    return Telephone(
        signature=TwilioSignature(account, token),
        control=TwilioControl(account, token, api_url=api_url, timeout_ms=twilio.api_timeout_ms),
    )


def listening(settings: Settings) -> SpeechToText:
    """The engine that listens. Raises ConfigurationError or Unavailable when it is opened, not here."""
    directory = settings.whisper_dir()
    if settings.speech.stt in ("whisper", "auto"):
        from throughline.speech.stt.whisper import WhisperStt, is_whisper_model

        if settings.speech.stt == "whisper" or is_whisper_model(directory):
            return WhisperStt(directory)
    from throughline.speech.stt.pocketsphinx import PocketsphinxStt

    return PocketsphinxStt.from_training_data(Path("data/nlu"))


def speaking(settings: Settings) -> TextToSpeech:
    """The engine that speaks."""
    from throughline.speech.tts.espeak import EspeakTts

    espeak = settings.speech.espeak
    return EspeakTts(voice=espeak.voice, rate_wpm=espeak.rate_wpm, pitch=espeak.pitch)
