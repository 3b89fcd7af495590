"""``throughline export``, ``erase`` and ``retain``: what an operator does when somebody asks for their data."""

from __future__ import annotations

import builtins
import json
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.record.somebody import NOW, files_with, rows_with, say, somebody
from throughline import record as record_room
from throughline.cli.main import main
from throughline.record import Record
from throughline.simulate.in_thread import in_thread
from throughline.simulate.twilio import TwilioApi, TwilioLine

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[3]
ACCOUNT, SECRET = "AC" + "1" * 32, "the account's auth token"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own: its record, and copies of what trainers edit."""
    for name in ("config.yml", "endpoints.yml", "domain.yml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("data", "tests/conversations"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/var/record.db")
    monkeypatch.setenv("THROUGHLINE_SECRET", "a key for tests only")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def record(home: Path) -> Iterator[Record]:
    opened = record_room.open(f"sqlite:///{home}/var/record.db", secret="a key for tests only")  # noqa: S106 - and for nothing else
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def twilio(monkeypatch: pytest.MonkeyPatch) -> Iterator[TwilioApi]:
    line = TwilioLine("https://voice.example", account_sid=ACCOUNT, auth_token=SECRET)
    with in_thread(TwilioApi(line)) as running:
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", SECRET)
        monkeypatch.setenv("TWILIO_API_URL", running.url)
        yield running


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What the operator types when asked."""

    def types(text: str) -> None:
        monkeypatch.setattr(builtins, "input", lambda *_: text)

    return types


# ---- export


def test_an_archive_that_a_person_can_read(home: Path, record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    dana = somebody(record, "Dana-Reyes")
    robin = somebody(record, "Robin-Quist", number="+15035550188")
    say(record, dana.contact_id, dana.chat, "<script>alert(1)</script>")
    assert main(["export", dana.alias, "--to", "dana.zip"]) == 0
    assert str(home / "dana.zip") in capsys.readouterr().out.replace("\n", "")
    assert stat.S_IMODE((home / "dana.zip").stat().st_mode) == 0o600
    with zipfile.ZipFile(home / "dana.zip") as archive:
        page = archive.read(f"{dana.contact_id}/conversation.html").decode()
        data = json.loads(archive.read(f"{dana.contact_id}/data.json"))
    shown = [
        "Dana-Reyes lives here",
        "You said: this is Dana-Reyes",
        "Dana-Reyes@example.com",
        dana.number,
        "note about Dana-Reyes",
    ]
    assert [text for text in shown if text not in page] == []
    assert "heard only" in page
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert [mark for mark in dana.marks if mark not in str(data)] == []
    assert [mark for mark in robin.marks if mark in page + str(data)] == []


def test_a_file_that_is_there_is_left_alone(home: Path, record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    dana = somebody(record, "Dana-Reyes")
    (home / f"{dana.contact_id}.zip").write_text("mine")
    assert main(["export", dana.contact_id]) == 1
    assert (home / f"{dana.contact_id}.zip").read_text() == "mine"
    assert "is there already" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["export"], ["erase", "--yes"]])
