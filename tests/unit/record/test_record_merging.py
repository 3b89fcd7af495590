"""Two contacts that turn out to be one person, and that turn out not to be after all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from tests.unit.record.conftest import LIMITS
from throughline.domain.assurance import CODE, PROVEN_NUMBER, Assurance
from throughline.errors import Overtaken, Rejected
from throughline.record import Record
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id
from throughline.record.schema import audit_log

pytestmark = pytest.mark.unit

LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
NUMBER = "+15035550100"


def tell(record: Record, contact_id: str, session_id: str | None = None, /, **slots: object) -> None:
    """The contact says something, and these become facts."""
    new = []
    for data in (
        {"event": "user", "text": "hello"},
        *({"event": "slot", "name": name, "value": slots[name]} for name in slots),
    ):
        event_id = new_event_id()
        new.append(NewEvent(event_id, {**data, "timestamp": 1.0, "metadata": {"event_id": event_id}}, session_id, "phone"))
    record.append_events(contact_id, new, expected=None)


def known(record: Record, contact_id: str) -> dict[str, object]:
    """The facts, which the tracker's slots must agree with."""
    slots: dict[str, object] = {}
    for event in record.whole_tracker(contact_id).events:
        if event["event"] == "slot":
            slots[event["name"]] = event["value"]
    told = {fact.slot: fact.value for fact in record.facts(contact_id)}
    assert told == {slot: value for slot, value in slots.items() if value is not None}
    return told


def merge(record: Record, source: str, target: str) -> None:
    record.merge(source, target, reason=CODE, session_id=None)


@pytest.mark.parametrize("reason", ["caller_id", "attested", "same name", ""])
def test_nobody_becomes_somebody_else_by_their_number_alone(record: Record, reason: str) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    with pytest.raises(Rejected, match="no_proof"):
        record.merge(caller, customer, reason=reason, session_id=None)
    assert record.resolve(caller) == caller


def test_two_accounts_become_one_person_only_by_an_operator(record: Record) -> None:
    dana, sam = (record.contact_of_account(name, proof="login") for name in ("dana", "sam"))
    with pytest.raises(Rejected, match="two_accounts"):
        merge(record, dana, sam)
    record.merge(dana, sam, reason="operator", session_id=None)
    assert record.resolve(dana) == sam


