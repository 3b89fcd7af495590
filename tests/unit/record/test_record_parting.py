"""Two strangers who were taken for one: once the merge is taken back, each has their own visits, and neither is shown or keeps the other's.

What they led to meanwhile is put together as actions do it: packets, cases, visits and notes of everything that was known then.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.record import somebody
from tests.unit.record.conftest import LIMITS
from tests.unit.record.somebody import NOW, message_of, rows_with
from throughline.domain.assurance import CODE, OPERATOR, Assurance
from throughline.domain.turns import Turn
from throughline.domain.visits import Visit, VisitSlot
from throughline.errors import Rejected
from throughline.handoff import dossier, packet
from throughline.record import Record, schema
from throughline.record.entries import Checkpoint
from throughline.record.events import new_event
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

WORDS = load_business(Path(__file__).parents[3] / "data/business").words
say = functools.partial(somebody.say, moves_window=False)
OWN_WORDS: dict[str, tuple[str, ...]] = {"appliance": ("oven",)}


@dataclass
class Stranger:
    """Somebody with one visit; ``marks`` are what only they have said, and what leads to them."""

    name: str
    postcode: str
    contact_id: str = ""
    session: str = ""
    marks: list[str] = field(default_factory=list)


def stranger(record: Record, name: str, postcode: str, *, number: str) -> Stranger:
    """Somebody who has called, with a number, and said who they are."""
    one = Stranger(name, postcode, record.create_contact())
    one.session = record.open_session(one.contact_id, "phone", detail={"caller": number, "call_sid": f"CA-{name}"}).session_id
    say(record, one.contact_id, one.session, f"I am {name}", slots={"customer_name": name, "postcode": postcode})
    one.marks += [name, postcode, one.contact_id, one.session, number]
    return one


async def passed_on(record: Record, contact_id: str, session: str, key: str) -> None:
    """As actions/handing_over.py does it."""
    facts = [fact for fact in record.facts(contact_id) if fact.slot in ("customer_name", "postcode", "problem")]
    lines, tried = await dossier.latest(record, contact_id, messages=60)
    lines.append(packet.Line("customer", f"a person please, {key}", "phone", NOW.isoformat()))
    built = packet.build(
        contact_id, "asked", facts=facts, transcript=lines, open_question=None, tried=tried, words=WORDS, today=NOW.date()
    )
    number = record.session(session).detail["caller"]
    whole = {**packet.as_json(built), "call_back_to": number}
    record.open_handoff(
        contact_id, session, kind="desk", reason="asked", packet=whole, idempotency_key=f"desk:{contact_id}:{key}"
    )
    say(record, contact_id, session, f"a person please, {key}")


async def booked(record: Record, contact_id: str, session: str, key: str, day: int) -> None:
    """As actions/book_visit.py and change_visit.py do it."""
    booking = f"{contact_id}:{message_of(session, f'book it, {key}')}"
    facts = {fact.slot: fact.value for fact in record.facts(contact_id)}
    start = NOW - timedelta(days=day)
    details = {**facts, "booking": booking, "session": session}
    slot = VisitSlot(start, start + timedelta(hours=2), "kim")
    visit = record.calendar.book(slot, contact_id, details, idempotency_key=f"visit:{booking}")
    lines, _ = await dossier.latest(record, contact_id, messages=40)
    record.crm.upsert_customer(contact_id, {"name": facts["customer_name"], "postcode": facts["postcode"]})
    details = {"facts": facts, "visit": visit.reference, "conversation": [dataclasses.asdict(line) for line in lines]}
    case = record.crm.open_case(
        contact_id, f"oven, {facts.get('problem')}", details, kind="repair", idempotency_key=f"case:{booking}"
    )
    data = {"reference": visit.reference, "visit_id": visit.visit_id}
    record.record_outcome(contact_id, session, kind="visit_booked", data=data, idempotency_key=f"outcome:{booking}")
    say(record, contact_id, session, f"book it, {key}", slots={"ui_visit": visit.reference, "ui_booking": booking})
    text = f"my gate code is {key}"
    record.crm.add_note(case.case_id, f"gate: {key}", idempotency_key=f"note:{contact_id}:{message_of(session, text)}")
    say(record, contact_id, session, text)


def changed(record: Record, contact_id: str, session: str, key: str, *, visit: Visit | None = None) -> None:
    """A visit is moved, or cancelled where ``visit`` names none, because of what is said in this session."""
    text = f"another time please, {key}"
    idempotency_key, before = f"move:{contact_id}:{message_of(session, text)}", NOW - timedelta(days=900)
    if visit is not None:
        day = timedelta(days=400)
        to = VisitSlot(visit.slot.start - day, visit.slot.end - day, visit.slot.technician)
        record.calendar.move(visit.visit_id, to, idempotency_key=idempotency_key, now=before)
    else:
        for one in record.calendar.visits_of(contact_id)[:1]:
            record.calendar.cancel(one.visit_id, idempotency_key=idempotency_key, now=before)
    say(record, contact_id, session, text)


def complained(record: Record, contact_id: str, session: str, key: str) -> str:
    """A case about no visit, due at a time of which nothing tells who wished for it but the session it was opened in; its id."""
    text = f"I am not content, {key}"
    details = {"facts": {fact.slot: fact.value for fact in record.facts(contact_id)}, "session": session}
    case = record.crm.open_case(
        contact_id,
        text,
        details,
        kind="complaint",
        due_at=NOW,
        idempotency_key=f"case:{contact_id}:{message_of(session, text)}",
    )
    say(record, contact_id, session, text)
    return case.case_id


@pytest.fixture
async def parted(record: Record) -> tuple[Stranger, Stranger]:
    """Ada, who overheard Ben's code in her call and was taken for him while both went on talking. Both were passed on and booked."""
    ada = stranger(record, "Ada-Quist", "ZZ-97201", number="+15035550101")
    ben = stranger(record, "Ben-Reyes", "ZZ-97202", number="+15035550102")
    say(record, ben.contact_id, ben.session, "earlier", slots={"appliance": "oven"})
    say(record, ada.contact_id, ada.session, "and my problem", slots={"problem": "Ada-pump"})
    await taken_for_one(record, ada, ben)
    record.unmerge(ada.contact_id, reason=OPERATOR)
    ada.marks += ["Ada-pump", "Ada-brand", "ada-1", "ada-2"]
    ben.marks += ["Ben-hose", "ben-1", "ben-2", "ben-3"]
    return ada, ben


