"""Being called: who may have us call, what is said of it, and what whoever picks up hears before they have said who they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from actions.ask_called import AskCalled
from actions.call_me import CallMe
from actions.confirm_call import ConfirmCall
from actions.decline_call import DeclineCall
from actions.redeem_code import RedeemCode
from actions.resume import Resume
from actions.validate_journey_form import ValidateJourneyForm
from tests.unit.actions.conftest import Conversation, Done
from throughline import bootstrap
from throughline.bootstrap import Application
from throughline.domain.assurance import CALL_BACK, CODE, PROVEN_NUMBER, Assurance
from throughline.domain.turns import PHONE
from throughline.errors import Rejected, Unavailable
from throughline.record import PlacedCall

pytestmark = pytest.mark.unit

NUMBER, CALL = "+15035550177", "CA" + "1" * 32


@dataclass
class Placing:
    """A telephone company that notes whom it is to call."""

    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    error: Exception | None = None

    async def place(self, to: str, **more: Any) -> str:
        self.asked.append((to, more))
        if self.error is not None:
            raise self.error
        return f"CA{len(self.asked):032d}"

    async def follow(self, call_sid: str, instructions: str) -> None: ...

    async def hang_up(self, call_sid: str) -> None: ...


@pytest.fixture
def company(monkeypatch: pytest.MonkeyPatch) -> Iterator[Placing]:
    placing = Placing()
    monkeypatch.setattr(bootstrap, "call_control", lambda: placing)
    yield placing


@pytest.fixture
def sure(app: Application, talk: Conversation) -> Conversation:
    """A chat that is surely theirs whose number is theirs as well."""
    app.record.add_address(talk.contact_id, "phone", NUMBER, proof=CODE)
    app.record.raise_assurance(talk.session_id, Assurance.POSSESSED, lasts=None)
    return talk


def follows(done: Done) -> str | None:
    """The action that comes next."""
    return next((event["name"] for event in done.events if event["event"] == "followup"), None)


def placed_calls(app: Application, company: Placing) -> list[PlacedCall]:
    return [app.record.placed_call(f"CA{number + 1:032d}") for number in range(len(company.asked))]


async def test_the_call_is_placed_and_then_said(app: Application, company: Placing, sure: Conversation) -> None:
    done = await sure.hears("call me", "call_me").do(CallMe())
    assert done.said == ["utter_call_me"]
    assert done.values[0]["number_end"] == "the number ending in 77"
    assert follows(done) == "action_listen"
    ((to, asked),) = company.asked
    (placed,) = placed_calls(app, company)
    assert (to, placed.contact_id, placed.session_id) == (NUMBER, sure.contact_id, sure.session_id)
    assert asked == {
        "from_": app.business.company.phone,
        "answered_url": f"http://localhost:5005/webhooks/phone/answered?placed={placed.placed_id}",
        "fallback_url": "http://localhost:5005/webhooks/phone/fallback",
        "status_url": f"http://localhost:5005/webhooks/phone/status?placed={placed.placed_id}",
        "ring_s": app.settings.twilio.call_ring_s,
    }


async def test_an_open_question_stays_open(company: Placing, sure: Conversation) -> None:
    done = await sure.asks("brand").hears("call me", "call_me").do(CallMe())
    assert done.kinds() == ["active_loop", "followup"]
    assert len(company.asked) == 1


async def test_asked_twice_they_are_called_once(app: Application, company: Placing, sure: Conversation) -> None:
    for _ in range(2):
        assert (await sure.hears("call me", "call_me").do(CallMe())).said == ["utter_call_me"]
    assert len(company.asked) == 1
    (placed,) = placed_calls(app, company)
    app.record.answer_call(placed.placed_id, placed.call_sid or "", ttl_s=60)
    assert (await sure.hears("call me", "call_me").do(CallMe())).said == ["utter_call_me_under_way"]
    assert len(company.asked) == 1


async def test_a_chat_that_only_shares_the_contact_is_offered_the_other_ways(
    app: Application, company: Placing, talk: Conversation
) -> None:
    app.record.add_address(talk.contact_id, "phone", NUMBER, proof=CODE)
    done = await talk.hears("call me", "call_me").do(CallMe())
    assert (done.said, follows(done)) == (["utter_call_me_no_number"], "action_offer_phone")
    assert company.asked == []


async def test_a_chat_whose_code_was_given_from_a_telephone_is_called_there(
    app: Application, company: Placing, talk: Conversation
) -> None:
    code = app.record.issue_code(talk.contact_id, talk.session_id, ttl_s=60)
    caller = app.record.create_contact()
    session = app.record.open_session(caller, PHONE, detail={"caller": NUMBER}).session_id
    await Conversation(caller, session, channel=PHONE).hears(code, "give_code", code=code).do(RedeemCode())
    assert (await talk.hears("call me", "call_me").do(CallMe())).said == ["utter_call_me"]
    assert [to for to, _ in company.asked] == [NUMBER]
    assert app.record.session(talk.session_id).assurance is Assurance.ANONYMOUS, "it is no more theirs than before"


async def test_a_number_that_its_company_says_is_false_is_nobodys(
    app: Application, company: Placing, talk: Conversation
) -> None:
    code = app.record.issue_code(talk.contact_id, talk.session_id, ttl_s=60)
    caller, detail = app.record.create_contact(), {"caller": NUMBER, "attestation": "TN-Validation-Failed-C"}
    session = app.record.open_session(caller, PHONE, detail=detail).session_id
    await Conversation(caller, session, channel=PHONE).hears(code, "give_code", code=code).do(RedeemCode())
    assert (await talk.hears("call me", "call_me").do(CallMe())).said == ["utter_call_me_no_number"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Unavailable("down"), "utter_call_me_unavailable"),
        (Rejected("not_callable"), "utter_call_me_unavailable"),
    ],
)
async def test_what_the_company_has_not_taken_is_not_promised(
    company: Placing, sure: Conversation, error: Exception, said: str
) -> None:
    company.error = error
    done = await sure.hears("call me", "call_me").do(CallMe())
    assert (done.said, follows(done)) == ([said], "action_offer_phone")


async def test_what_it_refused_may_be_asked_again(app: Application, company: Placing, sure: Conversation) -> None:
    company.error = Rejected("not_callable")
    for _ in range(app.settings.twilio.calls_per_hour + 1):
        await sure.hears("call me", "call_me").do(CallMe())
    company.error = None
    assert (await sure.hears("call me", "call_me").do(CallMe())).said == ["utter_call_me"]


async def test_what_it_may_have_taken_is_not_placed_once_more(company: Placing, sure: Conversation) -> None:
    company.error = Unavailable("no answer in time")
    await sure.hears("call me", "call_me").do(CallMe())
    company.error = None
    assert (await sure.hears("call me", "call_me").do(CallMe())).said == ["utter_call_me_under_way"]
    assert len(company.asked) == 1


async def test_nobody_is_called_again_and_again(app: Application, company: Placing, sure: Conversation) -> None:
    for number in range(app.settings.twilio.calls_per_hour):
        await sure.hears("call me", "call_me").do(CallMe())
        placed = app.record.placed_call(f"CA{number + 1:032d}")
        app.record.end_placed_call(placed.placed_id, placed.call_sid or "", outcome="busy", reason="hung_up")
    done = await sure.hears("call me", "call_me").do(CallMe())
    assert (done.said, follows(done)) == (["utter_call_me_too_many"], "action_offer_phone")


async def test_without_a_telephone_the_other_ways_are_offered(
    app: Application, use: Callable[..., Application], sure: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "call_control", lambda: None)
    done = await sure.hears("call me", "call_me").do(CallMe())
    assert (done.said, follows(done)) == ([], "action_offer_phone")
    placing = Placing()
    monkeypatch.setattr(bootstrap, "call_control", lambda: placing)
    use(settings=replace(app.settings, twilio=replace(app.settings.twilio, calls_per_hour=0)))
    assert follows(await sure.hears("call me", "call_me").do(CallMe())) == "action_offer_phone"
    assert placing.asked == []


async def test_on_the_phone_nobody_is_called(company: Placing, sure: Conversation) -> None:
    sure.channel = PHONE
    assert (await sure.hears("call me", "call_me").do(CallMe())).said == ["utter_phone_already"]
    assert company.asked == []


async def test_call_me_sam_is_a_name_where_a_name_was_asked_for(sure: Conversation) -> None:
    sure.know(appliance="washing machine", problem="leaks").asks("customer_name")
    done = await sure.hears("call me Sam", "call_me", person_name="Sam").do(ValidateJourneyForm())
    assert done.slots["customer_name"] == "Sam"
    asked = sure.hears("call me", "call_me")
    assert "action_execution_rejected" in (await asked.do(ValidateJourneyForm())).kinds()


@pytest.fixture
def answerer(app: Application, sure: Conversation) -> Conversation:
    """Whoever has picked up the call that the chat asked for."""
    app.record.raise_assurance(sure.session_id, Assurance.POSSESSED, lasts=None)
    now = datetime.now(timezone.utc)
    placed, _ = app.record.begin_call(
        sure.session_id,
        proved_since=now - timedelta(days=1),
        together=timedelta(hours=1),
        limits=app.settings.call_limits(),
    )
    app.record.answer_call(placed.placed_id, CALL, ttl_s=60)
    contact, detail = app.record.create_contact(), {"caller": NUMBER, "call_sid": CALL, "claims": [sure.contact_id]}
    session = app.record.open_session(contact, PHONE, assurance=Assurance.CLAIMED, detail=detail).session_id
    app.record.note_call_session(CALL, session)
    return Conversation(contact, session, channel=PHONE).know(ui_placed="asked")


def requests(done: Done) -> list[dict[str, Any]]:
    return [event["metadata"]["request"] for event in done.events if "metadata" in event]


async def test_whoever_picks_up_hears_who_calls_and_nothing_else(answerer: Conversation) -> None:
    done = await answerer.do(Resume())
    assert done.said == ["utter_call_placed"]
    assert set(done.values[0]) <= {"response", "template", "text", "buttons", "elements", "custom", "image", "attachment"}


async def test_a_yes_makes_one_conversation_and_renews_the_proof_of_the_number(
    app: Application, answerer: Conversation, sure: Conversation
) -> None:
    done = await answerer.hears("yes", "affirm").do(ConfirmCall())
    assert done.said == ["utter_call_confirmed"]
    assert requests(done) == [{"kind": "merge", "into": sure.contact_id, "because": CALL_BACK}]
    assert done.slots["ui_placed"] is None
    assert app.record.session(answerer.session_id).assurance is Assurance.POSSESSED
    (address,) = app.record.addresses_of(sure.contact_id)
    assert (address.value, address.proof) == (NUMBER, CALL_BACK)
    assert CALL_BACK in PROVEN_NUMBER, "who calls from there is asked whether it is them, as before"


async def test_a_yes_on_a_call_that_came_in_opens_nothing(app: Application, sure: Conversation) -> None:
    contact, detail = app.record.create_contact(), {"caller": NUMBER, "claims": [sure.contact_id]}
    session = app.record.open_session(contact, PHONE, assurance=Assurance.CLAIMED, detail=detail).session_id
    done = await Conversation(contact, session, channel=PHONE).hears("yes", "affirm").do(ConfirmCall())
    assert requests(done) == [{"kind": "end_call"}]
    assert app.record.session(session).assurance is Assurance.CLAIMED


async def test_a_no_ends_the_call(app: Application, answerer: Conversation) -> None:
    done = await answerer.hears("no", "deny").do(DeclineCall())
    assert (done.said, requests(done)) == (["utter_call_declined"], [{"kind": "end_call"}])
    assert app.record.session(answerer.session_id).assurance is Assurance.CLAIMED


async def test_anything_else_is_asked_about_once(answerer: Conversation) -> None:
    done = await answerer.hears("please leave a message after the tone", "nlu_fallback").do(AskCalled())
    assert (done.said, done.slots) == (["utter_call_placed_again"], {"ui_placed": "asked_again"})
    answerer.know(**done.slots)
    done = await answerer.hears("the mailbox is full", "nlu_fallback").do(AskCalled())
    assert (done.said, requests(done)) == (["utter_call_given_up"], [{"kind": "end_call"}])
