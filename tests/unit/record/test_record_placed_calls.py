"""Calls that we place: who may have us call which number, how often, and what becomes of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest

from tests.unit.record.conftest import LIMITS
from throughline.domain.assurance import ATTESTED, CALL_BACK, CALLER_ID, CODE, FACT, Assurance
from throughline.domain.placed_calls import ANSWERED, BUSY, FAILED, CallLimits
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.errors import Rejected
from throughline.record import PlacedCall, Record

pytestmark = pytest.mark.unit

NOW = datetime.now(timezone.utc)
YEAR, HOUR = timedelta(days=365), timedelta(hours=1)
NUMBER, OTHER = "+15035550100", "+15035550101"
CALL = "CA" + "1" * 32
FEW = CallLimits(per_number=3, over_all=5, rings_for=timedelta(minutes=2), lasts=timedelta(minutes=31))


@dataclass
class Customer:
    """Somebody in a chat."""

    record: Record
    contact: str
    chat: str

    def proves(self, number: str = NUMBER, proof: str = CODE, at: datetime = NOW) -> Customer:
        self.record.add_address(self.contact, "phone", number, proof=proof, now=at)
        return self

    def is_sure(self) -> Customer:
        self.record.raise_assurance(self.chat, Assurance.POSSESSED, lasts=None)
        return self

    def gives_code_by_phone(self, number: str = NUMBER, at: datetime | None = None) -> Customer:
        """A call from there gives this chat's code, as actions have it."""
        code = self.record.issue_code(self.contact, self.chat, ttl_s=300, now=at)
        caller = self.record.create_contact()
        session = self.record.open_session(caller, PHONE, detail={"caller": number}).session_id
        self.record.redeem_code(code, session_id=session, limits=LIMITS, now=at)
        return self.proves(number, at=at or NOW)

    def asks(
        self, at: datetime = NOW, limits: CallLimits = FEW, proved_since: datetime = NOW - YEAR
    ) -> tuple[PlacedCall, bool]:
        return self.record.begin_call(self.chat, proved_since=proved_since, together=HOUR, limits=limits, now=at)

    def refused(self, at: datetime = NOW, limits: CallLimits = FEW) -> str:
        with pytest.raises(Rejected) as refusal:
            self.asks(at, limits)
        return refusal.value.reason


def somebody(record: Record) -> Customer:
    contact = record.create_contact()
    return Customer(record, contact, record.open_session(contact, WEB_CHAT).session_id)


def over(record: Record, call: PlacedCall, outcome: str = BUSY) -> PlacedCall | None:
    return record.end_placed_call(call.placed_id, call.call_sid or f"CA of {call.placed_id}", outcome=outcome, reason="hung_up")


def test_only_numbers_that_are_surely_theirs_are_verified_the_newest_proof_first(record: Record) -> None:
    dana = somebody(record)
    for number, proof, days in (("1", CALLER_ID, 0), ("2", ATTESTED, 0), ("3", FACT, 3), ("4", CALL_BACK, 1), ("5", CODE, 2)):
        dana.proves(f"+1503555010{number}", proof, NOW - timedelta(days=days))
    dana.proves("+15035550109", CODE, NOW - YEAR - HOUR)
    found = [address.value[-1] for address in record.verified_numbers(dana.contact, since=NOW - YEAR)]
    assert found == ["4", "5", "3"]


def test_a_number_of_an_alias_counts(record: Record) -> None:
    dana, caller = somebody(record), record.create_contact()
    record.add_address(caller, "phone", NUMBER, proof=CODE)
    record.merge(caller, dana.contact, reason=CODE, session_id=None)
    assert [address.value for address in record.verified_numbers(dana.contact, since=NOW - YEAR)] == [NUMBER]


def test_a_chat_that_is_surely_theirs_has_the_number_called(record: Record) -> None:
    call, is_new = somebody(record).proves(OTHER, at=NOW - HOUR).proves(NUMBER).is_sure().asks()
    assert is_new
    assert (call.number, call.call_sid, call.answered, call.outcome) == (NUMBER, None, False, None)


def test_a_chat_that_only_shares_the_contact_has_nobody_called(record: Record) -> None:
    assert somebody(record).proves().refused() == "no_number"


