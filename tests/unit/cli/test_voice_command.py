"""``throughline voice``: what it costs is said before it is made, and it is made once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from throughline.cli.main import main
from throughline.simulate.elevenlabs import ElevenLabsServer
from throughline.simulate.in_thread import in_thread

pytestmark = pytest.mark.contract

DOMAIN = """
responses:
  utter_greet:
    - text: "Hello, everybody."
      channel: phone
  utter_known:
    - text: "I have everything from before: {known}."
      channel: phone
  utter_filler:
    - text: "One moment, please."
      channel: phone
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with a small domain, without vendors."""
    for name in ("config.yml", "endpoints.yml"):
        shutil.copy(name, tmp_path)
    shutil.copytree("data/business", tmp_path / "data/business")
    (tmp_path / "data/knowledge").mkdir()
    questions = "\n".join(f"- how long is it, number {number}" for number in ("one", "two", "three"))
    (tmp_path / "data/knowledge/visit.md").write_text(
        f"# Visit\n\n## How long\n\nTwo hours, about.\n\nBy phone: About two hours.\n\nAsked as:\n{questions}\n"
    )
    (tmp_path / "domain.yml").write_text(DOMAIN)
    for name in ("ELEVENLABS_API_KEY", "ELEVENLABS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def elevenlabs(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ElevenLabsServer]:
    """A vendor who is paid for it."""
    with in_thread(ElevenLabsServer(key="key", first_byte_ms=1, pace=0)) as server:
        monkeypatch.setenv("ELEVENLABS_API_KEY", "key")
        monkeypatch.setenv("ELEVENLABS_URL", server.url)
        yield server


def kept(project: Path) -> int:
    return len(list((project / "var/cache/speech").glob("*.speech")))


def test_it_says_how_much_there_is_and_makes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["voice", "--count"]) == 0
    assert "4 fixed pieces" in capsys.readouterr().out
    assert kept(project) == 0


def test_the_embedded_voice_is_not_asked_about_and_made_for_both_formats(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["voice"]) == 0
    assert kept(project) == 8
    capsys.readouterr()
    assert main(["voice"]) == 0
    assert "to be made: 0" in capsys.readouterr().out


def test_a_paid_voice_is_asked_about_first(
    project: Path, elevenlabs: ElevenLabsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "no")
    assert main(["voice"]) == 1
    assert (elevenlabs.asked, kept(project)) == ([], 0)
    assert "82 characters" in capsys.readouterr().out.replace("\n", " ")
    assert main(["voice", "--yes"]) == 0
    assert sorted(asked.text for asked in elevenlabs.asked) == [
        "About two hours.",
        "Hello, everybody.",
        "I have everything from before:",
        "One moment, please.",
    ]
    assert kept(project) == 4


def test_a_sentence_can_be_listened_to(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["voice", "--say", "I have everything from before: a Miele.", "--save", "said.wav"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["I have everything from before:", "a Meela."]
    assert (project / "said.wav").stat().st_size > 10_000
