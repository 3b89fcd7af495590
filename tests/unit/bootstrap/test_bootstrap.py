"""How the parts are chosen, and the key for one-time codes."""

from __future__ import annotations

import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from throughline import bootstrap
from throughline.domain.transcripts import TELEPHONE
from throughline.errors import ConfigurationError
from throughline.settings.server import Settings, TwilioSettings
from throughline.settings.speech import DeepgramSettings, ElevenLabsSettings, RimeSettings

pytestmark = pytest.mark.unit


def test_the_key_comes_from_the_environment_where_it_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "SECRET_FILE", tmp_path / "secret")
    monkeypatch.setenv("THROUGHLINE_SECRET", "from the environment")
    assert bootstrap.code_secret(Settings()) == b"from the environment"
    assert not (tmp_path / "secret").exists()


def test_else_a_random_one_is_kept_and_only_its_owner_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "var" / "secret"
    monkeypatch.setattr(bootstrap, "SECRET_FILE", file)
    monkeypatch.delenv("THROUGHLINE_SECRET", raising=False)
    key = bootstrap.code_secret(Settings())
    assert len(key) == 32
    assert bootstrap.code_secret(Settings()) == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_without_a_whisper_model_the_demo_recogniser_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for directory in (tmp_path / "none", tmp_path):
        monkeypatch.setenv("THROUGHLINE_WHISPER_DIR", str(directory))
        assert bootstrap.listening(Settings()).demo


KEYS = {"DEEPGRAM_API_KEY": "k1", "ELEVENLABS_API_KEY": "k2"}


def chosen(**speech: Any) -> Settings:
    return replace(Settings(), speech=replace(Settings().speech, **speech))


def test_auto_takes_the_vendor_whose_key_is_there() -> None:
    assert bootstrap.listening(Settings(), KEYS).name == "deepgram nova-3"
    assert bootstrap.speaking(Settings(), KEYS).name == "elevenlabs eleven_flash_v2_5"
    assert bootstrap.listening(Settings(), {}).demo
    assert bootstrap.speaking(Settings(), {}).name == "espeak-ng"


def test_what_is_chosen_comes_first_whatever_keys_there_are() -> None:
    assert bootstrap.listening(chosen(stt="pocketsphinx"), KEYS).demo
    assert bootstrap.speaking(chosen(tts="espeak"), KEYS).name == "espeak-ng"
    assert bootstrap.listening(chosen(stt="deepgram"), KEYS).name == "deepgram nova-3"


def test_a_flux_model_is_spoken_to_in_its_own_way() -> None:
    flux = chosen(deepgram=DeepgramSettings(model="flux-general-en"))
    assert bootstrap.listening(flux, KEYS).name == "deepgram flux-general-en"


def test_a_vendor_that_was_chosen_needs_its_key() -> None:
    with pytest.raises(ConfigurationError, match="deepgram has no key"):
        bootstrap.listening(chosen(stt="deepgram"), {})
    with pytest.raises(ConfigurationError, match="elevenlabs has no key"):
        bootstrap.speaking(chosen(tts="elevenlabs"), {})


def test_of_several_voices_the_chosen_one_comes_first_and_elevenlabs_before_rime() -> None:
    both = {**KEYS, "RIME_API_KEY": "k3"}
    assert bootstrap.speaking(Settings(), {"RIME_API_KEY": "k3"}).name == "rime mistv3"
    assert bootstrap.speaking(Settings(), both).name == "elevenlabs eleven_flash_v2_5"
    assert bootstrap.speaking(chosen(tts="rime"), both).name == "rime mistv3"
    with pytest.raises(ConfigurationError, match="rime has no key"):
        bootstrap.speaking(chosen(tts="rime"), KEYS)


