"""The operator's settings of the speech engines: the key ``speech:`` below ``throughline:``. See ``settings.server``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughline.errors import Problem
from throughline.settings.checked_yaml import line_of, setting

_LEAST_EAGER = 0.3


@dataclass(frozen=True)
class DeepgramSettings:
    """Listening by Deepgram."""

    key_env: str = setting("DEEPGRAM_API_KEY", doc="Environment variable with the key.")
    url: str = setting("wss://api.deepgram.com", doc="Deepgram's address.")
    url_env: str = setting("DEEPGRAM_URL", doc="Environment variable that overrides `url`.")
    model: str = setting("nova-3", doc="A Nova model, or `flux-general-en`, which judges by itself when a caller is done.")
    language: str = setting("en-US", doc="Language of a Nova model.")
    endpointing_ms: int = setting(300, minimum=10, maximum=3000, doc="Nova: silence after which words are final.")
    utterance_end_ms: int = setting(1000, minimum=1000, maximum=5000, doc="Nova: gap between words that ends a turn in noise.")
    eot_threshold: float = setting(0.7, minimum=0.5, maximum=0.9, doc="Flux: how sure it must be that the caller is done.")
    eot_timeout_ms: int = setting(5000, minimum=500, maximum=10000, doc="Flux: silence that ends a turn however unsure it is.")
    eager_eot_threshold: float = setting(
        0.4,
        minimum=0,
        maximum=0.9,
        doc="Flux: how sure it must be to say that the caller may be done, some 200 ms before it says so: 0.3 or more, not above "
        "`eot_threshold`. 0: it says nothing beforehand.",
    )


@dataclass(frozen=True)
class OpenAiSettings:
    """Listening by a Whisper model on a server that speaks OpenAI's protocol."""

    url: str = setting(
        "",
        doc="Address of the server up to `/audio/transcriptions`: `https://api.openai.com/v1`, or your own. Empty: none is used. Callers' "
        "voices go there.",
    )
    url_env: str = setting("WHISPER_URL", doc="Environment variable that overrides `url`.")
    key_env: str = setting("WHISPER_API_KEY", doc="Environment variable with the key, where the server wants one.")
    model: str = setting("whisper-1", doc="Model that transcribes.")
    language: str = setting("en", doc="Language that is spoken, in two letters.")
    timeout_ms: int = setting(4000, minimum=500, maximum=30000, doc="How long the words of one utterance may take.")


@dataclass(frozen=True)
class ElevenLabsSettings:
    """Speaking by ElevenLabs."""

    key_env: str = setting("ELEVENLABS_API_KEY", doc="Environment variable with the key.")
    url: str = setting("https://api.elevenlabs.io", doc="ElevenLabs' address.")
    url_env: str = setting("ELEVENLABS_URL", doc="Environment variable that overrides `url`.")
    transport: str = setting(
        "http",
        choices=("http", "websocket"),
        doc="How ElevenLabs is reached: one request a sentence, which it advises for whole sentences, or a websocket for each, opened "
        "beforehand.",
    )
    voice_id: str = setting("JBFqnCBsd6RMkjVDRZzb", doc="Id of the voice.")
    model: str = setting("eleven_flash_v2_5", doc="Model that makes the voice.")


@dataclass(frozen=True)
class RimeSettings:
    """Speaking by Rime."""

    key_env: str = setting("RIME_API_KEY", doc="Environment variable with the key.")
    transport: str = setting(
        "websocket",
        choices=("websocket", "http"),
        doc="How Rime is reached: a websocket that stays open from sentence to sentence, or one request a sentence.",
    )
    url: str = setting("https://users.rime.ai", doc="Rime's address for requests.")
    url_env: str = setting("RIME_URL", doc="Environment variable that overrides `url`.")
    ws_url: str = setting("wss://users-ws.rime.ai", doc="Rime's address for websockets.")
    ws_url_env: str = setting("RIME_WS_URL", doc="Environment variable that overrides `ws_url`.")
    model: str = setting("mistv3", doc="Model that makes the voice.")
    voice: str = setting("celeste", doc="Name of the voice: one that the model has.")
    language: str = setting("eng", doc="Language of the voice.")


