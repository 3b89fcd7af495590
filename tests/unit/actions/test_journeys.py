"""What else customers come for: each journey asks for what it needs, and ends in what it should, once."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from actions.answer_area import AnswerArea
from actions.arrange_payment import ArrangePayment
from actions.book_visit import BookVisit
from actions.cancel_visit import CancelVisit
from actions.change_visit import ChangeVisit
from actions.end_journey import EndJourney
from actions.move_visit import MoveVisit
from actions.open_case import OpenCase
from actions.validate_journey_form import ValidateJourneyForm
from tests.unit.actions.conftest import NOW, Conversation, Done
from throughline.bootstrap import Application
from throughline.domain.visits import Visit, VisitSlot

pytestmark = pytest.mark.unit

FORM = ValidateJourneyForm()
WHO: dict[str, Any] = {"customer_name": "Dana Reyes", "phone_number": "+15035550123"}
REPAIR: dict[str, Any] = {
    "appliance": "dryer",
    "problem": "no heat",
    "brand": "Bosch",
    "since": "2026-11-20",
    "urgent": False,
    "customer_name": "Dana Reyes",
    "postcode": "97201",
    "visit_day": "2026-11-24",
    "visit_time": "08:00",
}
ZONE = ZoneInfo("America/Los_Angeles")


def at(day: int, hour: int) -> datetime:
    """A local hour of November 2026, UTC."""
    return datetime(2026, 11, day, hour, tzinfo=ZONE).astimezone(timezone.utc)


def booked(talk: Conversation, app: Application, *, day: int = 24, appliance: str = "dryer", session: str = "") -> Visit:
    """A visit from eight to ten by Abe."""
    details = {**REPAIR, "appliance": appliance, "session": session or talk.session_id}
    slot = VisitSlot(at(day, 8), at(day, 10), "t-abe")
    return app.record.calendar.book(slot, talk.contact_id, details, idempotency_key=f"{appliance}{day}")


async def begin(talk: Conversation, text: str, intent: str, **entities: Any) -> Done:
    """The form begins with these words; its events are then part of the conversation."""
    done = await talk.hears(text, intent, **entities).begins().do(FORM)
    return goes_on(talk, done)


def goes_on(talk: Conversation, done: Done) -> Done:
    talk.know(**{event["name"]: event["value"] for event in done.events if event["event"] == "slot"})
    return done


async def test_a_quote_asks_for_what_is_to_be_installed_and_what_it_needs(talk: Conversation) -> None:
    done = await begin(talk, "how much is a new one installed", "want_quote")
    assert (done.slots["ui_journey"], done.asks) == ("quote", "product")
    talk.asks("product")
    done = goes_on(talk, await talk.hears("a heat pump", appliance="heat pump").do(FORM))
    assert (done.slots["product"], done.asks) == ("heat pump", "customer_name")


async def test_what_we_do_not_install_is_said(talk: Conversation) -> None:
    done = await begin(talk, "a quote for a new oven", "want_quote", appliance="oven")
    assert (done.said, done.slots.get("product"), done.asks) == (["utter_product_unknown"], None, "product")


async def test_a_quote_touches_no_repair(talk: Conversation) -> None:
    talk.know(appliance="dryer", problem="no heat").hears("a quote for a new furnace", "want_quote", appliance="furnace")
    talk.slots["appliance"] = "furnace"  # as Rasa's mapping has set it
    done = await talk.begins().do(FORM)
    assert (done.slots["product"], done.slots["appliance"]) == ("furnace", "dryer")


async def test_a_lead_is_opened_once_with_a_person_to_see_to_it(talk: Conversation, app: Application) -> None:
    talk.know(**WHO, product="furnace", postcode="97201", problem="no heat", ui_journey="quote", ui_booking="c:m1")
    talk.hears("five oh three", "inform")
    done = await talk.do(OpenCase())
    await talk.do(OpenCase())
    (case,) = app.record.crm.cases_of(talk.contact_id)
    assert (case.kind, case.details["facts"]["product"]) == ("lead", "furnace")
    assert "problem" not in case.details["facts"], "that is another matter"
    assert len(app.record.handoffs(talk.contact_id)) == 1
    assert [outcome.kind for outcome in app.record.outcomes(talk.contact_id)] == ["lead"]
    assert done.said == ["utter_done_quote"]
    assert done.slots["ui_done"] == ["quote"]


async def test_the_words_of_a_complaint_are_what_it_is_about(talk: Conversation) -> None:
    done = await begin(talk, "your technician left a mess in my kitchen", "complain")
    assert (done.slots["wish"], done.asks) == ("your technician left a mess in my kitchen", "customer_name")


async def test_a_complaint_without_words_is_asked_about(talk: Conversation) -> None:
    done = await begin(talk, "i want to file a complaint", "complain")
    assert ("wish" in done.slots, done.asks) == (False, "wish")
    talk.asks("wish")
    done = await talk.hears("i would like to cancel everything, he never came", "cancel_visit").do(FORM)
    assert done.slots["wish"] == "i would like to cancel everything, he never came", "and no other journey begins"


async def test_the_only_visit_is_the_one_that_moves(talk: Conversation, app: Application) -> None:
    visit = booked(talk, app)
    talk.know(**REPAIR, ui_visit=visit.reference, ui_done=["repair"])
    done = await begin(talk, "can we make it another day", "move_visit")
    assert (done.slots["which_visit"], done.slots["visit_day"], done.asks) == (visit.reference, None, "visit_day")
    talk.asks("visit_day")
    done = goes_on(talk, await talk.hears("wednesday at ten", "inform", date="2026-11-25", time="10:00").do(FORM))
    assert done.asks is None
    done = await talk.do(MoveVisit())
    (moved,) = app.record.calendar.visits_of(talk.contact_id)
    assert (moved.reference, moved.slot.start) == (visit.reference, at(25, 10))
    assert done.said == ["utter_visit_moved"]
    assert [outcome.kind for outcome in app.record.outcomes(talk.contact_id)] == ["visit_moved"]


async def test_another_time_is_about_the_same_day(talk: Conversation, app: Application) -> None:
    visit = booked(talk, app)
    talk.know(**REPAIR, ui_visit=visit.reference, ui_done=["repair"])
    change = goes_on(talk, await talk.hears("can you make it two o'clock", "correct", time="14:00").do(ChangeVisit()))
    assert change.events[-1]["name"] == "journey_form"
    done = await talk.begins().do(FORM)
    assert (done.slots["ui_journey"], done.slots["visit_time"], done.asks) == ("move_visit", "14:00", None)


async def test_which_of_two_visits_is_asked_and_told_by_what_it_is_for(talk: Conversation, app: Application) -> None:
    booked(talk, app)
    other = booked(talk, app, day=25, appliance="washing machine")
    done = await begin(talk, "i have to cancel", "cancel_visit")
    assert done.asks == "which_visit"
    talk.asks("which_visit")
    done = await talk.hears("the washing machine", appliance="washing machine").do(FORM)
    assert (done.slots["which_visit"], done.asks) == (other.reference, "sure")


async def test_a_visit_is_cancelled_only_by_a_yes(talk: Conversation, app: Application) -> None:
    visit = booked(talk, app)
    talk.know(ui_visit=visit.reference)
    await begin(talk, "cancel it", "cancel_visit")
    talk.asks("sure")
    no = await talk.hears("no", "deny").do(FORM)
    assert (no.slots, no.asks) == ({"sure": False}, None)
    assert (await talk.know(sure=False).do(CancelVisit())).said == ["utter_visit_kept"]
    assert len(app.record.calendar.visits_of(talk.contact_id)) == 1
    done = await talk.know(sure=True, which_visit=visit.reference, ui_journey="cancel_visit").do(CancelVisit())
    assert done.said == ["utter_visit_cancelled"]
    assert done.slots["ui_visit"] is None
    assert app.record.calendar.visits_of(talk.contact_id) == []


async def test_nobody_changes_a_visit_that_they_may_not_be_told_of(talk: Conversation, app: Application) -> None:
    elsewhere = app.record.open_session(talk.contact_id, "web_chat").session_id
    booked(talk, app, session=elsewhere)
    done = await talk.hears("cancel my visit", "cancel_visit").begins().do(FORM)
    assert done.said == ["utter_visit_not_yours"]
    assert done.asks is None


async def test_without_a_visit_there_is_none_to_move(talk: Conversation) -> None:
    talk.know(appliance="dryer", ui_journey="repair").asks("problem")
    done = await talk.hears("move my visit", "move_visit").do(FORM)
    assert (done.said, done.asks) == (["utter_no_visit_to_change"], "problem")


async def test_another_journey_interrupts_and_the_first_goes_on(talk: Conversation, app: Application) -> None:
    talk.know(appliance="dryer", problem="no heat", ui_journey="repair").asks("brand")
    done = goes_on(talk, await talk.hears("you charged me twice for the last visit", "dispute_bill").do(FORM))
    assert (done.slots["ui_journey"], done.slots["ui_paused"], done.asks) == ("dispute", ["repair"], "invoice")
    talk.know(**WHO, invoice="unknown").hears("503 555 0123", phone_number=WHO["phone_number"])
    talk.events.append({"event": "action", "name": "action_open_case"})
    ended = goes_on(talk, await talk.do(OpenCase()))
    assert ended.said == ["utter_done_dispute", "utter_back_to_journey"]
    assert ended.events[-1]["name"] == "journey_form"
    again = await talk.begins().do(FORM)
    assert (again.slots, again.asks) == ({}, "brand"), "and nothing that was known is asked again"


@pytest.mark.parametrize(
    ("journey", "asked", "text", "intent", "entities", "value"),
    [
        ("repair", "visit_day", "is saturday possible?", "move_visit", {"date": "2026-11-28"}, "2026-11-28"),
        ("payment", "invoice", "invoice 778812", "dispute_bill", {}, "778812"),
        (
            "complaint",
            "wish",
            "is a rebate for my heat pump possible",
            "ask_policy",
            {},
            "is a rebate for my heat pump possible",
        ),
    ],
)
async def test_what_answers_the_question_begins_nothing_else(
    talk: Conversation, journey: str, asked: str, text: str, intent: str, entities: dict[str, Any], value: str
) -> None:
    facts = {slot: told for slot, told in REPAIR.items() if slot not in ("visit_day", "visit_time")}
    done = await talk.know(**facts, ui_journey=journey).asks(asked).hears(text, intent, **entities).do(FORM)
    assert done.slots[asked] == value
    assert "ui_paused" not in done.slots


async def test_a_number_of_ten_digits_is_no_bills(talk: Conversation) -> None:
    talk.know(ui_journey="dispute", wish="charged twice").asks("invoice")
    done = await talk.hears("206 555 0145", "give_code", phone_number="+12065550145").do(FORM)
    assert (done.slots, done.asks) == ({"phone_number": "+12065550145"}, "invoice")


async def test_a_wait_that_corrects_is_a_correction(talk: Conversation) -> None:
    facts = {slot: told for slot, told in REPAIR.items() if slot not in ("urgent", "since")}
    talk.know(**facts, since="2026-11-20", ui_journey="repair").asks("urgent")
    done = await talk.hears("no wait, two weeks", "wait", since="2026-11-08").do(FORM)
    assert (done.slots["since"], done.asks) == ("2026-11-08", "urgent")


async def test_what_held_for_one_time_is_asked_anew_and_the_rest_is_not(talk: Conversation) -> None:
    talk.know(**WHO, wish="he was late", ui_done=["complaint"])
    done = await begin(talk, "another complaint", "complain")
    assert (done.slots["wish"], done.asks) == (None, "wish")
    assert "customer_name" not in done.slots


async def test_a_call_is_for_an_hour_in_which_somebody_is_there(talk: Conversation, app: Application) -> None:
    talk.know(**WHO)
    done = await begin(talk, "can somebody call me about my boiler quote on sunday", "request_call_back", date="2026-11-29")
    assert (done.said, done.asks) == (["utter_day_closed"], "call_day")
    talk.asks("call_day")
    done = goes_on(talk, await talk.hears("tomorrow at three", date="2026-11-24", time="15:00").do(FORM))
    assert (done.slots["call_day"], done.slots["call_time"], done.asks) == ("2026-11-24", "15:00", None)
    done = await talk.do(OpenCase())
    (case,) = app.record.crm.cases_of(talk.contact_id)
    assert (case.kind, case.due_at) == ("call_back", at(24, 15))
    assert done.said == ["utter_done_call_back"]


async def test_a_caller_is_not_asked_for_the_number_they_call_from(app: Application) -> None:
    contact = app.record.create_contact()
    session = app.record.open_session(contact, "phone", detail={"caller": "+15035550177"})
    done = await begin(Conversation(contact, session.session_id, channel="phone"), "i want to complain", "complain")
    assert done.slots["phone_number"] == "+15035550177"


@pytest.mark.parametrize(("day", "parts", "said"), [(10, 3, "utter_done_payment"), (10, 9, "utter_payment_asked")])
async def test_what_goes_beyond_what_is_allowed_is_a_persons_to_decide(
    talk: Conversation, app: Application, day: int, parts: int, said: str
) -> None:
    talk.know(**WHO, invoice="20817", pay_day=f"2026-12-{day}", pay_parts=parts, ui_journey="payment", ui_booking="c:m1")
    done = await talk.hears("yes", "inform").do(ArrangePayment())
    (case,) = app.record.crm.cases_of(talk.contact_id)
    assert (done.said, case.details["agreed"]) == ([said], said == "utter_done_payment")
    assert [outcome.kind for outcome in app.record.outcomes(talk.contact_id)] == (
        ["payment_arranged"] if case.details["agreed"] else []
    )
    assert len(app.record.handoffs(talk.contact_id)) == (0 if case.details["agreed"] else 1)


async def test_the_first_payment_is_no_visit_and_its_number_is_no_name(talk: Conversation) -> None:
    talk.know(**WHO, visit_day="2026-11-24", ui_journey="payment").asks("pay_day")
    talk.hears("on the first", "inform", date="2026-12-01")
    talk.slots["visit_day"] = "2026-12-01"  # as Rasa's mapping has set it
    done = await talk.do(FORM)
    assert (done.slots["pay_day"], done.slots["visit_day"], done.asks) == ("2026-12-01", "2026-11-24", "invoice")


async def test_the_end_of_a_journey_is_the_one_that_the_company_names(talk: Conversation) -> None:
    done = await talk.know(ui_journey="cancel_visit").hears("yes", "affirm").do(EndJourney())
    assert done.events == [{"event": "followup", "timestamp": None, "name": "action_cancel_visit"}]


async def test_a_booking_that_was_interrupted_is_still_booked_once(talk: Conversation, app: Application) -> None:
    talk.know(**REPAIR, ui_booking="c:m9", ui_journey="repair")
    done = await talk.hears("eight", time="08:00").do(BookVisit())
    assert done.said == ["utter_visit_booked"]
    assert (done.slots["ui_done"], done.slots["ui_journey"]) == (["repair"], None)
    (visit,) = app.record.calendar.visits_of(talk.contact_id)
    assert visit.slot.start.astimezone(ZONE).date() == date(2026, 11, 24)
    assert visit.slot.start > NOW


@pytest.mark.parametrize(
    ("text", "entities", "day", "clock"),
    [
        ("one day later please", {"day_shift": 1}, "2026-11-25", None),
        ("same time next week", {"day_shift": 7, "same_time": "true"}, "2026-12-01", "08:00"),
        ("a day later at ten", {"day_shift": 1, "time": "10:00"}, "2026-11-25", "10:00"),
    ],
)
async def test_another_day_is_counted_from_the_visit(
    talk: Conversation, app: Application, text: str, entities: dict[str, Any], day: str, clock: str | None
) -> None:
    visit = booked(talk, app)
    talk.know(**REPAIR, ui_visit=visit.reference, ui_done=["repair"])
    await begin(talk, text, "move_visit", **entities)
    assert (talk.slots["visit_day"], talk.slots["visit_time"]) == (day, clock)


async def test_after_the_booking_a_day_later_moves_it(talk: Conversation, app: Application) -> None:
    visit = booked(talk, app)
    talk.know(**REPAIR, ui_visit=visit.reference, ui_done=["repair"])
    change = await talk.hears("could you do it a day later", "inform", day_shift=1).do(ChangeVisit())
    assert (change.slots["ui_journey"], change.events[-1]["name"]) == ("move_visit", "journey_form")


@pytest.mark.parametrize(("shift", "day"), [(1, "2026-11-25"), (-1, None)])
async def test_among_offered_days_later_counts_from_the_last_and_earlier_from_the_first(
    talk: Conversation, shift: int, day: str | None
) -> None:
    known = {slot: value for slot, value in REPAIR.items() if slot not in ("visit_day", "visit_time")}
    talk.know(**known, ui_journey="repair").asks("visit_day")  # offered: today, the 23rd, and the 24th
    done = await talk.hears("a day earlier or later", "nlu_fallback", day_shift=shift).do(FORM)
    assert done.slots.get("visit_day") == day
    assert ("utter_day_past" in done.said) == (day is None)


async def test_a_bare_zip_code_after_the_area_asks_about_it(talk: Conversation) -> None:
    talk.events.append({"event": "bot", "metadata": {"utter_action": "utter_area"}})
    done = await talk.hears("97030", postcode="97030").begins().do(FORM)
    assert (done.said, done.events[-1]["name"]) == ([], "action_answer_area")
    talk.loop = None
    assert (await talk.do(AnswerArea())).said == ["utter_area_yes"]


async def test_after_a_booking_it_asks_about_it_too(talk: Conversation, app: Application) -> None:
    visit = booked(talk, app)
    talk.know(**REPAIR, ui_visit=visit.reference, ui_done=["repair"])
    talk.events.append({"event": "bot", "metadata": {"utter_action": "utter_area"}})
    done = await talk.hears("97030", postcode="97030").do(ChangeVisit())
    assert (done.said, done.events[-1]["name"]) == ([], "action_answer_area")


@pytest.mark.parametrize(("text", "intent"), [("i'd rather not give my number", "rather_not"), ("no", "deny")])
async def test_a_message_can_be_left_without_a_number(talk: Conversation, app: Application, text: str, intent: str) -> None:
    talk.know(customer_name="Dana Reyes", wish="the part came in", ui_journey="message").asks("phone_number")
    done = goes_on(talk, await talk.hears(text, intent).do(FORM))
    assert (done.slots["phone_number"], done.said, done.asks) == ("unknown", [], None)
    assert (await talk.do(OpenCase())).said == ["utter_done_message"]
    (case,) = app.record.crm.cases_of(talk.contact_id)
    assert case.kind == "message"
    assert "unknown" not in str(app.record.person(talk.contact_id)["crm_customers"]), "and is no number"


async def test_where_nobody_could_call_it_is_explained_once_and_then_a_person_sees_to_it(talk: Conversation) -> None:
    talk.know(customer_name="Dana Reyes", wish="it was late", ui_journey="complaint").asks("phone_number")
    done = goes_on(talk, await talk.hears("i'd rather not", "deny").do(FORM))
    assert (done.said, done.asks) == (["utter_why_phone_number"], "phone_number")
    talk.events.append({"event": "bot", "metadata": {"utter_action": "utter_why_phone_number"}})
    again = await talk.hears("no i won't give you that", "rather_not").do(FORM)
    assert (again.said, again.events[-1]["name"]) == ([], "action_request_person")


async def test_a_number_that_was_refused_is_asked_for_where_it_is_needed(talk: Conversation) -> None:
    talk.know(customer_name="Dana Reyes", phone_number="unknown")
    done = await begin(talk, "your technician left a mess in my kitchen", "complain")
    assert (done.slots["phone_number"], done.asks) == (None, "phone_number")
