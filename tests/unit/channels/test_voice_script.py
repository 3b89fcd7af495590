"""The domain's sentences as a call's wording, and their speech made ahead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML

from channels.voice_script import VoiceScript, formats, script
from throughline.bootstrap import Voice
from throughline.domain.knowledge import Topic
from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.errors import Unavailable
from throughline.settings.business import load_business
from throughline.settings.server import Settings, SpeechSettings
from throughline.speech.tts.cache import CachedTts
from throughline.speech.tts.speech_store import SpeechStore

pytestmark = pytest.mark.unit

BUSINESS = load_business(Path("data/business"))
RESPONSES: dict[str, Any] = {
    "utter_greet": [{"text": "Hello in the chat."}, {"text": "Hello on the phone.", "channel": "phone"}],
    "utter_known": [{"text": "I have everything from before: {known}. Is that all of it?", "channel": "phone"}],
    "utter_bye": [{"text": "Goodbye, everybody."}],
    "utter_apology": [{"text": "Sorry, that went wrong."}],
    "utter_login_expired": [{"text": "Please log in again."}],
    "utter_link_text": [{"text": "Go on here. {link}"}],
    "utter_filler": [{"text": "One moment.", "channel": "phone"}, {"text": "Nearly there.", "channel": "phone"}],
    "utter_picture": [{"image": "https://example.com/x.png"}],
}
TOPIC = Topic("visit#window", "Visit", "When", "Written.", "A window of two hours.", ("when",))
FIXED = {
    "Hello on the phone.",
    "Is that all of it?",
    "Goodbye, everybody.",
    "Sorry, that went wrong.",
    "A window of two hours.",
}


class Speaker:
    """A voice that remembers what it said; it fails at ``fails_at``."""

    name = "speaker"

    def __init__(self) -> None:
        self.said: list[tuple[str, AudioFormat]] = []
        self.fails_at = ""
        self.frames = 3

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing is kept open."""

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        if text == self.fails_at:
            raise Unavailable("gone")
        self.said.append((text, audio))
        yield bytes(audio.frame_bytes * self.frames * len(text))


class Office:
    """A server's voice and what it knows, without the server."""

    def __init__(self, folder: Path, **speech: Any) -> None:
        self.speaker = Speaker()
        self.kept = CachedTts(self.speaker, SpeechStore(folder, most_bytes=10_000_000), voice="")
        self.domain = SimpleNamespace(responses=RESPONSES)
        self.busy = False
        settings = replace(Settings(), speech=SpeechSettings(**speech))
        app: Any = SimpleNamespace(settings=settings, business=BUSINESS, knowledge={TOPIC.name: TOPIC})
        self.voice = Voice(self.speaker, self.kept, paid=True)
        self.script = VoiceScript(app, self.voice, lambda: self.domain, lambda: self.busy)

    def made(self) -> set[str]:
        return {text for text, _ in self.speaker.said}


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_fixed_is_what_callers_hear_and_no_value_is_in() -> None:
    wording = script(RESPONSES, BUSINESS, [TOPIC])
    # "One moment." is as short as an abbreviation, and still a sentence where nothing follows.
    assert wording.fixed == FIXED | {"One moment.", "Nearly there."}
    assert "Hello in the chat." not in wording.fixed  # there is one for the phone
    assert "Please log in again." not in wording.fixed  # the chat's alone
    assert wording.openings == {"I have everything from before:"}
    assert wording.fillers == ("One moment.", "Nearly there.")
    assert wording.lexicon is BUSINESS.lexicon


async def test_all_of_it_is_made_once_for_the_telephone(office: Office) -> None:
    await office.script.make_ahead()
    wanted = set(office.script.wording().to_keep)
    assert office.made() == wanted >= FIXED
    assert {audio for _, audio in office.speaker.said} == {TELEPHONE}
    await office.script.make_ahead()
    assert len(office.speaker.said) == len(wanted)


def test_a_voice_that_costs_nothing_is_kept_for_the_page_too(office: Office) -> None:
    assert formats(office.voice) == (TELEPHONE,)
    assert formats(replace(office.voice, paid=False)) == (TELEPHONE, WIDEBAND)


async def test_a_new_model_has_a_new_wording_of_which_only_what_is_new_is_made(office: Office) -> None:
    await office.script.make_ahead()
    known = office.script.wording()
    assert office.script.wording() is known
    office.speaker.said.clear()
    office.domain = SimpleNamespace(responses=RESPONSES | {"utter_new": [{"text": "Something new today."}]})
    await office.script.make_ahead()
    assert office.made() == {"Something new today."}


async def test_what_cannot_be_kept_is_not_paid_for_again_and_again(office: Office) -> None:
    office.speaker.frames = 100  # for each character: no speech of that text
    await office.script.make_ahead()
    made = len(office.speaker.said)
    await office.script.make_ahead()
    assert await office.kept.missing(office.script.wording().to_keep, TELEPHONE)
    assert len(office.speaker.said) == made


async def test_calls_go_first(office: Office) -> None:
    office.busy = True
    await office.script.make_ahead()
    assert office.speaker.said == []
    office.busy = False
    await office.script.make_ahead()
    assert office.made() >= FIXED


async def test_a_voice_that_fails_is_asked_for_the_rest_later(office: Office) -> None:
    office.speaker.fails_at = "Hello on the phone."
    with pytest.raises(Unavailable):
        await office.script.make_ahead()
    before = len(office.speaker.said)
    office.speaker.fails_at = ""
    await office.script.make_ahead()
    assert 0 < before < len(office.speaker.said) == len(office.script.wording().to_keep)


async def test_an_operator_may_want_none_made_ahead(tmp_path: Path) -> None:
    office = Office(tmp_path, make_ahead=False)
    await office.script.make_ahead()
    assert office.speaker.said == []


def test_the_shipped_domain_has_several_fillers_and_nothing_of_a_customer_in_what_is_kept() -> None:
    responses = YAML(typ="safe").load(Path("domain.yml").read_text())["responses"]
    wording = script(responses, BUSINESS, [])
    assert len(set(wording.fillers)) > 1
    assert not [piece for piece in wording.to_keep if "{" in piece or "}" in piece]
