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
from typing import TYPE_CHECKING, TypeVar

from throughline import log
from throughline import record as record_room
from throughline.connectors.calendar.embedded import EmbeddedCalendar
from throughline.connectors.calendar.protocol import Calendar
from throughline.connectors.crm.embedded import EmbeddedCrm
from throughline.connectors.crm.protocol import Crm
from throughline.domain.key_terms import NO_TERMS, KeyTerms
from throughline.domain.knowledge import Topic
from throughline.errors import ConfigurationError, Problem
from throughline.record import Record
from throughline.settings.business import Business, load_business
from throughline.settings.knowledge import load_knowledge
from throughline.settings.server import Settings, load_settings
from throughline.speech.stt.protocol import SpeechToText
from throughline.speech.tts.cache import CachedTts
from throughline.speech.tts.protocol import TextToSpeech
from throughline.speech.tts.speech_store import SpeechStore
from throughline.telephony.protocol import CallControl, Recordings, Texts

if TYPE_CHECKING:
    from throughline.speech.stt.openai_whisper import OpenAiWhisper
    from throughline.telephony.twilio_control import TwilioControl
    from throughline.telephony.twilio_signature import TwilioSignature

T = TypeVar("T")

SECRET_FILE = Path("var/secret")
SPEECH_FOLDER = Path("var/cache/speech")
_EAR_OPENS_WITHIN_MS = 5000  # embedded engines load their models for a call; a vendor has a shorter limit of its own


@dataclass(frozen=True)
class Application:
    """What a process works with. ``texts`` is None where no text messages are sent."""

    settings: Settings
    business: Business
    record: Record
    crm: Crm
    calendar: Calendar
    knowledge: Mapping[str, Topic]
    texts: Texts | None = None


@functools.lru_cache(maxsize=1)
def application() -> Application:
    """This process's application. Raises ConfigurationError with every fault of the settings, or Unavailable for the record."""
    settings = load_settings()
    log.configure(personal_data=settings.log.personal_data, level=settings.log.level)
    business = load_business(Path(settings.business_dir))
    topics = load_knowledge()
    record = open_record(settings)
    return Application(
        settings=settings,
        business=business,
        record=record,
        crm=EmbeddedCrm(record),
        calendar=EmbeddedCalendar(record),
        knowledge={topic.name: topic for topic in topics},
        texts=texts(settings),
    )


def open_record(settings: Settings) -> Record:
    """The record at the settings' address, migrated. Memoised per address by the record itself. Raises ConfigurationError, also where the
    other servers of this database have another secret."""
    record = record_room.open(settings.database_url(), secret=code_secret(settings))
    record.migrate()
    record.check_secret()
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
    """The telephone line: whose requests are let in, how calls are acted on from outside, and what is recorded of them."""

    signature: TwilioSignature
    control: CallControl
    recordings: Recordings


def texts(settings: Settings, environ: Mapping[str, str] = os.environ) -> Texts | None:
    """What sends text messages; None without a number to send them from, or without an account. Raises as ``telephone``."""
    return _twilio(settings, environ) if settings.twilio.text_from else None


def telephone(settings: Settings, environ: Mapping[str, str] = os.environ) -> Telephone | None:
    """The telephone line of the account in the environment; None without one. Raises ConfigurationError for half of one."""
    control = _twilio(settings, environ)
    if control is None:
        return None
    from throughline.telephony.twilio_signature import TwilioSignature

    account, token = environ[settings.twilio.account_sid_env], environ[settings.twilio.auth_token_env]
    return Telephone(signature=TwilioSignature(account, token), control=control, recordings=control)


def _twilio(settings: Settings, environ: Mapping[str, str]) -> TwilioControl | None:
    """The account in the environment; None without one. Raises ConfigurationError for half of one."""
    twilio = settings.twilio
    account, token = environ.get(twilio.account_sid_env, ""), environ.get(twilio.auth_token_env, "")
    if not account and not token:
        return None
    if not re.fullmatch(r"AC[0-9a-f]{32}", account) or not token:
        mend = f"Set {twilio.account_sid_env} (AC and 32 more) and {twilio.auth_token_env}: both stand on the console's first page."
        raise ConfigurationError([Problem("the environment", "names half of a Twilio account.", mend)])
    from throughline.telephony.twilio_control import TwilioControl

    api_url = environ.get(twilio.api_url_env) or twilio.api_url
    return TwilioControl(account, token, api_url=api_url, timeout_ms=twilio.api_timeout_ms, text_from=twilio.text_from)