async def taken_for_one(record: Record, ada: Stranger, ben: Stranger) -> None:
    """What happens while they are."""
    both = ben.contact_id
    record.merge(ada.contact_id, both, reason=CODE, session_id=ada.session)
    record.announce_call(f"CA-{ada.name}", caller="", attestation="", ttl_s=60)
    record.note_call_session(f"CA-{ada.name}", ada.session)
    record.reconnect_call(f"CA-{ada.name}", after_step=1, ttl_s=60)
    told_of(record, both, ben.session, f"Your problem is Ada-pump, at {ada.postcode}.")
    told_of(record, both, ada.session, f"You are {ben.name}, at {ben.postcode}.")
    say(record, both, ada.session, "from my call", slots={"brand": "Ada-brand"})
    await passed_on(record, both, ben.session, "ben-1")
    await passed_on(record, both, ada.session, "ada-1")
    await booked(record, both, ben.session, "ben-2", 3)
    await booked(record, both, ada.session, "ada-2", 4)
    newest = record.crm.cases_of(both)[0].case_id
    say(record, both, ben.session, "and ring twice, ben-3")
    key = f"note:{both}:{message_of(ben.session, 'and ring twice, ben-3')}"
    record.crm.add_note(newest, "ring: ben-3", idempotency_key=key)
    say(record, both, ben.session, "and mine", slots={"problem": "Ben-hose"})
    put_back(record, both, ben.session, "brand", "Ada-brand", told_in=ada.session)


def told_of(record: Record, contact_id: str, session: str, text: str) -> None:
    """The assistant says something."""
    record.append_events(
        contact_id, [new_event({"event": "bot", "text": text, "timestamp": 1.0}, session, "phone")], expected=None
    )


def put_back(record: Record, contact_id: str, session: str, slot: str, value: str, *, told_in: str) -> None:
    """A form sets again what was told elsewhere, and the tracker's window moves, with everything that is known."""
    data = {"event": "slot", "name": slot, "value": value, "timestamp": 1.0, "metadata": {"told_in": told_in}}
    listens = new_event({"event": "action", "name": "action_listen", "timestamp": 1.0}, session, "phone")
    header = {"at": 1.0, "slots": {fact.slot: fact.value for fact in record.facts(contact_id)}, "told_in": {}, "loop": None}
    checkpoint = Checkpoint(listens.event_id, header)
    record.append_events(contact_id, [new_event(data, session, "phone"), listens], expected=None, checkpoint=checkpoint)


