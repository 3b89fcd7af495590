"""Who a call is taken for when it begins: by the page it comes from, or by its number and who vouches for that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from channels.phone_line import PhoneLine
from tests.unit.channels.small_server import SmallServer
from throughline.call.media_streams import Start
from throughline.domain.assurance import CALL_BACK, CALLER_ID, CODE, Assurance
from throughline.domain.transcripts import TELEPHONE
from throughline.domain.turns import PAGE_CALL, PHONE, TELEPHONE_CALL, WEB_CHAT, TurnResult
from throughline.errors import Rejected
from throughline.record import Record, Session
from throughline.record.schema import phone_calls, sessions

pytestmark = pytest.mark.unit

NUMBER, PAGE = "+15035550100", "203.0.113.7"
VOUCHED, FALSE_NUMBER = "TN-Validation-Passed-A", "TN-Validation-Failed-C"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmallServer]:
    made = SmallServer(tmp_path)
    yield made
    made.record.close()


def line(server: SmallServer, kind: str) -> PhoneLine:
    return PhoneLine(server, kind, None, None, lambda: None, PAGE)  # type: ignore[arg-type]


def session_of(port: PhoneLine) -> Session:
    found = port._session
    assert found is not None
    return found


async def page_call(server: SmallServer, chat: Session) -> PhoneLine:
    token = server.record.issue_call_token(
        contact_id=chat.contact_id, chat_session_id=chat.session_id, origin=PAGE_CALL, ttl_s=60
    )
    port = line(server, PAGE_CALL)
    await port.admit(start(token, "page-1"))
    return port


async def telephone_call(server: SmallServer, number: int, *, caller: str = NUMBER, attestation: str = "") -> PhoneLine:
    call_sid = f"CA{number:032d}"
    token = server.record.announce_call(call_sid, caller=caller, attestation=attestation, ttl_s=60)
    port = line(server, TELEPHONE_CALL)
    await port.admit(start(token, call_sid))
    return port


def start(token: str, call_sid: str) -> Start:
    return Start("MZ1", call_sid, TELEPHONE, {"token": token})


def stored(record: Record, session_id: str) -> Any:
    with record._database.reading() as connection:
        return connection.execute(sa.select(sessions).where(sessions.c.session_id == session_id)).one()


def known_customer(server: SmallServer, *, proved_days_ago: int = 1) -> str:
    contact = server.record.create_contact()
    server.runner.say(contact, server.record.open_session(contact, WEB_CHAT).session_id, {"event": "user", "text": "hello"})
    proved = datetime.now(timezone.utc) - timedelta(days=proved_days_ago)
    server.record.add_address(contact, "phone", NUMBER, proof=CODE, now=proved)
    return contact


async def test_a_page_that_holds_the_chat_is_as_good_as_a_code(server: SmallServer) -> None:
    chat = server.record.open_session(server.record.create_contact(), WEB_CHAT)
    call = session_of(await page_call(server, chat))
    assert (call.contact_id, call.assurance) == (chat.contact_id, Assurance.POSSESSED)


async def test_a_call_from_a_chat_whose_proof_has_lapsed_proves_no_more_than_that(server: SmallServer) -> None:
    chat = server.record.open_session(server.record.create_contact(), WEB_CHAT)
    long_ago = datetime.now(timezone.utc) - timedelta(days=2)
    server.record.raise_assurance(chat.session_id, Assurance.POSSESSED, lasts=timedelta(hours=12), now=long_ago)
    assert session_of(await page_call(server, chat)).assurance is Assurance.CLAIMED


async def test_a_number_that_is_vouched_for_is_a_claim_and_no_more(server: SmallServer) -> None:
    customer = known_customer(server)
    call = session_of(await telephone_call(server, 1, attestation=VOUCHED))
    assert call.assurance is Assurance.CLAIMED
    assert call.contact_id != customer
    assert call.detail["claims"] == [customer]


async def test_a_number_said_to_be_false_claims_nothing(server: SmallServer) -> None:
    known_customer(server)
    call = session_of(await telephone_call(server, 1, attestation=FALSE_NUMBER))
    assert (call.assurance, call.detail["claims"]) == (Assurance.ANONYMOUS, [])


async def test_a_number_that_was_proved_too_long_ago_claims_nothing(server: SmallServer) -> None:
    known_customer(server, proved_days_ago=server.app.settings.identity.number_days + 1)
    assert session_of(await telephone_call(server, 1)).detail["claims"] == []


async def test_guesses_are_counted_by_the_number_and_by_who_vouches_for_it(server: SmallServer) -> None:
    rows = [
        stored(server.record, session_of(await telephone_call(server, number, attestation=attestation)).session_id)
        for number, attestation in enumerate(["", "TN-Validation-Passed-B", VOUCHED, VOUCHED])
    ]
    assert [row.caller_vouched for row in rows] == [False, False, True, True]
    assert rows[0].caller_digest == rows[1].caller_digest
    assert rows[2].caller_digest == rows[3].caller_digest != rows[0].caller_digest
    withheld = session_of(await telephone_call(server, 9, caller="")).session_id
    assert stored(server.record, withheld).caller_digest is None


async def connected_again(server: SmallServer, port: PhoneLine, step: int) -> PhoneLine:
    """The line broke, and the same call goes on."""
    call_sid = port._call_sid
    token = server.record.reconnect_call(call_sid, after_step=step, ttl_s=60)
    again = line(server, TELEPHONE_CALL)
    await again.admit(start(token, call_sid))
    return again


def guess(server: SmallServer, port: PhoneLine) -> str:
    with pytest.raises(Rejected) as refused:
        limits = server.app.settings.codes.limits()
        server.record.redeem_code("00000000", session_id=session_of(port).session_id, limits=limits)
    return refused.value.reason


async def test_a_call_has_three_guesses_however_often_its_line_breaks(server: SmallServer) -> None:
    """Also where nobody knows whose it is: then there is no caller's limit behind it."""
    port = await telephone_call(server, 1, caller="")
    assert guess(server, port) == "unknown_code"
    port = await connected_again(server, port, 1)
    assert guess(server, port) == "unknown_code"
    port = await connected_again(server, port, 2)
    assert [guess(server, port) for _ in range(2)] == ["unknown_code", "too_many_tries"]
    another = await telephone_call(server, 2, caller="")
    assert guess(server, another) == "unknown_code"