def test_a_chat_whose_own_code_came_from_there_has_that_number_called_for_a_while(record: Record) -> None:
    dana = somebody(record).gives_code_by_phone(at=NOW).proves(OTHER, at=NOW + timedelta(seconds=1))
    call, _ = dana.asks(NOW + HOUR - timedelta(minutes=1))
    assert call.number == NUMBER, "the newer proof is not this chat's"
    assert dana.refused(NOW + HOUR + timedelta(minutes=1)) == "no_number"


def test_another_chat_of_the_same_person_cannot_use_that_code(record: Record) -> None:
    dana = somebody(record).gives_code_by_phone()
    left_open = Customer(record, dana.contact, record.open_session(dana.contact, WEB_CHAT).session_id)
    assert left_open.refused() == "no_number"


def test_a_proof_that_has_lapsed_has_nobody_called(record: Record) -> None:
    dana = somebody(record).proves()
    record.raise_assurance(dana.chat, Assurance.POSSESSED, lasts=HOUR, now=NOW - 2 * HOUR)
    assert dana.refused() == "no_number"


def test_asked_again_it_is_the_same_call_until_that_is_over(record: Record) -> None:
    dana = somebody(record).proves().is_sure()
    first, _ = dana.asks()
    record.note_call_taken(first.placed_id, CALL)
    again, is_new = dana.asks(NOW + timedelta(minutes=1))
    assert (again.placed_id, again.call_sid, is_new) == (first.placed_id, CALL, False)
    ended = over(record, again)
    assert ended is not None
    assert (ended.outcome, ended.answered, ended.confirmed) == (BUSY, False, False)
    assert over(record, again) is None, "told once"
    second, is_new = dana.asks(NOW + timedelta(minutes=1))
    assert is_new
    assert second.placed_id != first.placed_id


def test_a_call_of_whose_end_nobody_told_is_over_in_time(record: Record) -> None:
    dana = somebody(record).proves().is_sure()
    first, _ = dana.asks()
    assert not dana.asks(NOW + FEW.rings_for - timedelta(seconds=1))[1]
    second, is_new = dana.asks(NOW + FEW.rings_for)
    assert is_new
    record.answer_call(second.placed_id, CALL, ttl_s=60)
    assert not dana.asks(NOW + FEW.lasts)[1]
    assert dana.asks(NOW + FEW.rings_for + FEW.lasts)[1]
    assert first.placed_id != second.placed_id


def test_nobody_is_called_again_and_again(record: Record) -> None:
    dana = somebody(record).proves().is_sure()
    for minute in range(FEW.per_number):
        over(record, dana.asks(NOW + timedelta(minutes=minute))[0])
    assert dana.refused(NOW + timedelta(minutes=5)) == "too_many_calls"
    assert dana.asks(NOW + HOUR)[1]


def test_nor_from_many_chats(record: Record) -> None:
    """Whoever has one number proved by many contacts has it ring no more often."""
    for _ in range(FEW.per_number):
        over(record, somebody(record).proves().is_sure().asks()[0])
    assert somebody(record).proves().is_sure().refused() == "too_many_calls"


def test_while_somebody_is_called_there_nobody_else_is(record: Record) -> None:
    somebody(record).proves().is_sure().asks()
    assert somebody(record).proves().is_sure().refused() == "too_many_calls"


def test_all_together_have_a_limit(record: Record) -> None:
    for number in range(FEW.over_all):
        somebody(record).proves(f"+1503555020{number}").is_sure().asks()
    assert somebody(record).proves("+15035550300").is_sure().refused() == "too_many_calls"


def test_what_the_company_has_not_taken_does_not_count(record: Record) -> None:
    dana = somebody(record).proves().is_sure()
    for _ in range(FEW.per_number + 1):
        call, is_new = dana.asks()
        assert is_new
        record.note_call_refused(call.placed_id)