def slots_of(record: Record, contact_id: str) -> dict[str, Any]:
    """What the contact's tracker begins with and what its events make of it."""
    window = record.window(contact_id)
    slots = dict((window.header or {"slots": {}})["slots"])
    slots |= {event["name"]: event["value"] for event in window.events if event["event"] == "slot"}
    return {name: value for name, value in slots.items() if not name.startswith("ui_") and value is not None}


def foreign(marks: list[str], found: object) -> list[str]:
    text = json.dumps(found, default=str)
    return [mark for mark in marks if mark in text]


async def test_each_has_their_own_visits_again(record: Record, parted: tuple[Stranger, Stranger]) -> None:
    ada, ben = parted
    for one, other in ((ada, ben), (ben, ada)):
        said = [event.data["text"] for event in record.conversation(one.contact_id) if event.type_name == "user"]
        assert foreign(other.marks, said) == []
        assert {event.session_id for event in record.conversation(one.contact_id)} == {one.session}
        told = {fact.slot: fact.value for fact in record.facts(one.contact_id)}
        assert foreign(other.marks, told) == []
        assert slots_of(record, one.contact_id) == {slot: value for slot, value in told.items() if not slot.startswith("ui_")}
    assert "from my call" in str(record.conversation(ada.contact_id))
    assert slots_of(record, ada.contact_id)["brand"] == "Ada-brand"
    assert slots_of(record, ben.contact_id) == {
        "customer_name": "Ben-Reyes", "postcode": "ZZ-97202", "appliance": "oven", "problem": "Ben-hose",
    }  # fmt: skip


async def test_what_was_filled_from_both_keeps_what_is_ones_own(record: Record, parted: tuple[Stranger, Stranger]) -> None:
    ada, ben = parted
    for one, other, key in ((ada, ben, "ada"), (ben, ada, "ben")):
        [handoff] = record.handoffs(one.contact_id)
        [visit], [case] = record.calendar.visits_of(one.contact_id), record.crm.cases_of(one.contact_id)
        filled = [dict(handoff.packet), dict(visit.details), dict(case.details), case.subject]
        assert foreign(other.marks, filled) == []
        texts = [line["text"] for line in handoff.packet["transcript"]]
        assert f"I am {one.name}" in texts and f"a person please, {key}-1" in texts
        assert handoff.packet["contact_id"] == one.contact_id
        assert handoff.packet["call_back_to"] == record.session(one.session).detail["caller"]
        assert case.details["visit"] == visit.reference
        assert f"I am {one.name}" in [line["text"] for line in case.details["conversation"]]
        assert [outcome.data["reference"] for outcome in record.outcomes(one.contact_id)] == [visit.reference]
    [packed] = [handoff.packet for handoff in record.handoffs(ben.contact_id)]
    assert {fact["slot"]: fact["value"] for fact in packed["facts"]} == {"customer_name": "Ben-Reyes", "postcode": "ZZ-97202"}
    assert packed["summary"] == "", "it speaks of both"


async def test_cases_go_back_with_the_session_they_were_opened_in(record: Record) -> None:
    ada = stranger(record, "Ada-Quist", "ZZ-97201", number="+15035550101")
    ben = stranger(record, "Ben-Reyes", "ZZ-97202", number="+15035550102")
    record.merge(ada.contact_id, ben.contact_id, reason=CODE, session_id=ada.session)
    adas = complained(record, ben.contact_id, ada.session, "ada")
    bens = complained(record, ben.contact_id, ben.session, "ben")
    unknown = record.crm.open_case(ben.contact_id, "call", {}, kind="call_back", due_at=NOW, idempotency_key="k").case_id
    record.unmerge(ada.contact_id, reason=OPERATOR)
    assert [(one.case_id, one.due_at) for one in record.crm.cases_of(ada.contact_id)] == [(adas, NOW)]
    assert [(one.case_id, one.due_at) for one in record.crm.cases_of(ben.contact_id)] == [(unknown, None), (bens, NOW)]


