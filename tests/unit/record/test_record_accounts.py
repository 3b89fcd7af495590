"""The contact of an account, and what was said to a message."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.unit.record.conftest import LIMITS
from throughline.domain.turns import PHONE, WEB_CHAT, Turn
from throughline.errors import Rejected
from throughline.record import Record
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id

pytestmark = pytest.mark.unit

DANA, EMIL = '["https://www.harbor.example","dana"]', '["https://www.harbor.example","emil"]'


def test_an_account_has_one_contact_and_another_has_another(record: Record) -> None:
    dana = record.contact_of_account(DANA, proof="login")
    assert record.contact_of_account(DANA, proof="login") == dana
    assert record.contact_of_account(EMIL, proof="login") != dana
    assert record.find_by_address("account", DANA) == [dana]
    assert record.has_account(dana)
    assert not record.has_account(record.create_contact())


def test_the_same_after_a_restart(record: Record, reopen: Callable[[], Record]) -> None:
    dana = record.contact_of_account(DANA, proof="login")
    record.close()
    assert reopen().contact_of_account(DANA, proof="login") == dana


def test_many_pages_of_one_login_at_once_get_one_contact(record: Record) -> None:
    for attempt in range(10):
        start, found = threading.Barrier(4), []

        def open_page(account: str, start: threading.Barrier = start, found: list[str] = found) -> None:
            start.wait()
            found.append(record.contact_of_account(account, proof="login"))

        threads = [threading.Thread(target=open_page, args=(f"{DANA}{attempt}",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(found)) == 1
        assert record.find_by_address("account", f"{DANA}{attempt}") == found[:1]


def test_an_account_goes_with_its_contact_when_that_is_merged(record: Record) -> None:
    caller, dana = record.create_contact(), record.contact_of_account(DANA, proof="login")
    record.merge(dana, caller, reason="code", session_id=None)
    assert record.contact_of_account(DANA, proof="login") == caller
    assert record.has_account(caller) and record.has_account(dana)


def test_an_account_too_long_for_the_record_is_refused(record: Record) -> None:
    with pytest.raises(Rejected, match="too_long"):
        record.contact_of_account("a" * 256, proof="login")


def test_a_code_never_makes_one_person_of_two_accounts(record: Record) -> None:
    """Who is talked into reading out a code gives away a conversation, and not an account."""
    dana, emil = (record.contact_of_account(account, proof="login") for account in (DANA, EMIL))
    danas, emils, call = (record.open_session(who, WEB_CHAT).session_id for who in (dana, emil, record.create_contact()))
    code = record.issue_code(dana, danas, ttl_s=300)
    with pytest.raises(Rejected, match="unknown_code"):
        record.redeem_code(code, session_id=emils, limits=LIMITS)
    assert record.redeem_code(code, session_id=call, limits=LIMITS) == dana, "it is still good for who has no account"


class Talk:
    """One session in which messages are stored, taken and answered."""

    def __init__(self, record: Record, contact_id: str, channel: str = WEB_CHAT) -> None:
        self.record, self.contact_id, self.channel = record, contact_id, channel
        self.session_id = record.open_session(contact_id, channel).session_id

    def says(self, message_id: str, *answers: str) -> None:
        """A message, and what was said to it; nothing while its turn is not committed."""
        self.record.store_message(Turn(self.contact_id, self.session_id, self.channel, "hello", message_id))
        if answers:
            self.commits({"event": "user", "text": "hello", "message_id": message_id})
            self.hears(*answers)

    def hears(self, *answers: str) -> None:
        for text in answers:
            self.commits({"event": "action", "name": "utter"})
            self.commits({"event": "bot", "text": text})

    def commits(self, data: dict[str, object]) -> None:
        event_id = new_event_id()
        stamped = {"timestamp": 1.0, "metadata": {"event_id": event_id}, **data}
        event = NewEvent(event_id, stamped, self.session_id, self.channel)
        finished = str(data["message_id"]) if "message_id" in data else None
        self.record.append_events(self.record.resolve(self.contact_id), [event], expected=None, message_id=finished)


def replies(record: Record, message_id: str) -> list[str]:
    return [event.data["text"] for event in record.reply_to(message_id)]


def test_each_message_has_its_own_reply(record: Record) -> None:
    talk = Talk(record, record.create_contact())
    talk.says("m1", "one", "two")
    talk.says("m2", "three")
    assert replies(record, "m1") == ["one", "two"]
    assert replies(record, "m2") == ["three"]
    for number in range(60):
        talk.says(f"later-{number}", "and so on")
    assert replies(record, "m1") == ["one", "two"], "also long after"


def test_what_is_said_elsewhere_meanwhile_is_no_part_of_a_reply(record: Record) -> None:
    contact = record.create_contact()
    chat, call = Talk(record, contact), Talk(record, contact, PHONE)
    chat.says("m1", "one")
    call.says("m2", "by phone")
    chat.hears("two")
    assert replies(record, "m1") == ["one", "two"]


def test_a_reply_that_leads_to_another_contact_is_whole(record: Record) -> None:
    visitor, customer = record.create_contact(), record.create_contact()
    talk = Talk(record, visitor)
    talk.says("m1", "found you")
    record.merge(visitor, customer, reason="code", session_id=talk.session_id)
    talk.hears("welcome back")
    assert replies(record, "m1") == ["found you", "welcome back"]


def test_a_message_whose_turn_is_not_over_has_no_reply_yet_and_an_unknown_one_never(record: Record) -> None:
    talk = Talk(record, record.create_contact())
    talk.says("m1", "one")
    talk.says("m2")
    assert replies(record, "m2") == []
    with pytest.raises(Rejected, match="unknown_message"):
        record.reply_to("m3")