def test_answered_it_is_a_call_of_the_line_and_its_token_leads_to_whom_it_is_for(record: Record) -> None:
    dana = somebody(record).proves().is_sure()
    call, _ = dana.asks()
    first, second = (record.answer_call(call.placed_id, CALL, ttl_s=60) for _ in range(2))
    token = record.redeem_call_token(second, call_sid=CALL)
    assert (token.contact_id, token.chat_session_id, token.origin) == (dana.contact, dana.chat, "twilio")
    with pytest.raises(Rejected, match="used_token"):
        record.redeem_call_token(first, call_sid=CALL)
    with pytest.raises(Rejected, match="replayed_call"):
        record.answer_call(call.placed_id, CALL, ttl_s=60)
    assert (record.phone_call(CALL).caller, record.phone_call(CALL).attestation) == (NUMBER, "")


def test_a_stream_that_never_came_is_connected_again_for_the_same_person(record: Record) -> None:
    dana = somebody(record).proves().is_sure()
    record.answer_call(dana.asks()[0].placed_id, CALL, ttl_s=60)
    token = record.redeem_call_token(record.reconnect_call(CALL, after_step=1, ttl_s=60), call_sid=CALL)
    assert (token.contact_id, token.chat_session_id) == (dana.contact, dana.chat)


def test_it_is_answered_under_its_own_name_only(record: Record) -> None:
    call, _ = somebody(record).proves().is_sure().asks()
    record.note_call_taken(call.placed_id, CALL)
    for placed_id, call_sid in ((call.placed_id, "CA" + "2" * 32), ("p_unknown", CALL)):
        with pytest.raises(Rejected, match="unknown_call"):
            record.answer_call(placed_id, call_sid, ttl_s=60)
        with pytest.raises(Rejected, match="unknown_call"):
            record.end_placed_call(placed_id, call_sid, outcome=FAILED, reason="hung_up")


def test_one_that_is_over_is_not_answered_any_more(record: Record) -> None:
    call, _ = somebody(record).proves().is_sure().asks()
    record.note_call_taken(call.placed_id, CALL)
    record.end_placed_call(call.placed_id, CALL, outcome=BUSY, reason="hung_up")
    with pytest.raises(Rejected, match="replayed_call"):
        record.answer_call(call.placed_id, CALL, ttl_s=60)


def test_who_picked_up_is_somebody_once_they_have_become_one_with_whom_it_is_for(record: Record) -> None:
    dana = somebody(record).proves().is_sure()
    call, _ = dana.asks()
    record.redeem_call_token(record.answer_call(call.placed_id, CALL, ttl_s=60), call_sid=CALL)
    who = record.create_contact()
    session = record.open_session(who, PHONE).session_id
    record.note_call_session(CALL, session)
    assert record.person_called(session) == dana.contact
    assert not record.placed_call(CALL).confirmed
    record.merge(who, dana.contact, reason=CALL_BACK, session_id=session)
    assert record.placed_call(CALL).confirmed
    ended = record.end_placed_call(call.placed_id, CALL, outcome=FAILED, reason="hung_up")
    assert ended is not None
    assert (ended.outcome, ended.confirmed) == (ANSWERED, True)
    assert record.session(session).end_reason == "hung_up"
    assert record.phone_call(CALL).ended_at is not None


def test_a_call_goes_back_with_the_chat_that_asked_for_it(record: Record) -> None:
    """The chat was taken for somebody else's; that is taken back."""
    guest, dana = somebody(record), somebody(record)
    record.merge(guest.contact, dana.contact, reason=CODE, session_id=guest.chat)
    call, _ = guest.proves().is_sure().asks()
    assert call.contact_id == dana.contact
    record.note_call_taken(call.placed_id, CALL)
    record.unmerge(guest.contact, reason="wrong person")
    assert record.placed_call(CALL).contact_id == guest.contact
    assert [row["placed_id"] for row in record.person(guest.contact)["placed_calls"]] == [call.placed_id]
    assert record.person(dana.contact)["placed_calls"] == []


def test_a_call_that_came_in_was_placed_for_nobody(record: Record) -> None:
    record.announce_call(CALL, caller=NUMBER, attestation="", ttl_s=60)
    session = record.open_session(record.create_contact(), PHONE).session_id
    record.note_call_session(CALL, session)
    with pytest.raises(Rejected, match="not_placed"):
        record.person_called(session)
    with pytest.raises(Rejected, match="not_placed"):
        record.placed_call(CALL)