async def test_a_visit_that_was_changed_goes_back_as_it_is_and_is_not_changed_again(record: Record) -> None:
    ada = stranger(record, "Ada-Quist", "ZZ-97201", number="+15035550101")
    ben = stranger(record, "Ben-Reyes", "ZZ-97202", number="+15035550102")
    both = ben.contact_id
    record.merge(ada.contact_id, both, reason=CODE, session_id=ada.session)
    await booked(record, both, ada.session, "ada", 4)
    [visit] = record.calendar.visits_of(both)
    changed(record, both, ada.session, "ada", visit=visit)
    changed(record, both, ben.session, "ben", visit=record.calendar.visits_of(both)[0])
    [moved] = record.calendar.visits_of(both)
    record.unmerge(ada.contact_id, reason=OPERATOR)
    [adas] = record.calendar.visits_of(ada.contact_id)
    assert (adas.visit_id, adas.slot) == (visit.visit_id, moved.slot)
    key = f"move:{ada.contact_id}:{message_of(ada.session, 'another time please, ada')}"
    assert record.calendar.move(visit.visit_id, visit.slot, idempotency_key=key, now=NOW - timedelta(days=900)) == adas
    assert len(record.person(ada.contact_id)["calendar_changes"]) == 1, "the other one names a message of Ben's"
    assert record.person(ben.contact_id)["calendar_changes"] == []


async def test_each_is_shown_their_own_and_nothing_of_the_other(record: Record, parted: tuple[Stranger, Stranger]) -> None:
    ada, ben = parted
    for one, other in ((ada, ben), (ben, ada)):
        shown = record.person(one.contact_id)
        assert foreign(other.marks, shown) == []
        assert [mark for mark in one.marks if mark not in foreign(one.marks, shown)] == []


@pytest.mark.parametrize("which", [0, 1])
async def test_nothing_is_left_of_the_one_and_all_of_the_other(
    record: Record, parted: tuple[Stranger, Stranger], which: int
) -> None:
    one, other = parted[which], parted[1 - which]
    shown = record.person(other.contact_id)
    record.erase(one.contact_id, own_words=OWN_WORDS, now=NOW)
    for owed in record.owed_deletions():
        record.note_deleted(owed)
    assert rows_with(record, one.marks) == []
    assert record.erased_at(other.contact_id) is None
    left = record.person(other.contact_id)
    # That they were recognised in the other's visit, and what their tracker is rebuilt from, is all that changes.
    assert {table: rows for table, rows in left.items() if rows != shown[table]}.keys() <= {
        "merges",
        "audit_log",
        "tracker_heads",
    }


async def test_what_the_assistant_said_in_that_time_is_nobodys_to_be_shown(
    record: Record, parted: tuple[Stranger, Stranger]
) -> None:
    """It may speak of either: nothing tells. It stays in the conversation until one of them is erased."""
    ada, ben = parted
    assert "Your problem is Ada-pump" in str(record.conversation(ben.contact_id))
    shown = {one.name: [event["data"].get("text") for event in record.person(one.contact_id)["events"]] for one in parted}
    for one in parted:
        assert f"You said: I am {one.name}" in shown[one.name], "before, it spoke to one"
        assert "You said: from my call" not in shown[one.name]
    record.erase(ada.contact_id, own_words={}, now=NOW)
    assert "Your problem is Ada-pump" not in str(record.conversation(ben.contact_id))
    assert "You said: earlier" in str(record.conversation(ben.contact_id))


@pytest.mark.parametrize("which", [0, 1])
async def test_what_was_under_way_when_they_were_parted_is_told_apart_too(record: Record, which: int) -> None:
    """An action read both, and wrote only after they were two again; a turn was saved by one who looked at no head."""
    ada = stranger(record, "Ada-Quist", "ZZ-97201", number="+15035550101")
    ben = stranger(record, "Ben-Reyes", "ZZ-97202", number="+15035550102")
    record.merge(ada.contact_id, ben.contact_id, reason=CODE, session_id=ada.session)
    await passed_on(record, ben.contact_id, ben.session, "ben-1")
    late = dict(record.handoffs(ben.contact_id)[0].packet)
    record.unmerge(ada.contact_id, reason=OPERATOR)
    record.open_handoff(ben.contact_id, ben.session, kind="desk", reason="late", packet=late, idempotency_key="late")
    say(record, ben.contact_id, ada.session, "Ada-Quist is late", slots={"problem": "Ada-pump"})
    ada.marks += ["Ada-pump"]
    one, other = (ada, ben)[which], (ada, ben)[1 - which]
    for this, others in ((ada, ben), (ben, ada)):
        assert foreign(others.marks, record.person(this.contact_id)) == []
    assert "Ada-Quist is late" in str(record.person(ada.contact_id)["events"])
    record.erase(one.contact_id, own_words={}, now=NOW)
    for owed in record.owed_deletions():
        record.note_deleted(owed)
    assert rows_with(record, one.marks) == []
    assert f"I am {other.name}" in str(record.conversation(other.contact_id))
    assert ("Ada-Quist is late" in str(record.conversation(ada.contact_id))) if other is ada else True


