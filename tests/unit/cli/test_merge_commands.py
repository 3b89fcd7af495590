"""``throughline merge``, ``unmerge`` and what ``show`` tells of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import throughline.record as record_room
from throughline.cli.main import main
from throughline.record import Record

pytestmark = pytest.mark.unit

KEY = "for tests"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Record]:
    """The record that the commands open, by the environment."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/record.db")
    monkeypatch.setenv("THROUGHLINE_SECRET", KEY)
    monkeypatch.setenv("COLUMNS", "250")
    opened = record_room.open(f"sqlite:///{tmp_path}/record.db", secret=KEY)
    opened.migrate()
    yield opened
    opened.close()


def test_two_become_one_and_two_again(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    assert main(["merge", caller, customer]) == 0
    assert record.resolve(caller) == customer
    assert main(["unmerge", caller, "--because", "two neighbours"]) == 0
    assert record.resolve(caller) == caller
    assert main(["show", customer]) == 0
    said = capsys.readouterr().out
    assert f"{caller} is {customer}" in said
    assert "operator" in said
    assert "undone" in said


def test_what_cannot_be_done_is_said_and_changes_nothing(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = (record.create_contact() for _ in range(3))
    assert main(["unmerge", first]) == 1
    assert main(["merge", first, "c_nobody"]) == 1
    assert main(["merge", first, first]) == 1
    main(["merge", first, second])
    main(["merge", second, third])
    capsys.readouterr()
    assert main(["unmerge", first]) == 1
    assert f"throughline unmerge {second}" in capsys.readouterr().out
    assert record.resolve(first) == third


def test_show_says_where_somebody_is_reached_and_how_we_know(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    contact = record.create_contact()
    record.add_address(contact, "phone", "+15035550100", proof="code")
    assert main(["show", contact]) == 0
    said = capsys.readouterr().out
    assert "phone +15035550100" in said
    assert "code" in said


def test_a_command_with_another_secret_than_the_servers_says_how_to_mend_it(
    record: Record, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record.check_secret()
    record.close()
    monkeypatch.setenv("THROUGHLINE_SECRET", "another one")
    assert main(["show"]) == 1
    assert "table marks" in capsys.readouterr().err