@functools.lru_cache(maxsize=1)
def call_control() -> CallControl | None:
    """What this process places calls by; None without an account. Raises as ``telephone`` and ``application``."""
    line = telephone(application().settings)
    return None if line is None else line.control


def listening(settings: Settings, environ: Mapping[str, str] = os.environ, *, terms: KeyTerms = NO_TERMS) -> SpeechToText:
    """The engines that listen for the company's own ``terms``, the chosen one first and after it whatever else there is. Raises
    ConfigurationError for one that was chosen and lacks its key, address or model; otherwise what is wrong shows when it is warmed up."""
    chosen, speech, directory = settings.speech.stt, settings.speech, settings.whisper_dir(environ)
    engines: dict[str, SpeechToText] = {}
    if vendor := deepgram(settings, environ, terms=terms):
        engines["deepgram"] = vendor
    elif chosen == "deepgram":
        raise _no_key("stt", "deepgram", speech.deepgram.key_env)
    if server := openai_whisper(settings, environ, terms=terms):
        engines["openai"] = server
    elif chosen == "openai":
        mend = f"Set speech.openai.url, or {speech.openai.url_env} in the environment, or `stt: auto`."
        raise ConfigurationError([Problem("endpoints.yml throughline.speech.stt", "openai has no address.", mend)])
    from throughline.speech.stt.pocketsphinx import PocketsphinxStt
    from throughline.speech.stt.relay import SttRelay
    from throughline.speech.stt.whisper import WhisperStt, is_whisper_model

    if chosen == "whisper" or is_whisper_model(directory):
        engines["whisper"] = WhisperStt(directory, terms=terms)
    engines["pocketsphinx"] = PocketsphinxStt.from_training_data(Path("data/nlu"))
    return SttRelay(_chosen_first(engines, chosen), open_timeout_ms=_EAR_OPENS_WITHIN_MS, retry_after_s=speech.retry_after_s)


def openai_whisper(
    settings: Settings, environ: Mapping[str, str] = os.environ, *, terms: KeyTerms = NO_TERMS
) -> OpenAiWhisper | None:
    """The Whisper server alone; None without its address."""
    chosen = settings.speech.openai
    url = environ.get(chosen.url_env) or chosen.url
    if not url:
        return None
    from throughline.speech.stt.openai_whisper import OpenAiWhisper

    return OpenAiWhisper(
        url,
        key=environ.get(chosen.key_env, ""),
        model=chosen.model,
        language=chosen.language,
        timeout_ms=chosen.timeout_ms,
        terms=terms,
    )


def deepgram(settings: Settings, environ: Mapping[str, str] = os.environ, *, terms: KeyTerms = NO_TERMS) -> SpeechToText | None:
    """Deepgram alone; None without its key."""
    speech, chosen = settings.speech, settings.speech.deepgram
    key, url = environ.get(chosen.key_env), environ.get(chosen.url_env) or chosen.url
    if not key:
        return None
    if chosen.model.startswith("flux"):
        from throughline.speech.stt.deepgram_flux import DeepgramFlux

        return DeepgramFlux(
            key,
            url=url,
            model=chosen.model,
            eot_threshold=chosen.eot_threshold,
            eot_timeout_ms=chosen.eot_timeout_ms,
            eager_eot_threshold=chosen.eager_eot_threshold,
            terms=terms,
            open_timeout_ms=speech.open_timeout_ms,
            stall_timeout_ms=speech.stall_timeout_ms,
        )
    from throughline.speech.stt.deepgram_nova import DeepgramNova

    return DeepgramNova(
        key,
        url=url,
        model=chosen.model,
        language=chosen.language,
        endpointing_ms=chosen.endpointing_ms,
        utterance_end_ms=chosen.utterance_end_ms,
        terms=terms,
        open_timeout_ms=speech.open_timeout_ms,
        stall_timeout_ms=speech.stall_timeout_ms,
    )


def speaking(settings: Settings, environ: Mapping[str, str] = os.environ) -> TextToSpeech:
    """The engines that speak, as ``listening``."""
    return _relay(_voices(settings, environ), settings)


@dataclass(frozen=True)
class Voice:
    """What calls speak with: ``tts``; ``kept``, its first engine with the speech that is kept on disk, None where none is; ``paid``,
    whether somebody is paid for what that engine says."""

    tts: TextToSpeech
    kept: CachedTts | None
    paid: bool