# ---- a chain that was taken back


@pytest.fixture
async def chain(record: Record) -> tuple[Stranger, Stranger, Stranger]:
    """Ada was taken for Ben, and both for Cleo."""
    ada = stranger(record, "Ada-Quist", "ZZ-97201", number="+15035550101")
    ben = stranger(record, "Ben-Reyes", "ZZ-97202", number="+15035550102")
    cleo = Stranger("Cleo-Vane", "ZZ-97203", record.create_contact())
    cleo.session = record.open_session(cleo.contact_id, "phone", detail={"caller": "+15035550103"}).session_id
    say(record, cleo.contact_id, cleo.session, "Cleo-Vane here")
    cleo.marks += [cleo.name, cleo.contact_id, cleo.session]
    say(record, ada.contact_id, ada.session, "my problem", slots={"problem": "Ada-pump"})
    record.merge(ada.contact_id, ben.contact_id, reason=CODE, session_id=ada.session)
    say(record, ben.contact_id, ada.session, "as Ben", slots={"brand": "Ada-brand"})
    record.merge(ben.contact_id, cleo.contact_id, reason=CODE, session_id=ben.session)
    say(record, cleo.contact_id, ada.session, "as Cleo, Ada-pump", slots={"since": "Ada-since"})
    told_of(record, cleo.contact_id, cleo.session, "It is the Ada-pump, Ben-Reyes.")
    await passed_on(record, cleo.contact_id, cleo.session, "cleo-1")
    ada.marks += ["Ada-pump", "Ada-brand", "Ada-since"]
    with pytest.raises(Rejected, match="merged_further"):
        record.unmerge(ada.contact_id, reason=OPERATOR)
    record.unmerge(ben.contact_id, reason=OPERATOR)
    record.unmerge(ada.contact_id, reason=OPERATOR)
    return ada, ben, cleo


async def test_each_of_a_chain_is_shown_their_own(record: Record, chain: tuple[Stranger, ...]) -> None:
    for one in chain:
        shown = record.person(one.contact_id)
        assert [mark for other in chain if other is not one for mark in foreign(other.marks, shown)] == []
        assert [mark for mark in one.marks if mark not in foreign(one.marks, shown)] == []


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_whoever_of_a_chain_is_erased_is_so_everywhere(record: Record, chain: tuple[Stranger, ...], which: int) -> None:
    one, *others = chain[which], *(other for other in chain if other is not chain[which])
    record.erase(one.contact_id, own_words={}, now=NOW)
    for owed in record.owed_deletions():
        record.note_deleted(owed)
    assert rows_with(record, one.marks) == []
    for other in others:
        assert [mark for mark in other.marks if rows_with(record, [mark]) == []] == []


async def test_a_chain_that_an_older_release_took_back_is_told_apart(record: Record, chain: tuple[Stranger, ...]) -> None:
    """It left what was said where it was, and kept no numbers of the time that the merges lasted."""
    ada, _, cleo = chain
    carried = {"event": "slot", "name": "problem", "value": "Ada-pump", "timestamp": 1.0}
    whose = {"metadata": {"carried_from": chain[1].contact_id}}
    with record._database.writing() as connection:
        connection.execute(schema.merges.update().values(moved={"sessions": [ada.session], "events": []}))
    record.append_events(cleo.contact_id, [new_event({**carried, **whose}, ada.session, "phone")], expected=None)
    say(record, cleo.contact_id, ada.session, "left with Cleo by Ada-Quist")
    assert "left with Cleo" in str(record.person(ada.contact_id))
    assert foreign(ada.marks, record.person(cleo.contact_id)) == []
    record.erase(ada.contact_id, own_words={}, now=NOW)
    for owed in record.owed_deletions():
        record.note_deleted(owed)
    assert rows_with(record, ada.marks) == []
    assert "You said: Cleo-Vane here" in str(record.conversation(cleo.contact_id)), "said before"