@pytest.mark.parametrize(("transport", "kind"), [("http", "RimeHttpTts"), ("websocket", "RimeSocketTts")])
def test_rime_is_reached_by_the_way_that_is_set(transport: str, kind: str) -> None:
    voice = bootstrap.rime(chosen(rime=RimeSettings(transport=transport)), {"RIME_API_KEY": "k3"})
    assert type(voice).__name__ == kind


@pytest.mark.parametrize(("transport", "kind"), [("http", "ElevenLabsTts"), ("websocket", "ElevenLabsSocketTts")])
def test_elevenlabs_is_reached_by_the_way_that_is_set(transport: str, kind: str) -> None:
    voice = bootstrap.elevenlabs(chosen(elevenlabs=ElevenLabsSettings(transport=transport)), KEYS)
    assert type(voice).__name__ == kind


def test_speech_is_kept_apart_for_each_vendor_model_voice_way_and_address() -> None:
    rime, elevenlabs = {"RIME_API_KEY": "k3"}, KEYS
    heard = [
        bootstrap.voice(chosen(**speech), environ)
        for speech, environ in [
            ({}, {}),
            ({}, rime),
            ({"rime": RimeSettings(transport="http")}, rime),
            ({"rime": RimeSettings(model="coda")}, rime),
            ({"rime": RimeSettings(voice="luna")}, rime),
            ({}, {**rime, "RIME_WS_URL": "ws://localhost:1"}),
            ({}, elevenlabs),
            ({"elevenlabs": ElevenLabsSettings(transport="websocket")}, elevenlabs),
            ({"elevenlabs": ElevenLabsSettings(voice_id="another")}, elevenlabs),
            ({}, {**elevenlabs, "ELEVENLABS_URL": "http://localhost:1"}),
        ]
    ]
    keys = {voice.kept._key("Hello.", TELEPHONE, 1.0) for voice in heard if voice.kept}
    assert len(keys) == len(heard)
    assert [voice.paid for voice in heard] == [False] + [True] * 9


def test_a_whisper_server_listens_where_its_address_is_set_and_after_deepgram() -> None:
    at = {"WHISPER_URL": "http://localhost:8000/v1"}
    assert bootstrap.listening(Settings(), at).name == "openai whisper-1"
    assert bootstrap.listening(Settings(), {**KEYS, **at}).name == "deepgram nova-3"
    assert bootstrap.listening(chosen(stt="openai"), {**KEYS, **at}).name == "openai whisper-1"
    assert bootstrap.listening(Settings(), {"WHISPER_API_KEY": "k", "OPENAI_API_KEY": "k"}).demo, (
        "a key alone sends nobody's voice away"
    )
    with pytest.raises(ConfigurationError, match="WHISPER_URL"):
        bootstrap.listening(chosen(stt="openai"), KEYS)


def test_a_telephone_line_needs_its_whole_account() -> None:
    account = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "token"}
    assert bootstrap.telephone(Settings(), {}) is None
    assert bootstrap.telephone(Settings(), account) is not None
    for half in ({"TWILIO_ACCOUNT_SID": "AC" + "0" * 32}, {"TWILIO_AUTH_TOKEN": "t"}, {**account, "TWILIO_ACCOUNT_SID": "AC1"}):
        with pytest.raises(ConfigurationError, match="half of a Twilio account"):
            bootstrap.telephone(Settings(), half)


def test_text_messages_need_a_number_to_send_them_from_and_an_account() -> None:
    account = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "token"}
    texting = replace(Settings(), twilio=TwilioSettings(text_from="+15035550142"))
    assert bootstrap.texts(texting, account) is not None
    assert bootstrap.texts(texting, {}) is None
    assert bootstrap.texts(Settings(), account) is None
    with pytest.raises(ConfigurationError, match="half of a Twilio account"):
        bootstrap.texts(texting, {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32})


def test_the_action_server_never_loads_rasa() -> None:
    code = (
        "import actions.resume, throughline.bootstrap, sys; sys.exit(int('rasa' in sys.modules or 'tensorflow' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