@dataclass(frozen=True)
class EspeakSettings:
    """The embedded voice."""

    voice: str = setting("en-us", doc="espeak-ng voice.")
    rate_wpm: int = setting(165, minimum=80, maximum=400, doc="Words a minute.")
    pitch: int = setting(45, minimum=0, maximum=99, doc="Pitch.")


@dataclass(frozen=True)
class SpeechSettings:
    """Which engines listen and speak."""

    stt: str = setting(
        "auto",
        choices=("auto", "deepgram", "openai", "whisper", "pocketsphinx"),
        doc="Engine that listens first; auto takes Deepgram where its key is, then the Whisper server of `speech.openai` where its address "
        "is, then Whisper where a model is, then pocketsphinx. When one fails in a call, the next goes on.",
    )
    tts: str = setting(
        "auto",
        choices=("auto", "elevenlabs", "rime", "espeak"),
        doc="Engine that speaks first; auto takes ElevenLabs where its key is, then Rime where its key is, then espeak. When one fails in "
        "a call, the next goes on.",
    )
    open_timeout_ms: int = setting(2000, minimum=200, maximum=10000, doc="How long a vendor may take to begin to listen.")
    first_audio_timeout_ms: int = setting(
        1500, minimum=200, maximum=10000, doc="How long a voice may take to begin, or to go on."
    )
    stall_timeout_ms: int = setting(
        4000, minimum=1000, maximum=30000, doc="Speech sent for so long without a word from the recogniser: it has stalled."
    )
    retry_after_s: int = setting(30, minimum=1, maximum=3600, doc="How long a vendor that failed is left alone.")
    deepgram: DeepgramSettings = setting(factory=DeepgramSettings, doc="Listening by Deepgram.")
    openai: OpenAiSettings = setting(factory=OpenAiSettings, doc="Listening by a Whisper server.")
    elevenlabs: ElevenLabsSettings = setting(factory=ElevenLabsSettings, doc="Speaking by ElevenLabs.")
    rime: RimeSettings = setting(factory=RimeSettings, doc="Speaking by Rime.")
    whisper_dir: str = setting("var/whisper", doc="Directory of a faster-whisper model.")
    whisper_dir_env: str = setting("THROUGHLINE_WHISPER_DIR", doc="Environment variable that overrides `whisper_dir`.")
    espeak: EspeakSettings = setting(factory=EspeakSettings, doc="The embedded voice.")
    cache_mb: int = setting(
        128,
        minimum=0,
        maximum=10_000,
        doc="Room for the speech of fixed sentences in `var/cache/speech`, so that it begins at once. 0: none is kept.",
    )
    make_ahead: bool = setting(
        True,
        doc="Whether a server makes in the background the speech of all fixed sentences that is not kept yet. With a voice that is paid "
        "for by the character, `throughline voice --count` tells beforehand how many that are.",
    )


def flux_problems(deepgram: DeepgramSettings, speech: Mapping[str, Any], file: Path, path: str) -> list[Problem]:
    """What Deepgram would refuse. ``speech`` is what stands in ``file`` at ``path``."""
    eager, most = deepgram.eager_eot_threshold, deepgram.eot_threshold
    if eager == 0 or _LEAST_EAGER <= eager <= most:
        return []
    written = speech.get("deepgram") or {}
    key = "eager_eot_threshold" if "eager_eot_threshold" in written else "eot_threshold"
    what = f"{eager} is neither 0 nor from {_LEAST_EAGER} to eot_threshold ({most})."
    return [Problem(f"{file}:{line_of(written, key)} {path}.deepgram.{key}", what, "Set it between: Deepgram refuses it.")]
