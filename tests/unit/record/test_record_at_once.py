"""Several servers do the same thing at the same moment: it is done once, and nobody waits for anybody in a circle.

Every test runs many rounds on both engines; on PostgreSQL the writers really are side by side, each in a transaction of its own.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from tests.unit.record.conftest import LIMITS
from tests.unit.record.somebody import entry_of
from throughline.domain.assurance import Assurance
from throughline.domain.visits import Visit, VisitSlot
from throughline.errors import Rejected
from throughline.record import Record, references
from throughline.record import passes as passes_module
from throughline.record.schema import audit_log, codes, failed_tries

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)
ROUNDS = 6
PATIENT = replace(LIMITS, alarm_tries=10**6)
MANY = 6


def at_once(work: Callable[[int], Any], many: int = MANY) -> tuple[list[Any], list[str]]:
    """Do ``work(0)``, ``work(1)`` ... at the same moment: what came back, and the reasons of those refused. Anything else raised fails."""
    start = threading.Barrier(many)
    done: list[Any] = []
    refused: list[str] = []
    broken: list[Exception] = []

    def do(number: int) -> None:
        start.wait()
        try:
            done.append(work(number))
        except Rejected as error:
            refused.append(error.reason)
        except Exception as error:  # noqa: BLE001 - told below, in the test's own thread
            broken.append(error)

    threads = [threading.Thread(target=do, args=(number,)) for number in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
    return done, refused


def each_three_times() -> Callable[[int], int]:
    """In place of a random number: 0, 0, 0, 1, 1, 1, 2 ..."""
    drawn = itertools.count()
    return lambda _most: next(drawn) // 3


def session_of(record: Record, channel: str = "phone", **options: Any) -> str:
    return record.open_session(record.create_contact(), channel, **options).session_id


def issued(record: Record, **options: Any) -> str:
    chat = record.open_session(record.create_contact(), "web_chat")
    return record.issue_code(chat.contact_id, chat.session_id, ttl_s=300, **options)


def test_a_repeated_request_is_new_to_one_server(record: Record) -> None:
    for round_ in range(ROUNDS):
        named = [[f"signed {round_}", f"token {round_}"], [f"token {round_}", f"signed again {round_}"]]
        done, _ = at_once(lambda number, named=named: record.take_request(named[number % 2], kind="voice", now=NOON))
        assert done.count(None) == 1
        assert [first for first in done if first is not None] == [NOON] * (MANY - 1)


def test_a_code_is_redeemed_once(record: Record) -> None:
    for _ in range(ROUNDS):
        code = issued(record)
        sessions = [session_of(record) for _ in range(MANY)]
        done, refused = at_once(lambda number: record.redeem_code(code, session_id=sessions[number], limits=PATIENT))  # noqa: B023
        assert len(done) == 1
        assert refused == ["used_code"] * (MANY - 1)


def test_a_call_token_is_redeemed_once(record: Record) -> None:
    for _ in range(ROUNDS):
        token = record.issue_call_token(contact_id=None, chat_session_id=None, origin="page", ttl_s=60)
        done, refused = at_once(lambda _: record.redeem_call_token(token))  # noqa: B023
        assert (len(done), refused) == (1, ["used_token"] * (MANY - 1))


def test_of_the_tokens_of_one_call_one_connects_it(record: Record) -> None:
    """However many servers have announced it, and whatever token each connection brings."""
    for round_ in range(ROUNDS):
        call = f"CA{round_:032d}"
        tokens, _ = at_once(lambda _: record.announce_call(call, caller="", attestation="", ttl_s=60, now=NOON))  # noqa: B023
        assert len(set(tokens)) == MANY
        done, refused = at_once(lambda number: record.redeem_call_token(tokens[number], call_sid=call, now=NOON))  # noqa: B023
        assert (len(done), refused) == (1, ["used_token"] * (MANY - 1))
        assert record.phone_call(call).connected_step == 1


def test_a_call_is_connected_again_once(record: Record) -> None:
    for round_ in range(ROUNDS):
        call = f"CA{round_:032d}"
        record.redeem_call_token(record.announce_call(call, caller="", attestation="", ttl_s=60), call_sid=call)
        record.note_call_session(call, session_of(record))
        tokens, refused = at_once(lambda _: record.reconnect_call(call, after_step=1, ttl_s=60))  # noqa: B023
        assert refused == []
        done, _ = at_once(lambda number: record.redeem_call_token(tokens[number], call_sid=call))  # noqa: B023
        assert len(done) == 1


def test_no_two_open_codes_are_alike(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """With so few digits that everybody draws the same: one has it, the others draw again."""
    monkeypatch.setattr(passes_module.secrets, "randbelow", each_three_times())
    sessions = [record.open_session(record.create_contact(), "web_chat") for _ in range(MANY)]
    for _ in range(4):
        drawn, refused = at_once(
            lambda number: record.issue_code(sessions[number].contact_id, sessions[number].session_id, ttl_s=300)
        )
        assert refused == []
        assert len(set(drawn)) == MANY


def test_a_session_has_one_open_code_however_often_it_asks_at_once(record: Record) -> None:
    chat = record.open_session(record.create_contact(), "web_chat")
    for _ in range(ROUNDS):
        at_once(lambda _: record.issue_code(chat.contact_id, chat.session_id, ttl_s=300))
        with record._database.reading() as connection:
            is_open = codes.c.open_digest.is_not(None)
            assert connection.execute(sa.select(sa.func.count()).select_from(codes).where(is_open)).scalar_one() == 1


def test_codes_that_ran_out_are_swept_by_many_at_once(record: Record) -> None:
    for _ in range(ROUNDS):
        for _ in range(4):
            issued(record, now=NOON)
        chats = [record.open_session(record.create_contact(), "web_chat") for _ in range(MANY)]
        later = NOON + timedelta(hours=1)
        done, refused = at_once(
            lambda number: record.issue_code(chats[number].contact_id, chats[number].session_id, ttl_s=300, now=later)  # noqa: B023
        )
        assert (len(done), refused) == (MANY, [])


def guess(record: Record, session_id: str, at: datetime = NOON, limits: Any = LIMITS) -> str:
    return record.redeem_code("00000000", session_id=session_id, limits=limits, now=at)


def test_guesses_at_the_same_moment_do_not_slip_past_a_sessions_limit(record: Record) -> None:
    for _ in range(3):
        session = session_of(record)
        _, refused = at_once(lambda _: guess(record, session, limits=PATIENT))  # noqa: B023
        assert sorted(refused) == ["too_many_tries"] * (MANY - 3) + ["unknown_code"] * 3


def test_guesses_at_the_same_moment_do_not_slip_past_a_callers_limit(record: Record) -> None:
    many = 16
    for round_ in range(3):
        sessions = [session_of(record, caller=f"+1503555010{round_}") for _ in range(many)]
        _, refused = at_once(lambda number: guess(record, sessions[number], limits=PATIENT), many)  # noqa: B023
        assert sorted(refused) == ["too_many_tries"] * (many - 10) + ["unknown_code"] * 10


def test_the_alarm_rings_once_however_many_are_wrong_at_once(record: Record) -> None:
    limits = replace(LIMITS, alarm_tries=MANY)
    for round_ in range(1, 4):
        now = NOON + timedelta(hours=round_)
        sessions = [session_of(record) for _ in range(2 * MANY)]
        at_once(lambda number: guess(record, sessions[number], now, limits), 2 * MANY)  # noqa: B023
        with record._database.reading() as connection:
            rung = sa.select(sa.func.count()).select_from(audit_log).where(audit_log.c.action == "tries_closed")
            assert connection.execute(rung).scalar_one() == round_
            counted = sa.select(sa.func.count()).select_from(failed_tries).where(failed_tries.c.at == now)
            assert MANY <= connection.execute(counted).scalar_one() <= 2 * MANY
        with pytest.raises(Rejected, match="closed"):
            guess(record, session_of(record), now, limits)


def test_the_highest_proof_counts_whoever_is_first(record: Record) -> None:
    for _ in range(ROUNDS):
        session = session_of(record)
        levels = [Assurance.CLAIMED, Assurance.POSSESSED, Assurance.CLAIMED, Assurance.AUTHENTICATED, Assurance.POSSESSED]
        at_once(lambda number: record.raise_assurance(session, levels[number], lasts=None), len(levels))  # noqa: B023
        assert record.session(session).assurance is Assurance.AUTHENTICATED


def test_an_address_is_there_once_with_its_strongest_proof(record: Record) -> None:
    proofs = ["caller_id", "code", "attested", "fact", "code", "caller_id"]
    for _ in range(ROUNDS):
        contact = record.create_contact()
        at_once(lambda number: record.add_address(contact, "phone", "+15035550100", proof=proofs[number]), len(proofs))  # noqa: B023
        assert [(one.value, one.proof) for one in record.addresses_of(contact)] == [("+15035550100", "code")]


def test_references_are_never_given_twice(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references.secrets, "randbelow", each_three_times())
    contact = record.create_contact()
    for round_ in range(4):
        cases, _ = at_once(
            lambda number: record.crm.open_case(contact, "dryer", {}, kind="repair", idempotency_key=f"{round_} {number}")  # noqa: B023
        )
        assert len({case.reference for case in cases}) == MANY


def test_the_same_key_has_one_effect(record: Record) -> None:
    contact = record.create_contact()
    for round_ in range(ROUNDS):
        ten = NOON + timedelta(days=round_)
        slots = [VisitSlot(ten, ten + timedelta(hours=2), f"t-{number}") for number in range(MANY)]
        visits, _ = at_once(
            lambda number: record.calendar.book(slots[number], contact, {}, idempotency_key=f"visit {round_}")  # noqa: B023
        )
        assert len({visit.visit_id for visit in visits}) == 1
        cases, _ = at_once(
            lambda _: record.crm.open_case(contact, "dryer", {}, kind="repair", idempotency_key=f"case {round_}")  # noqa: B023
        )
        assert len({case.case_id for case in cases}) == 1
        outcomes, _ = at_once(
            lambda _: record.record_outcome(contact, None, kind="visit", data={}, idempotency_key=f"outcome {round_}")  # noqa: B023
        )
        assert len(set(outcomes)) == 1


def test_of_many_who_book_and_move_into_the_same_time_one_gets_it(record: Record) -> None:
    calendar = record.calendar
    for round_ in range(ROUNDS):
        day = NOON + timedelta(days=round_)
        wanted = VisitSlot(day, day + timedelta(hours=2), "kim")
        froms = [VisitSlot(day + timedelta(hours=3 * n), day + timedelta(hours=3 * n + 2), f"t-{n % 2}") for n in range(MANY)]
        visits = [calendar.book(one, f"c_{n}", {}, idempotency_key=f"{round_} {n}") for n, one in enumerate(froms)]

        def take(number: int, wanted: VisitSlot = wanted, visits: list[Visit] = visits, key: str = f"to {round_}") -> Visit:
            if number % 2:
                return calendar.book(wanted, f"c_{number}", {}, idempotency_key=f"{key} {number}")
            return calendar.move(
                visits[number].visit_id, wanted, idempotency_key=f"{key} {number}", now=NOON - timedelta(days=1)
            )

        done, refused = at_once(take)
        assert ([visit.slot for visit in done], refused) == ([wanted], ["slot_taken"] * (MANY - 1))
        assert calendar.busy(["kim"], wanted.start, wanted.end) == [wanted]


def test_one_visit_that_is_moved_to_many_technicians_at_once_is_with_one_of_them(record: Record) -> None:
    for round_ in range(ROUNDS):
        ten = NOON + timedelta(days=round_)
        slots = [VisitSlot(ten, ten + timedelta(hours=2), f"t-{number}") for number in range(MANY + 1)]
        visit = record.calendar.book(slots[-1], "c_1", {}, idempotency_key=f"visit {round_}")

        def move(number: int, visit: Visit = visit, slots: list[VisitSlot] = slots, key: str = f"to {round_}") -> Visit:
            return record.calendar.move(
                visit.visit_id, slots[number], idempotency_key=f"{key} {number}", now=NOON - timedelta(days=1)
            )

        done, refused = at_once(move)
        assert (len(done), refused) == (MANY, [])
        [now_at] = record.calendar.busy([slot.technician for slot in slots], ten, ten + timedelta(hours=2))
        assert [one.slot for one in record.calendar.visits_of("c_1") if one.visit_id == visit.visit_id] == [now_at]


def test_visits_that_change_places_wait_for_nobody_in_a_circle(record: Record) -> None:
    """Each wants the other technician's time: that is taken, whoever comes first; the hours beside it are free."""
    calendar = record.calendar
    for round_ in range(ROUNDS):
        ten = NOON + timedelta(days=round_)
        slots = [VisitSlot(ten, ten + timedelta(hours=2), f"t-{number}") for number in range(2)]
        visits = [calendar.book(one, "c_1", {}, idempotency_key=f"{round_} {n}") for n, one in enumerate(slots)]

        def move(number: int, visits: list[Visit] = visits, slots: list[VisitSlot] = slots, key: str = f"to {round_}") -> Visit:
            hours = timedelta(hours=number // 2 * 2)
            to = replace(slots[1 - number % 2], start=ten + hours, end=ten + hours + timedelta(hours=2))  # noqa: B023
            moved = visits[number % 2].visit_id
            return calendar.move(moved, to, idempotency_key=f"{key} {number}", now=NOON - timedelta(days=1))

        _, refused = at_once(move)
        assert set(refused) <= {"slot_taken"}
        for technician in ("t-0", "t-1"):
            times = calendar.busy([technician], ten, ten + timedelta(hours=9))
            assert all(one.end <= two.start for one, two in itertools.pairwise(times))
        assert len(calendar.busy(["t-0", "t-1"], ten, ten + timedelta(hours=9))) == 2


def test_the_same_key_moves_once_and_a_visit_is_cancelled_once(record: Record) -> None:
    for round_ in range(ROUNDS):
        ten = NOON + timedelta(days=round_)
        slots = [VisitSlot(ten, ten + timedelta(hours=2), f"t-{number}") for number in range(MANY + 1)]
        visit = record.calendar.book(slots[-1], "c_1", {}, idempotency_key=f"visit {round_}")
        before = NOON - timedelta(days=1)
        moved, _ = at_once(
            lambda number: record.calendar.move(visit.visit_id, slots[number], idempotency_key=f"move {round_}", now=before)  # noqa: B023
        )
        assert len({one.slot for one in moved}) == 1
        done, _ = at_once(
            lambda number: record.calendar.cancel(visit.visit_id, idempotency_key=f"cancel {round_} {number % 2}", now=before)  # noqa: B023
        )
        assert len({one.cancelled_at for one in done}) == 1


def test_a_new_customer_written_from_two_sides_has_what_both_wrote(record: Record) -> None:
    for _ in range(ROUNDS):
        contact = record.create_contact()
        at_once(lambda number: record.crm.upsert_customer(contact, {f"field_{number}": number}))  # noqa: B023
        assert entry_of(record, contact) == {f"field_{number}": number for number in range(MANY)}
