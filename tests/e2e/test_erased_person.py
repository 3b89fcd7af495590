"""A person who is erased while the site is open: nothing of them is left, their page begins anew, and the logs never knew them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stack import Stack
from tests.unit.record.somebody import rows_with
from throughline.record import Record
from throughline.simulate.rest_chat import RestCustomer

pytestmark = pytest.mark.e2e

NAME, ZIP = "Quillon Vantreight", "97217"
SAID = ["my dishwasher grumbles like an old badger", "bosch", "since yesterday", "no", f"my name is {NAME}", ZIP]
MARKS = [NAME, NAME.split()[1], NAME.split()[1].lower(), "old badger"]


def throughline(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATABASE_URL": stack.database_url, "THROUGHLINE_SECRET": stack.secret}
    command = [sys.executable, "-m", "throughline.cli.main", *arguments]
    return subprocess.run(command, cwd=stack.folder / "project", env=environment, capture_output=True, text=True, check=False)


def contact_of(record: Record, session_id: str) -> str:
    return record.chat_session(session_id).contact_id


async def test_nothing_of_them_is_left_and_nothing_brings_them_back(stack: Stack, record: Record, tmp_path: Path) -> None:
    async with RestCustomer(stack.address) as customer:
        for text in SAID:
            assert await customer.ask(text)
        session = str(customer.session_id)
        contact = contact_of(record, session)
        archive = tmp_path / "archive.zip"
        exported = throughline(stack, "export", contact, "--to", str(archive))
        assert (exported.returncode, archive.exists()) == (0, True), exported.stdout + exported.stderr
        assert rows_with(record, MARKS) != []

        erased = throughline(stack, "erase", contact, "--yes", "--leave-training-data")
        assert "Erased:" in erased.stdout, erased.stdout + erased.stderr
        assert rows_with(record, [*MARKS, contact, session]) == []

        assert await customer.ask("hello, is anybody there?")
        assert customer.session_id != session, "their page begins anew"
        anew = contact_of(record, str(customer.session_id))
        assert record.facts(anew) == [] and anew != contact
        assert record.erased_at(contact) is not None
    logs = {file: file.read_text(errors="replace") for file in stack.folder.glob("*.log")}
    assert logs and sum(map(len, logs.values())) > 1000
    assert [f"{file.name}: {mark}" for file, text in logs.items() for mark in MARKS if mark in text] == []
