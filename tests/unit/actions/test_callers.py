"""Telephone callers: known by their number, believed by what they know, put through to a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from actions.match_postcode import MatchPostcode
from actions.redeem_code import RedeemCode
from actions.request_person import RequestPerson
from actions.resume import Resume
from tests.unit.actions.conftest import Conversation
from throughline.bootstrap import Application
from throughline.domain.assurance import CODE, FACT, PROVEN_NUMBER, Assurance
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.errors import Rejected
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id

pytestmark = pytest.mark.unit

NUMBER = "+15035550100"
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
SUNDAY = datetime(2026, 11, 22, 18, tzinfo=timezone.utc)


def calls(app: Application, *claims: str, number: str = NUMBER) -> Conversation:
    """A telephone call from ``number``, which is that of the contacts ``claims``."""
    contact = app.record.create_contact()
    detail = {"origin": "twilio", "caller": number, "claims": list(claims)}
    session = app.record.open_session(contact, PHONE, assurance=Assurance.CLAIMED, detail=detail)
    return Conversation(contact, session.session_id, channel=PHONE).know(ui_claim=True if claims else None)


def told(app: Application, **slots: Any) -> str:
    """A contact who told us these facts in the chat."""
    contact = app.record.create_contact()
    session = app.record.open_session(contact, WEB_CHAT).session_id
    said = [{"event": "user", "text": "hello"}, *({"event": "slot", "name": name, "value": slots[name]} for name in slots)]
    new = []
    for event in said:
        event_id = new_event_id()
        new.append(NewEvent(event_id, {**event, "timestamp": 0.0, "metadata": {"event_id": event_id}}, session, WEB_CHAT))
    app.record.append_events(contact, new, expected=app.record.window(contact).head)
    return contact


def requests(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["metadata"]["request"] for event in events if "metadata" in event]


async def test_a_known_number_is_asked_for_a_proof_and_told_nothing(app: Application) -> None:
    done = await calls(app, told(app, customer_name="Dana Reyes", postcode="97201")).do(Resume())
    assert done.said == ["utter_call_claimed"]
    assert "Dana" not in str(done.values)


async def test_the_right_zip_code_makes_one_conversation(app: Application) -> None:
    dana = told(app, postcode="97201")
    caller = calls(app, dana)
    done = await caller.hears("97201", postcode="97201").do(MatchPostcode())
    assert done.said == ["utter_code_accepted"]
    assert requests(done.events) == [{"kind": "merge", "into": dana, "because": FACT}]
    assert done.slots["ui_claim"] is None
    assert app.record.session(caller.session_id).assurance is Assurance.POSSESSED
    assert app.record.callers_known(NUMBER, proofs=PROVEN_NUMBER, since=LONG_AGO) == [dana]


async def test_wrong_zip_codes_open_nothing_however_often(app: Application) -> None:
    caller = calls(app, told(app, postcode="97201"))
    said = []
    for wrong in ("97202", "97203", "97204", "97201"):
        done = await caller.hears(wrong, postcode=wrong).do(MatchPostcode())
        assert requests(done.events) == []
        said += done.said
    assert said == ["utter_postcode_no_match"] * 3 + ["utter_postcode_too_many"]
    assert done.slots["ui_claim"] is None
    assert app.record.session(caller.session_id).assurance is Assurance.CLAIMED


async def test_a_zip_code_that_two_people_of_one_number_share_opens_neither(app: Application) -> None:
    caller = calls(app, told(app, postcode="97201"), told(app, postcode="97201"))
    done = await caller.hears("97201", postcode="97201").do(MatchPostcode())
    assert done.said == ["utter_postcode_several"]
    assert requests(done.events) == []
    assert done.slots["ui_claim"] is None


async def test_only_the_contacts_of_that_number_can_be_matched(app: Application) -> None:
    told(app, postcode="97202")
    caller = calls(app, told(app, postcode="97201"))
    done = await caller.hears("97202", postcode="97202").do(MatchPostcode())
    assert done.said == ["utter_postcode_no_match"]


async def test_facts_of_another_kind_begin_a_booking(app: Application) -> None:
    done = await calls(app, told(app, postcode="97201")).hears("it's a bosch", brand="Bosch").do(MatchPostcode())
    assert done.said == []
    assert done.slots == {"ui_claim": None}
    assert done.events[-1]["name"] == "journey_form"


async def test_a_code_said_on_the_telephone_makes_the_number_the_contacts(app: Application) -> None:
    dana = told(app, postcode="97201")
    chat = app.record.open_session(dana, WEB_CHAT).session_id
    code = app.record.issue_code(dana, chat, ttl_s=60)
    caller = calls(app)
    done = await caller.hears(code, "give_code", code=code).do(RedeemCode())
    assert requests(done.events) == [{"kind": "merge", "into": dana, "because": CODE}]
    assert app.record.session(caller.session_id).assurance is Assurance.POSSESSED
    assert app.record.callers_known(NUMBER, proofs=[CODE], since=LONG_AGO) == [dana]


@pytest.fixture
def transfers(app: Application, use: Callable[..., Application]) -> Application:
    """With a person's telephone to put calls through to."""
    twilio = replace(app.settings.twilio, transfer_to="+15035550188")
    return use(settings=replace(app.settings, twilio=twilio))