def test_of_several_people_with_an_address_one_has_to_be_chosen(
    home: Path, record: Record, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    dana, robin = somebody(record, "Dana-Reyes"), somebody(record, "Robin-Quist")
    assert main([*command, "--phone", dana.number]) == 1
    told = capsys.readouterr().out
    assert dana.contact_id in told and robin.contact_id in told
    assert record.erased_at(dana.contact_id) is record.erased_at(robin.contact_id) is None
    assert list(home.glob("*.zip")) == []
    assert main(["export", "--email", "Dana-Reyes@example.com"]) == 0
    assert [file.stem for file in home.glob("*.zip")] == [dana.contact_id]


@pytest.mark.parametrize(
    "arguments", [["c_nobody"], ["--email", "nobody@example.com"], [], ["c_nobody", "--phone", "+15035550100"]]
)
def test_nobody_is_told_as_nobody(home: Path, record: Record, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(["export", *arguments]) == main(["erase", *arguments]) == 1
    assert capsys.readouterr().out


# ---- erase


def test_it_says_what_goes_and_asks(
    home: Path, record: Record, answer: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    dana = somebody(record, "Dana-Reyes")
    answer("yes")
    assert main(["erase", dana.contact_id]) == 1
    told = capsys.readouterr().out
    assert all(text in told for text in ("messages", "calendar visits", dana.alias, "can't be undone", "Nothing was changed"))
    assert record.resolve(dana.alias) == dana.contact_id


def test_everything_is_gone_everywhere(
    home: Path, record: Record, twilio: TwilioApi, answer: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    dana = somebody(record, "Dana-Reyes")
    twilio.recordings = {dana.recording: dana.call_sid, "RE" + "2" * 32: dana.call_sid, "RE" + "3" * 32: "CA" + "3" * 32}
    answer(dana.contact_id)
    assert main(["erase", "--email", "Dana-Reyes@example.com"]) == 0
    assert rows_with(record, dana.marks) == []
    assert list(twilio.recordings) == ["RE" + "3" * 32]
    assert files_with(home / "var", dana.marks) == []
    capsys.readouterr()
    assert main(["erase", dana.contact_id]) == 0
    assert "was erased on" in capsys.readouterr().out


def test_while_twilio_is_down_it_is_owed_and_done_by_the_next_try(
    home: Path, record: Record, twilio: TwilioApi, capsys: pytest.CaptureFixture[str]
) -> None:
    dana = somebody(record, "Dana-Reyes")
    twilio.recordings, twilio.fault = {dana.recording: dana.call_sid}, "error"
    assert main(["erase", dana.contact_id, "--yes"]) == 1
    assert "Twilio did not answer for 2" in capsys.readouterr().out
    assert rows_with(record, [dana.name, dana.number, dana.contact_id]) == []
    assert main(["erase", dana.contact_id]) == 1
    twilio.fault = ""
    assert main(["erase", dana.contact_id]) == 0
    assert twilio.recordings == {}
    assert rows_with(record, dana.marks) == []


def test_without_the_account_it_says_what_is_missing(home: Path, record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    dana = somebody(record, "Dana-Reyes")
    assert main(["erase", dana.contact_id, "--yes"]) == 1
    assert "TWILIO_ACCOUNT_SID" in capsys.readouterr().out
    assert rows_with(record, [dana.name]) == []


def test_a_visit_ahead_is_in_the_way(home: Path, record: Record, twilio: TwilioApi, capsys: pytest.CaptureFixture[str]) -> None:
    dana = somebody(record, "Dana-Reyes", visit_at=NOW + timedelta(days=4000))
    assert main(["erase", dana.contact_id, "--yes"]) == 1
    assert "In the way: visit" in capsys.readouterr().out
    assert main(["erase", dana.contact_id, "--yes", "--cancel-visits"]) == 0
    assert rows_with(record, dana.marks) == []


# ---- their sentences in what trainers edit


def put(file: Path, after: str, *lines: str) -> bytes:
    """Write lines after the first one that has ``after``; the file as it was."""
    before = file.read_bytes()
    head, found, tail = before.decode().partition(after)
    assert found, f"{after} stands nowhere in {file}"
    rest, newline, tail = tail.partition("\n")
    file.write_bytes((head + found + rest + newline + "".join(f"{line}\n" for line in lines) + tail).encode())
    return before


def test_their_sentences_are_named_and_taken_out_and_nothing_else(
    home: Path, record: Record, twilio: TwilioApi, capsys: pytest.CaptureFixture[str]
) -> None:
    dana = somebody(record, "Dana-Reyes")
    for text in ("My ancient Bosch gargles, all night long!", "yes", "it leaks", "Dana-Reyes", "97201"):
        say(record, dana.contact_id, dana.chat, text)
    file = home / "data/nlu/faults.yml"
    before = put(
        file,
        "examples: |",
        '    - my ancient [bosch]{"entity": "brand", "value": "Bosch"} [gargles](problem) all night long',
        "    - yes",
        "    - it leaks",
        "    - [Dana-Reyes](person_name)",
        "    - 97201",
        "    - call me at (503) 555-0177 please, +1 503 555 0177",
    )
    kept = put(file, "examples: |", "    - this one is nobody's at all")
    assert main(["erase", dana.contact_id, "--yes"]) == 1
    told = capsys.readouterr().out
    assert "In the way: their words" in told and "data/nlu/faults.yml:8" in told
    assert record.resolve(dana.contact_id)
    assert main(["erase", dana.contact_id, "--yes", "--training-data"]) == 0
    mine = {"    - yes", "    - it leaks", "    - 97201", "    - this one is nobody's at all"}
    left = file.read_bytes().decode().splitlines()
    assert [line for line in left if line not in mine] == [line for line in before.decode().splitlines() if line not in mine]
    assert {line for line in left if line in mine} == mine, "what is said by everybody stays"
    assert kept != before


def test_what_can_only_be_reworded_is_named_until_somebody_does(
    home: Path, record: Record, twilio: TwilioApi, capsys: pytest.CaptureFixture[str]
) -> None:
    dana = somebody(record, "Dana-Reyes")
    say(record, dana.contact_id, dana.chat, "my ancient Bosch gargles all night long")
    (home / "docs/notes.md").write_text('One said: "My ancient Bosch gargles all night long." We laughed.\n')
    put(home / "data/nlu/faults.yml", "examples: |", "    - x")
    (home / "data/nlu/alone.yml").write_text(
        'version: "3.1"\nnlu:\n- intent: alone\n  examples: |\n    - my ancient bosch gargles all night long\n'
    )
    assert main(["erase", dana.contact_id, "--yes", "--training-data"]) == 1
    told = capsys.readouterr().out
    assert "Reword by hand: data/nlu/alone.yml:5" in told and "Reword by hand: docs/notes.md:1" in told
    assert "gargles" in (home / "data/nlu/alone.yml").read_text(), "an intent without examples would stop the training"


def test_they_may_be_left(home: Path, record: Record, twilio: TwilioApi) -> None:
    dana = somebody(record, "Dana-Reyes")
    say(record, dana.contact_id, dana.chat, "my washing machine is leaking")
    before = {file: file.read_bytes() for file in (home / "data").rglob("*.yml")}
    assert main(["erase", dana.contact_id, "--yes", "--leave-training-data"]) == 0
    assert {file: file.read_bytes() for file in before} == before


# ---- retain


def test_what_is_old_is_counted_and_then_removed(
    home: Path, record: Record, twilio: TwilioApi, capsys: pytest.CaptureFixture[str]
) -> None:
    dana = somebody(record, "Dana-Reyes")
    record.take_request(["a" * 64], kind="voice", now=NOW - timedelta(days=4000))
    assert main(["retain", "--dry-run"]) == 0
    assert "requests" in capsys.readouterr().out
    assert main(["retain"]) == 0
    assert rows_with(record, ["a" * 64]) == []
    assert record.resolve(dana.alias) == dana.contact_id