async def test_a_pages_guesses_are_counted_by_its_network_address(server: SmallServer) -> None:
    chat = (await server.chat_door.open(None, None, PAGE)).session
    call = session_of(await page_call(server, chat))
    digests = {stored(server.record, one).caller_digest for one in (chat.session_id, call.session_id)}
    assert len(digests) == 1 and None not in digests


async def test_what_is_said_after_a_merge_was_taken_back_is_the_callers_own(server: SmallServer) -> None:
    customer = known_customer(server)
    port = await telephone_call(server, 1)
    call = session_of(port)
    server.record.merge(call.contact_id, customer, reason=CODE, session_id=call.session_id)
    await port.turn("with the customer", source="speech", confidence=None)
    server.record.unmerge(call.contact_id, reason="wrong person")
    await port.turn("my own again", source="speech", confidence=None)
    with server.record._database.reading() as connection:
        assert connection.execute(sa.select(phone_calls.c.session_id)).scalar_one() == call.session_id
    own, theirs = (
        [event.data["text"] for event in server.record.conversation(one) if event.session_id == call.session_id]
        for one in (call.contact_id, customer)
    )
    assert own == ["with the customer", "You said: with the customer", "my own again", "You said: my own again"]
    assert theirs == []


CALLED = "CA" + "7" * 32


async def placed_call(server: SmallServer, *, again: bool = False) -> tuple[PhoneLine, Session, bool]:
    """Somebody picks up when we call; the line, the session that it led to, and whether they are asked who they are. ``again``: the call is
    connected for another time."""
    record = server.record
    if again:
        token = record.reconnect_call(CALLED, after_step=record.phone_call(CALLED).step, ttl_s=60)
    else:
        customer = known_customer(server)
        chat = record.open_session(customer, WEB_CHAT, assurance=Assurance.POSSESSED)
        since, hour = datetime.now(timezone.utc) - timedelta(days=9), timedelta(hours=1)
        placed, _ = record.begin_call(
            chat.session_id, proved_since=since, together=hour, limits=server.app.settings.call_limits()
        )
        token = record.answer_call(placed.placed_id, CALLED, ttl_s=60)
    port = line(server, TELEPHONE_CALL)
    admission = await port.admit(start(token, CALLED))
    return port, session_of(port), admission.called


async def test_who_picks_up_when_we_call_is_somebody_new_until_they_say_who_they_are(server: SmallServer) -> None:
    _, session, asked = await placed_call(server)
    customer = server.record.person_called(session.session_id)
    assert asked
    assert session.contact_id != customer
    assert session.assurance is Assurance.CLAIMED
    assert (session.detail["caller"], session.detail["claims"]) == (NUMBER, [customer])
    (address,) = server.record.addresses_of(session.contact_id)
    assert address.proof == CALLER_ID, "their own number is not theirs by our call"
    chat = server.record.placed_call(CALLED).session_id
    together = server.record.standing(session.session_id, together=timedelta(hours=1)).together
    assert chat not in together


async def test_once_they_have_said_so_the_call_belongs_to_the_chat(server: SmallServer) -> None:
    _, session, _ = await placed_call(server)
    record, customer = server.record, server.record.person_called(session.session_id)
    record.raise_assurance(session.session_id, Assurance.POSSESSED, lasts=None)
    record.merge(session.contact_id, customer, reason=CALL_BACK, session_id=session.session_id)
    chat = record.placed_call(CALLED).session_id
    assert chat in record.standing(session.session_id, together=timedelta(hours=1)).together
    _, again, asked = await placed_call(server, again=True)
    assert (again.contact_id, again.assurance, asked) == (customer, Assurance.POSSESSED, False), "the same call goes on"


async def test_where_the_line_breaks_before_they_have_said_so_they_are_asked_again(server: SmallServer) -> None:
    _, session, _ = await placed_call(server)
    _, again, asked = await placed_call(server, again=True)
    assert asked
    assert (again.contact_id, again.assurance) == (session.contact_id, Assurance.CLAIMED)
    assert server.record.person_called(again.session_id) != again.contact_id


async def test_the_dialogue_is_told_that_we_have_called(server: SmallServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, bool]] = []

    async def resume(_contact: str, _session: str, channel: str, **how: bool) -> TurnResult:
        assert channel == PHONE
        asked.append(how)
        return TurnResult("c_1", ())

    monkeypatch.setattr(server.runner, "resume", resume)
    port, _, _ = await placed_call(server)
    await port.begin()
    await (await telephone_call(server, 3)).begin()
    assert asked == [{"claimed": False, "called": True}, {"claimed": True, "called": False}]


async def test_how_a_caller_says_that_it_was_is_an_outcome_of_the_call(server: SmallServer) -> None:
    contact = server.record.create_contact()
    port = await page_call(server, server.record.open_session(contact, WEB_CHAT))
    await port.rated(4)
    await port.rated(5)  # said twice, it counts once
    (outcome,) = server.record.outcomes(contact)
    assert (outcome.kind, outcome.data, outcome.session_id) == ("rating", {"rating": 4, "of": 5}, session_of(port).session_id)