async def test_a_caller_is_put_through_to_a_person(transfers: Application) -> None:
    caller = calls(transfers)
    done = await caller.hears("a person please", "ask_person").do(RequestPerson())
    assert done.said == ["utter_person_transfer"]
    assert requests(done.events) == [{"kind": "transfer"}]
    (handoff,) = transfers.record.handoffs(caller.contact_id)
    assert handoff.packet["call_back_to"] == NUMBER


async def test_when_nobody_is_there_nobody_is_rung(transfers: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actions.situation.now", lambda: SUNDAY)
    done = await calls(transfers).hears("a person please", "ask_person").do(RequestPerson())
    assert done.said == ["utter_person_later"]
    assert requests(done.events) == []


async def test_without_a_persons_telephone_the_caller_is_called_back(app: Application) -> None:
    done = await calls(app).hears("a person please", "ask_person").do(RequestPerson())
    assert done.said == ["utter_person_call_back"]
    assert requests(done.events) == []


async def test_a_withheld_number_is_promised_no_call_back(app: Application) -> None:
    done = await calls(app, number="").hears("a person please", "ask_person").do(RequestPerson())
    assert done.said == ["utter_person_now"]


async def test_the_pages_own_phone_is_put_through_to_nobody(transfers: Application) -> None:
    contact = transfers.record.create_contact()
    session = transfers.record.open_session(contact, PHONE, detail={"origin": "page"}).session_id
    done = await Conversation(contact, session, channel=PHONE).hears("a person", "ask_person").do(RequestPerson())
    assert done.said == ["utter_person_now"]
    assert requests(done.events) == []


async def test_while_codes_are_closed_the_other_ways_are_offered(app: Application) -> None:
    """Somebody else guesses, from many sides."""
    limits = app.settings.codes.limits()
    guessing = [app.record.open_session(app.record.create_contact(), PHONE).session_id for _ in range(limits.alarm_tries)]
    for session in guessing:
        with pytest.raises(Rejected, match="unknown_code"):
            app.record.redeem_code("11111111", session_id=session, limits=limits)
    dana = told(app, postcode="97201")
    code = app.record.issue_code(dana, app.record.open_session(dana, WEB_CHAT).session_id, ttl_s=60)
    caller = calls(app, dana)
    done = await caller.hears(code, "give_code", code=code).do(RedeemCode())
    assert done.said == ["utter_code_closed"]
    assert requests(done.events) == []
    done = await caller.hears("97201", postcode="97201").do(MatchPostcode())
    assert requests(done.events) == [{"kind": "merge", "into": dana, "because": FACT}]


async def test_while_facts_are_closed_the_code_is_asked_for(app: Application) -> None:
    limits = app.settings.codes.limits()
    for _ in range(limits.alarm_tries):
        session = app.record.open_session(app.record.create_contact(), PHONE).session_id
        with pytest.raises(Rejected, match="no_match"):
            app.record.match_fact(session, [], slot="postcode", value="97201", limits=limits)
    done = await calls(app, told(app, postcode="97201")).hears("97201", postcode="97201").do(MatchPostcode())
    assert done.said == ["utter_postcode_closed"]
    assert requests(done.events) == []
    assert done.slots["ui_claim"] is None


async def test_a_code_in_the_chat_is_believed_for_so_long_and_one_in_a_call_until_it_ends(app: Application) -> None:
    now, long = datetime.now(timezone.utc), timedelta(hours=app.settings.identity.chat_hours)
    for channel, later in ((WEB_CHAT, Assurance.CLAIMED), (PHONE, Assurance.POSSESSED)):
        dana = told(app, postcode="97201")
        code = app.record.issue_code(dana, app.record.open_session(dana, WEB_CHAT).session_id, ttl_s=60)
        contact = app.record.create_contact()
        other = Conversation(contact, app.record.open_session(contact, channel).session_id, channel=channel)
        await other.hears(code, "give_code", code=code).do(RedeemCode())
        assert app.record.session(other.session_id).assurance is Assurance.POSSESSED
        assert app.record.session(other.session_id, now=now + long + timedelta(minutes=1)).assurance is later