def test_what_a_merge_carried_over_goes_back(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    tell(record, customer, appliance="oven")
    tell(record, caller, appliance="dryer", postcode="97201")
    merge(record, caller, customer)
    assert known(record, customer) == {"appliance": "oven", "postcode": "97201"}
    assert record.unmerge(caller, reason="wrong person") == customer
    assert known(record, customer) == {"appliance": "oven"}
    assert known(record, caller) == {"appliance": "dryer", "postcode": "97201"}
    assert record.resolve(caller) == caller
    assert record.aliases(customer) == [customer]


def test_what_was_said_after_the_merge_stays_where_it_was_said(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    tell(record, caller, postcode="97201", brand="Bosch")
    merge(record, caller, customer)
    tell(record, caller, postcode="97209", problem="it leaks")
    record.unmerge(caller, reason="wrong person")
    assert known(record, customer) == {"postcode": "97209", "problem": "it leaks"}
    assert known(record, caller) == {"postcode": "97201", "brand": "Bosch"}


def test_sessions_go_back_and_prove_nothing_any_more(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    chat, call = record.open_session(customer, "web_chat"), record.open_session(caller, "phone")
    ended = record.open_session(caller, "phone").session_id
    record.end_session(ended, "hung_up")
    record.raise_assurance(call.session_id, Assurance.POSSESSED, lasts=None)
    record.merge(caller, customer, reason=CODE, session_id=call.session_id)
    later = record.open_session(caller, "phone").session_id
    record.unmerge(caller, reason="wrong person")
    assert [record.session(one).contact_id for one in (call.session_id, ended)] == [caller, caller]
    assert record.session(call.session_id).assurance is Assurance.ANONYMOUS
    assert record.session(later).contact_id == customer, "it began with the customer"
    assert record.session(chat.session_id).contact_id == customer


def test_a_call_that_followed_from_a_session_goes_back_with_it(record: Record) -> None:
    visitor, customer = record.create_contact(), record.create_contact()
    page = record.open_session(visitor, "web_chat").session_id
    merge(record, visitor, customer)
    call = record.open_session(customer, "phone", assurance=Assurance.POSSESSED, detail={"chat_session_id": page}).session_id
    record.unmerge(visitor, reason="wrong person")
    assert record.session(call).contact_id == visitor
    assert record.session(call).assurance is Assurance.ANONYMOUS


def test_codes_and_call_tokens_of_those_sessions_lead_nowhere(record: Record) -> None:
    visitor, customer = record.create_contact(), record.create_contact()
    page = record.open_session(visitor, "web_chat").session_id
    merge(record, visitor, customer)
    code = record.issue_code(customer, page, ttl_s=300)
    token = record.issue_call_token(contact_id=customer, chat_session_id=page, origin="page", ttl_s=60)
    record.unmerge(visitor, reason="wrong person")
    elsewhere = record.open_session(record.create_contact(), "phone").session_id
    with pytest.raises(Rejected, match="unknown_code"):
        record.redeem_code(code, session_id=elsewhere, limits=LIMITS)
    with pytest.raises(Rejected, match="used_token"):
        record.redeem_call_token(token)


def test_the_number_of_the_call_is_the_others_no_longer(record: Record) -> None:
    customer = record.create_contact()
    tell(record, customer, postcode="97201")
    record.add_address(customer, "phone", "+15035550199", proof=CODE)
    caller = record.create_contact()
    call = record.open_session(caller, "phone", detail={"caller": NUMBER}).session_id
    record.add_address(customer, "phone", NUMBER, proof=CODE)
    record.merge(caller, customer, reason=CODE, session_id=call)
    record.unmerge(caller, reason="wrong person")
    assert record.callers_known(NUMBER, proofs=PROVEN_NUMBER, since=LONG_AGO) == []
    assert [address.value for address in record.addresses_of(customer)] == ["+15035550199"]


def test_another_who_knows_the_same_takes_the_place(record: Record) -> None:
    first, second, customer = (record.create_contact() for _ in range(3))
    tell(record, first, postcode="97201", brand="Bosch")
    tell(record, second, postcode="97209")
    merge(record, first, customer)
    merge(record, second, customer)
    assert known(record, customer) == {"postcode": "97201", "brand": "Bosch"}
    record.unmerge(first, reason="wrong person")
    assert known(record, customer) == {"postcode": "97209"}
    record.unmerge(second, reason="wrong person")
    assert known(record, customer) == {}
    assert known(record, second) == {"postcode": "97209"}


def test_who_was_merged_into_it_before_goes_along(record: Record) -> None:
    first, second, third = (record.create_contact() for _ in range(3))
    tell(record, first, postcode="97201")
    merge(record, first, second)
    merge(record, second, third)
    record.unmerge(second, reason="wrong person")
    assert record.resolve(first) == second
    assert known(record, second) == {"postcode": "97201"}
    assert known(record, third) == {}


def test_a_merge_below_another_is_refused_until_that_is_taken_back(record: Record) -> None:
    first, second, third = (record.create_contact() for _ in range(3))
    merge(record, first, second)
    merge(record, second, third)
    with pytest.raises(Rejected, match="merged_further"):
        record.unmerge(first, reason="wrong person")
    assert record.resolve(first) == third, "nothing was changed"
    record.unmerge(second, reason="wrong person")
    record.unmerge(first, reason="wrong person")
    assert [record.resolve(one) for one in (first, second, third)] == [first, second, third]


def test_who_is_nobodys_part_cannot_be_parted(record: Record) -> None:
    contact = record.create_contact()
    with pytest.raises(Rejected, match="not_merged"):
        record.unmerge(contact, reason="wrong person")
    with pytest.raises(Rejected, match="unknown_contact"):
        record.unmerge("c_nobody", reason="wrong person")


def test_merged_parted_and_merged_again(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    tell(record, caller, postcode="97201")
    for _ in range(3):
        merge(record, caller, customer)
        assert known(record, customer) == {"postcode": "97201"}
        record.unmerge(caller, reason="wrong person")
        assert known(record, customer) == {}
    merge(record, customer, caller)
    assert record.resolve(customer) == caller
    history = [(one.contact_id, one.into, one.undone_at is not None) for one in record.merges_of(customer)]
    assert history == [(caller, customer, True)] * 3 + [(customer, caller, False)]


def test_who_read_either_before_cannot_save_after(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    tell(record, caller, brand="Bosch")
    tell(record, customer, brand="Miele")
    own = record.window(caller).head
    merge(record, caller, customer)
    read = record.window(customer).head
    record.unmerge(caller, reason="wrong person")
    event_id = new_event_id()
    late = NewEvent(
        event_id, {"event": "user", "text": "late", "timestamp": 1.0, "metadata": {"event_id": event_id}}, None, None
    )
    for contact, head in ((customer, read), (caller, read), (caller, own)):
        with pytest.raises(Overtaken):
            record.append_events(contact, [late], expected=head)


def test_it_is_in_the_audit_log_and_both_are_told(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    told: list[str] = []
    merge(record, caller, customer)
    record.on_commit(lambda contact, _seq: told.append(contact))
    record.unmerge(caller, reason="wrong person")
    assert set(told) >= {caller, customer}
    with record._database.reading() as connection:
        actions = connection.execute(sa.select(audit_log.c.action, audit_log.c.detail).order_by(audit_log.c.id)).all()
    assert [row.action for row in actions] == ["merge", "unmerge"]
    assert actions[1].detail["reason"] == "wrong person"


def at_once(*works: Callable[[], object]) -> list[str]:
    """Do them at the same moment; the reasons of those that were refused. Whatever else is raised fails the test."""
    start, refused, broken = threading.Barrier(len(works)), [], []

    def do(work: Callable[[], object]) -> None:
        start.wait()
        try:
            work()
        except Rejected as error:
            refused.append(error.reason)
        except Exception as error:  # noqa: BLE001 - told below, in the test's own thread
            broken.append(error)

    threads = [threading.Thread(target=do, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
    return refused


def test_merges_in_every_direction_at_once_leave_one_living_contact(record: Record) -> None:
    for _ in range(8):
        people = [record.create_contact() for _ in range(4)]
        for number, contact in enumerate(people):
            tell(record, contact, **{f"slot_{number}": number})
        pairs = [(one, other) for one in people for other in people if one != other]
        refused = at_once(*(lambda one=one, other=other: merge(record, one, other) for one, other in pairs))
        assert refused == ["same_contact"] * (len(pairs) - 3), "each merge makes one of two"
        (living,) = {record.resolve(contact) for contact in people}
        assert sorted(record.aliases(living)) == sorted(people)
        assert known(record, living) == {f"slot_{number}": number for number in range(4)}


def test_merging_parting_and_saying_something_at_once_loses_nothing(record: Record) -> None:
    for round_ in range(8):
        caller, customer, third = (record.create_contact() for _ in range(3))
        tell(record, caller, postcode="97201")
        merge(record, caller, customer)
        at_once(
            lambda caller=caller: record.unmerge(caller, reason="wrong person"),
            lambda customer=customer, third=third: merge(record, customer, third),
            lambda third=third, caller=caller: merge(record, third, caller),
            lambda caller=caller, round_=round_: tell(record, caller, problem=f"leak {round_}"),
            lambda third=third: tell(record, third, brand="Bosch"),
        )
        for contact in (caller, customer, third):
            assert record.resolve(contact) in (caller, customer, third)
            known(record, record.resolve(contact))
        said = [
            event for one in {record.resolve(two) for two in (caller, customer, third)} for event in record.conversation(one)
        ]
        assert sum(event.type_name == "user" for event in said) == 3


def test_a_merge_undone_twice_at_once_is_undone_once(record: Record) -> None:
    for _ in range(8):
        caller, customer = record.create_contact(), record.create_contact()
        merge(record, caller, customer)
        part = lambda caller=caller: record.unmerge(caller, reason="wrong person")  # noqa: E731
        assert at_once(part, part, part) == ["not_merged"] * 2


def test_two_people_on_one_number_stay_two(record: Record) -> None:
    dana, sam = record.create_contact(), record.create_contact()
    for contact, postcode in ((dana, "97201"), (sam, "97202")):
        tell(record, contact, postcode=postcode)
        record.add_address(contact, "phone", NUMBER, proof="attested")
    caller = record.create_contact()
    record.add_address(caller, "phone", NUMBER, proof="attested")
    call = record.open_session(caller, "phone", assurance=Assurance.CLAIMED, caller=NUMBER, vouched=True).session_id
    claims = record.callers_known(NUMBER, proofs=PROVEN_NUMBER, since=LONG_AGO)
    assert set(claims) == {dana, sam}
    matched = record.match_fact(call, claims, slot="postcode", value="97202", limits=LIMITS)
    record.merge(caller, matched, reason="fact", session_id=call)
    assert record.session(call).contact_id == sam
    assert record.resolve(dana) == dana
    assert known(record, dana) == {"postcode": "97201"}
    assert set(record.find_by_address("phone", NUMBER)) == {dana, sam}


def test_two_people_at_one_computer_stay_two(record: Record) -> None:
    """The account's visit and the anonymous one of the same browser are two, and a proof given in the one is none in the other."""
    dana = record.contact_of_account("dana", proof="login")
    hers = record.open_session(dana, "web_chat", assurance=Assurance.AUTHENTICATED, caller="192.0.2.7").session_id
    his = record.open_session(record.create_contact(), "web_chat", caller="192.0.2.7").session_id
    assert record.session(his).assurance is Assurance.ANONYMOUS
    assert record.session(his).contact_id != record.session(hers).contact_id
    record.raise_assurance(his, Assurance.POSSESSED, lasts=timedelta(hours=12))
    assert record.session(hers).assurance is Assurance.AUTHENTICATED
    assert record.contact_of_account("dana", proof="login") == dana
