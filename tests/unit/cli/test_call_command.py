"""``throughline call``: a person's trial of a running line."""

from __future__ import annotations

import struct
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.simulate.small_line import HANG_UP, SmallLine, Stream, Talk
from throughline import record as record_room
from throughline.cli.call import addresses
from throughline.cli.main import main
from throughline.domain.turns import PHONE
from throughline.errors import ConfigurationError
from throughline.record import Record
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id
from throughline.simulate.in_thread import in_thread

pytestmark = pytest.mark.contract

PUBLIC = "https://voice.example"


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SmallLine]:
    """A running line with the public address PUBLIC, whose assistant greets and answers; a record of its own."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/record.db")
    monkeypatch.setenv("THROUGHLINE_SECRET", "a key for tests only")
    monkeypatch.setenv("THROUGHLINE_PUBLIC_URL", PUBLIC)
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC" + "1" * 32)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "the account's auth token")
    with in_thread(SmallLine()) as running:
        running.holds = Talk()
        yield running


def sound(path: Path, seconds: float = 0.2, rate_hz: int = 44_100) -> str:
    """A WAV file with a loud noise in it."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(struct.pack("<hh", 9000, 9000) * int(seconds * rate_hz))
    return str(path)


def test_wav_files_are_said_one_after_the_other_as_twilio_would(
    line: SmallLine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = tmp_path / "heard.wav"
    wavs = [sound(tmp_path / "leak.wav"), sound(tmp_path / "name.wav", seconds=0.4, rate_hz=8000)]
    assert main(["call", *wavs, "--to", line.address, "--from", "+15035550199", "--save", str(heard)]) == 0
    assert line.names() == ["voice", "status"]
    assert line.fields("voice")["From"] == "+15035550199"
    assert line.fields("voice")["To"] == "+15035550142", "the company's own number"
    assert isinstance(line.holds, Talk)
    first, second = line.holds.said_frames
    assert 9 <= first <= 13 and 19 <= second <= 23, "20 ms frames of what the files hold"
    printed = capsys.readouterr().out
    assert "3 answers" in printed
    with wave.open(str(heard)) as file:
        assert file.getframerate() == 8000
        assert file.readframes(file.getnframes()).strip(b"\0"), "what was heard"


class RecordedTalk(Talk):
    """A talk that is kept in the record, as the real line keeps a call of Twilio's."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record
        self.contact = record.create_contact()

    async def __call__(self, stream: Stream) -> None:
        call_sid = stream.start["callSid"]
        self._record.announce_call(call_sid, caller="+15035550199", attestation="", ttl_s=60)
        session = self._record.open_session(self.contact, PHONE)
        self._record.note_call_session(call_sid, session.session_id)
        said = [("bot", "Good morning."), ("user", "it leaks"), ("bot", "What [make] is it?")]
        events = []
        for kind, text in said:
            event_id = new_event_id()
            data = {"event": kind, "text": text, "timestamp": 0.0, "metadata": {"event_id": event_id}}
            events.append(NewEvent(event_id, data, session.session_id, PHONE))
        self._record.append_events(self.contact, events, expected=self._record.window(self.contact).head)
        await super().__call__(stream)


def test_what_was_said_to_a_telephone_is_read_from_this_machines_record(
    line: SmallLine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_room.open(f"sqlite:///{tmp_path}/record.db", secret="a key for tests only")  # noqa: S106 - and for nothing else
    record.migrate()
    line.holds = kept = RecordedTalk(record)
    assert main(["call", "--to", line.address]) == 0
    printed = [" ".join(text.split()) for text in capsys.readouterr().out.splitlines()]
    assert [text for text in printed if text.startswith(("assistant", "caller "))] == [
        "assistant Good morning.",
        "caller it leaks",
        "assistant What [make] is it?",
    ]
    assert f"The whole conversation: throughline show {kept.contact}" in printed


def test_of_another_machines_line_it_says_where_the_words_are(line: SmallLine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "--to", line.address]) == 0
    assert "its words are in the server's" in " ".join(capsys.readouterr().out.split())


def test_without_twilios_keys_it_calls_as_the_page_does(
    line: SmallLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    assert main(["call", sound(tmp_path / "leak.wav"), "--keys", "12#", "--to", line.address]) == 0
    assert line.names() == ["page-call"]
    assert line.posted[0][2]["Origin"] == PUBLIC
    assert line.streams[0].start["customParameters"] == {"token": "of-a-page"}
    assert line.streams[0].start["mediaFormat"]["sampleRate"] == 16_000
    assert isinstance(line.holds, Talk)
    assert line.holds.keyed == "12#"
    printed = [text.strip() for text in capsys.readouterr().out.splitlines() if text.startswith("assistant")]
    assert printed == ["assistant Good morning.", "assistant Answer 1.", "assistant Answer 2."]


def test_a_line_that_hangs_up_too_early_is_a_failure(
    line: SmallLine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line.holds = Talk(answers=1)
    wavs = [sound(tmp_path / name) for name in ("one.wav", "two.wav")]
    assert main(["call", *wavs, "--to", line.address]) == 1
    assert "the line hung up before two.wav was said" in capsys.readouterr().out
    assert line.names() == ["voice", "resume", "status"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (403, "TWILIO_AUTH_TOKEN"),
        (503, "not ready"),
        (404, "404"),
        ("<Response><Say>All lines are busy.</Say></Response>", "All lines are busy."),
        (HANG_UP, "Hangup"),
    ],
)
def test_a_line_that_lets_nobody_in_is_explained(
    line: SmallLine, capsys: pytest.CaptureFixture[str], answer: object, told: str
) -> None:
    line.answers.update(voice=answer, fallback=answer)
    assert main(["call", "--to", line.address]) == 1
    assert told in capsys.readouterr().err


def test_a_page_that_may_not_call_is_told_why(line: SmallLine, capsys: pytest.CaptureFixture[str]) -> None:
    line.page_call = {"error": "foreign_origin", "message": "Sorry."}
    assert main(["call", "--page", "--to", line.address]) == 1
    assert "foreign_origin" in capsys.readouterr().err


def test_a_line_that_is_not_there_is_named(line: SmallLine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "--to", "http://127.0.0.1:9"]) == 1
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--from", "5035550100"], ["--keys", "12x"], ["--to"]])
def test_wrong_usage_is_status_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["call", *wrong])
    assert caught.value.code == 2
    assert "usage: throughline call" in capsys.readouterr().err


def test_a_file_that_is_no_sound_is_refused_before_anybody_is_called(
    line: SmallLine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "notes.wav"
    wrong.write_text("not a sound")
    assert main(["call", str(wrong), str(tmp_path / "missing.wav"), "--to", line.address]) == 1
    assert "ffmpeg" in capsys.readouterr().err
    assert line.names() == []


@pytest.mark.parametrize(
    ("to", "configured", "expected"),
    [
        (None, PUBLIC, (PUBLIC, PUBLIC)),
        ("http://localhost:5005/", PUBLIC, (PUBLIC, "http://localhost:5005")),
        ("http://localhost:5006", "http://localhost:5005", ("http://localhost:5006", "http://localhost:5006")),
        ("https://other.example", PUBLIC, ("https://other.example", "https://other.example")),
    ],
)
def test_the_address_that_is_signed_and_the_one_that_is_reached(
    to: str | None, configured: str, expected: tuple[str, str]
) -> None:
    assert addresses(to, configured) == expected


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="http://"):
        addresses("localhost:5005", PUBLIC)