async def test_who_was_part_of_somebody_at_another_time_is_not_touched(record: Record) -> None:
    """Dora was taken for Ben after Ada was no more: they have nothing of each other."""
    ada = stranger(record, "Ada-Quist", "ZZ-97201", number="+15035550101")
    ben = stranger(record, "Ben-Reyes", "ZZ-97202", number="+15035550102")
    dora = stranger(record, "Dora-Lind", "ZZ-97204", number="+15035550104")
    for one in (ada, dora):
        record.merge(one.contact_id, ben.contact_id, reason=CODE, session_id=one.session)
        told_of(record, ben.contact_id, ben.session, f"to {one.name} or Ben")
        record.unmerge(one.contact_id, reason=OPERATOR)
    record.erase(ada.contact_id, own_words={}, now=NOW)
    texts = [event.data.get("text") for event in record.conversation(ben.contact_id)]
    assert "to Dora-Lind or Ben" in texts and "to Ada-Quist or Ben" not in texts


# ---- visits


def test_what_the_account_of_the_one_opened_meanwhile_goes_back(record: Record) -> None:
    ada, ben = (record.contact_of_account(name, proof="login") for name in ("ada", "ben"))
    record.merge(ada, ben, reason=OPERATOR, session_id=None)
    hers, his = (
        record.open_session(ben, "web_chat", assurance=Assurance.AUTHENTICATED, detail={"account": name}).session_id
        for name in ("ada", "ben")
    )
    call = record.open_session(ben, "phone", detail={"chat_session_id": hers}).session_id
    say(record, ben, hers, "Ada writes")
    say(record, ben, his, "Ben writes")
    record.unmerge(ada, reason=OPERATOR)
    assert [record.session(one).contact_id for one in (hers, call, his)] == [ada, ada, ben]
    assert [event.data["text"] for event in record.conversation(ada) if event.type_name == "user"] == ["Ada writes"]
    assert [event.data["text"] for event in record.conversation(ben) if event.type_name == "user"] == ["Ben writes"]


def test_the_code_that_led_there_leads_there_no_more(record: Record) -> None:
    """From the session that has used it a code is taken again, because its turn may be."""
    caller, customer = record.create_contact(), record.create_contact()
    call, chat = (record.open_session(one, "phone").session_id for one in (caller, customer))
    code = record.issue_code(customer, chat, ttl_s=300)
    assert record.redeem_code(code, session_id=call, limits=LIMITS) == customer
    record.merge(caller, customer, reason=CODE, session_id=call)
    assert call in record.standing(chat, together=timedelta(hours=1)).together
    record.unmerge(caller, reason=OPERATOR)
    with pytest.raises(Rejected, match="used_code"):
        record.redeem_code(code, session_id=call, limits=LIMITS)
    assert record.standing(chat, together=timedelta(hours=1)).together == {chat}


def test_a_call_whose_line_broke_meanwhile_goes_on_as_its_callers(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    record.announce_call("CA1", caller="", attestation="", ttl_s=60)
    call = record.open_session(caller, "phone", detail={"call_sid": "CA1"}).session_id
    record.note_call_session("CA1", call)
    record.merge(caller, customer, reason=CODE, session_id=call)
    token = record.reconnect_call("CA1", after_step=1, ttl_s=60)
    record.unmerge(caller, reason=OPERATOR)
    assert record.redeem_call_token(token, call_sid="CA1").contact_id == caller


def test_a_message_that_was_not_taken_yet_is_taken_for_who_wrote_it(record: Record) -> None:
    visitor, customer = record.create_contact(), record.create_contact()
    page = record.open_session(visitor, "web_chat").session_id
    record.merge(visitor, customer, reason=CODE, session_id=page)
    record.store_message(Turn(customer, page, "web_chat", "hello", "m1", "typed", None))
    record.unmerge(visitor, reason=OPERATOR)
    assert [left.turn.contact_id for left in record.unfinished_messages()] == [visitor]


def test_merged_again_nothing_has_been_lost(record: Record) -> None:
    """An operator parts two who were one after all, and makes them one again."""
    caller, customer = record.create_contact(), record.create_contact()
    call, chat = (record.open_session(one, "phone").session_id for one in (caller, customer))
    record.merge(caller, customer, reason=CODE, session_id=call)
    for number, session in enumerate((call, chat, call, chat)):
        say(record, customer, session, f"line {number}")
    before = [(event.seq, event.data["text"]) for event in record.conversation(customer) if event.type_name == "user"]
    record.unmerge(caller, reason=OPERATOR)
    record.merge(caller, customer, reason=OPERATOR, session_id=None)
    after = [(event.seq, event.data["text"]) for event in record.conversation(customer) if event.type_name == "user"]
    assert after == before