def voice(settings: Settings, environ: Mapping[str, str] = os.environ) -> Voice:
    """The engines that speak, with what they have said. Raises as ``listening``."""
    engines = _voices(settings, environ)
    first = next(iter(engines))
    kept = None
    if settings.speech.cache_mb:
        store = SpeechStore(SPEECH_FOLDER, most_bytes=settings.speech.cache_mb * 1_000_000)
        chosen = getattr(settings.speech, first)
        # What a server of tests has said is not the vendor's.
        addresses = [environ.get(getattr(chosen, name, ""), "") for name in ("url_env", "ws_url_env")]
        kept = CachedTts(engines[first], store, voice=" ".join([repr(chosen), *addresses]))
        engines[first] = kept
    return Voice(_relay(engines, settings), kept, paid=first != "espeak")


def _relay(engines: Mapping[str, TextToSpeech], settings: Settings) -> TextToSpeech:
    from throughline.speech.tts.relay import TtsRelay

    return TtsRelay(
        list(engines.values()),
        first_audio_timeout_ms=settings.speech.first_audio_timeout_ms,
        retry_after_s=settings.speech.retry_after_s,
    )


def _voices(settings: Settings, environ: Mapping[str, str]) -> dict[str, TextToSpeech]:
    """The engines that speak by the names of their settings, the chosen one first. Raises as ``listening``."""
    chosen, speech = settings.speech.tts, settings.speech
    engines: dict[str, TextToSpeech] = {}
    if vendor := elevenlabs(settings, environ):
        engines["elevenlabs"] = vendor
    elif chosen == "elevenlabs":
        raise _no_key("tts", "elevenlabs", speech.elevenlabs.key_env)
    if vendor := rime(settings, environ):
        engines["rime"] = vendor
    elif chosen == "rime":
        raise _no_key("tts", "rime", speech.rime.key_env)
    from throughline.speech.tts.espeak import EspeakTts

    espeak = speech.espeak
    engines["espeak"] = EspeakTts(voice=espeak.voice, rate_wpm=espeak.rate_wpm, pitch=espeak.pitch)
    return {name: engines[name] for name in sorted(engines, key=lambda name: name != chosen)}  # stable: else in their own order


def elevenlabs(settings: Settings, environ: Mapping[str, str] = os.environ) -> TextToSpeech | None:
    """ElevenLabs alone; None without its key."""
    speech, chosen = settings.speech, settings.speech.elevenlabs
    key, url = environ.get(chosen.key_env), environ.get(chosen.url_env) or chosen.url
    if not key:
        return None
    voice, timeout_ms = {"voice_id": chosen.voice_id, "model": chosen.model}, speech.first_audio_timeout_ms
    if chosen.transport == "websocket":
        from throughline.speech.tts.elevenlabs_socket import ElevenLabsSocketTts

        return ElevenLabsSocketTts(key, url=url, first_audio_timeout_ms=timeout_ms, **voice)
    from throughline.speech.tts.elevenlabs import ElevenLabsTts

    return ElevenLabsTts(key, url=url, first_audio_timeout_ms=timeout_ms, **voice)


def rime(settings: Settings, environ: Mapping[str, str] = os.environ) -> TextToSpeech | None:
    """Rime alone; None without its key."""
    speech, chosen = settings.speech, settings.speech.rime
    key = environ.get(chosen.key_env)
    if not key:
        return None
    from throughline.speech.tts.rime_account import Account

    account = Account(key, model=chosen.model, voice=chosen.voice, language=chosen.language)
    if chosen.transport == "http":
        from throughline.speech.tts.rime_http import RimeHttpTts

        url = environ.get(chosen.url_env) or chosen.url
        return RimeHttpTts(account, url=url, first_audio_timeout_ms=speech.first_audio_timeout_ms)
    from throughline.speech.tts.rime_socket import RimeSocketTts

    url = environ.get(chosen.ws_url_env) or chosen.ws_url
    return RimeSocketTts(account, url=url, first_audio_timeout_ms=speech.first_audio_timeout_ms)


def _chosen_first(engines: Mapping[str, T], chosen: str) -> list[T]:
    return [engines[name] for name in sorted(engines, key=lambda name: name != chosen)]  # stable: else in their own order


def _no_key(kind: str, engine: str, variable: str) -> ConfigurationError:
    mend = f"Set {variable} in the environment, or `{kind}: auto`."
    return ConfigurationError([Problem(f"endpoints.yml throughline.speech.{kind}", f"{engine} has no key.", mend)])
