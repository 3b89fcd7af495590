"""What every CRM adapter must do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.postgres import Postgres
from throughline import record as record_room
from throughline.connectors.crm.embedded import EmbeddedCrm
from throughline.connectors.crm.protocol import Crm
from throughline.errors import Rejected
from throughline.record import Record

pytestmark = pytest.mark.contract


@pytest.fixture(params=["sqlite", "postgresql"])
def record(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Record]:
    """A record of its own, on either engine."""
    url = f"sqlite:///{tmp_path}/record.db"
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.url(postgres.create_database(like=request.getfixturevalue("empty_postgresql_database")))
    opened = record_room.open(url, secret=b"for tests")
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture(params=["embedded"])
def crm(request: pytest.FixtureRequest, record: Record) -> Crm:
    """Each adapter in turn."""
    return {"embedded": EmbeddedCrm}[request.param](record)


async def test_a_case_is_found_again_with_its_details(crm: Crm, record: Record) -> None:
    contact = record.create_contact()
    await crm.upsert_customer(contact, {"name": "Dana Reyes"})
    case = await crm.open_case(
        contact, "dryer, no heat", {"facts": {"appliance": "dryer"}}, kind="repair", idempotency_key="k1"
    )
    assert case.reference
    assert case.details["facts"] == {"appliance": "dryer"}
    assert await crm.cases_of(contact) == [case]


async def test_the_same_key_opens_one_case(crm: Crm, record: Record) -> None:
    contact = record.create_contact()
    first = await crm.open_case(contact, "dryer", {}, kind="repair", idempotency_key="k1")
    again = await crm.open_case(contact, "dryer", {}, kind="repair", idempotency_key="k1")
    assert again == first
    assert len(await crm.cases_of(contact)) == 1


async def test_the_newest_case_comes_first(crm: Crm, record: Record) -> None:
    contact = record.create_contact()
    older = await crm.open_case(contact, "dryer", {}, kind="repair", idempotency_key="k1")
    newer = await crm.open_case(contact, "oven", {}, kind="repair", idempotency_key="k2")
    assert await crm.cases_of(contact) == [newer, older]


async def test_a_case_is_of_its_kind_and_due_when_it_was_said(crm: Crm, record: Record) -> None:
    contact = record.create_contact()
    wished = datetime(2026, 11, 1, 17, 30, tzinfo=timezone.utc)
    call = await crm.open_case(contact, "call back", {}, kind="call_back", due_at=wished, idempotency_key="k1")
    bill = await crm.open_case(contact, "bill", {}, kind="billing", idempotency_key="k2")
    assert [(case.kind, case.due_at) for case in (call, bill)] == [("call_back", wished), ("billing", None)]
    assert await crm.cases_of(contact) == [bill, call]


async def test_a_kind_is_a_word(crm: Crm, record: Record) -> None:
    with pytest.raises(Rejected, match="too_long"):
        await crm.open_case(record.create_contact(), "bill", {}, kind="billing" * 20, idempotency_key="k1")


async def test_a_customer_may_be_told_twice(crm: Crm, record: Record) -> None:
    contact = record.create_contact()
    await crm.upsert_customer(contact, {"name": "Dana"})
    await crm.upsert_customer(contact, {"postcode": "97201"})


async def test_a_note_needs_a_case(crm: Crm, record: Record) -> None:
    case = await crm.open_case(record.create_contact(), "dryer", {}, kind="repair", idempotency_key="k1")
    await crm.add_note(case.case_id, "has a dog", idempotency_key="n1")
    await crm.add_note(case.case_id, "has a dog", idempotency_key="n1")
    with pytest.raises(Rejected, match="unknown_case"):
        await crm.add_note("nowhere", "has a dog", idempotency_key="n2")


async def test_cases_are_found_under_every_alias(crm: Crm, record: Record) -> None:
    caller, known = record.create_contact(), record.create_contact()
    case = await crm.open_case(caller, "dryer", {}, kind="repair", idempotency_key="k1")
    record.merge(caller, known, reason="code", session_id=None)
    assert [one.case_id for one in await crm.cases_of(known)] == [case.case_id]
