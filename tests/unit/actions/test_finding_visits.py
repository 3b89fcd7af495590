"""A visit of another conversation: looked for by its reference and ZIP code, within limits, and open to this session alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from actions.answer_visit import AnswerVisit
from actions.cancel_visit import CancelVisit
from actions.move_visit import MoveVisit
from actions.situation import now
from actions.tell_visit import TellVisit
from actions.validate_journey_form import ValidateJourneyForm
from tests.unit.actions.conftest import NOW, Conversation, Done
from tests.unit.actions.test_journeys import at, begin, booked, goes_on
from throughline.bootstrap import Application
from throughline.connectors.calendar.embedded import EmbeddedCalendar
from throughline.domain.turns import PHONE, REHEARSED, WEB_CHAT
from throughline.domain.visits import Visit, VisitSlot
from throughline.errors import Unavailable

pytestmark = pytest.mark.unit

FORM = ValidateJourneyForm()


def somebody(app: Application, channel: str = WEB_CHAT) -> Conversation:
    contact = app.record.create_contact()
    return Conversation(contact, app.record.open_session(contact, channel).session_id, channel)


@pytest.fixture
def visit(app: Application) -> Visit:
    """Booked in somebody's conversation: a dryer at 97201, tomorrow from eight to ten."""
    return booked(somebody(app), app)


async def tries(talk: Conversation, reference: str, postcode: str) -> Done:
    """The reference and the ZIP code, each where it is asked for."""
    talk.asks("visit_reference")
    done = goes_on(talk, await talk.hears(reference, reference=reference).do(FORM))
    assert done.asks == "visit_postcode", done.said
    talk.hears(postcode, postcode=postcode)
    talk.slots["postcode"] = postcode  # as Rasa's mapping has set it
    return goes_on(talk, await talk.do(FORM))


async def test_who_moves_a_visit_of_another_conversation_is_asked_for_it(talk: Conversation, visit: Visit) -> None:
    done = await begin(talk, "move my visit", "move_visit")
    assert (done.said, done.asks) == (["utter_visit_elsewhere"], "visit_reference")


async def test_it_is_found_and_moved_and_stays_the_other_ones(talk: Conversation, visit: Visit, app: Application) -> None:
    await begin(talk, "move my visit", "move_visit")
    done = await tries(talk, visit.reference, "97201")
    assert (done.said, done.asks, done.slots["which_visit"]) == (["utter_visit_found"], "visit_day", visit.reference)
    assert done.values[0]["told_in"] == talk.session_id, "else the way out would not let it pass"
    assert done.slots["postcode"] is None, "it is the visit's, and tells nothing of who is here"
    talk.know(visit_day="2026-11-25", visit_time="08:00").hears("at eight", time="08:00")
    moved = await talk.do(MoveVisit())
    assert (moved.said, moved.values[0]["told_in"]) == (["utter_visit_moved"], talk.session_id)
    assert moved.slots["ui_finding"] is None
    [now_at] = app.record.calendar.visits_of(visit.contact_id)
    assert now_at.slot.start == at(25, 8)
    assert app.record.calendar.visits_of(talk.contact_id) == []


async def test_what_is_only_rehearsed_finds_nothing_and_counts_as_no_try(
    talk: Conversation, visit: Visit, app: Application
) -> None:
    await begin(talk, "move my visit", "move_visit")
    talk.know(visit_reference=visit.reference).asks("visit_postcode")
    for _ in range(20):
        talk.hears("97213", postcode="97213").message["metadata"][REHEARSED] = True
        talk.slots["postcode"] = "97213"
        assert (await talk.do(FORM)).said == ["utter_visit_not_found"]
    talk.slots["postcode"] = None
    assert (await tries(talk, visit.reference, "97201")).said == ["utter_visit_found"]


async def test_told_at_once_it_is_not_asked_for(talk: Conversation, visit: Visit) -> None:
    words = {"reference": visit.reference, "postcode": "97201"}
    done = await begin(talk, f"cancel my visit {visit.reference}, 97201", "cancel_visit", **words)
    assert (done.said, done.asks) == ([], "sure")


async def test_it_is_cancelled(talk: Conversation, visit: Visit, app: Application) -> None:
    await begin(talk, "cancel my visit", "cancel_visit")
    assert (await tries(talk, visit.reference, "97201")).asks == "sure"
    done = await talk.know(sure=True).hears("yes", "affirm").do(CancelVisit())
    assert (done.said, done.values[0]["told_in"]) == (["utter_visit_cancelled"], talk.session_id)
    assert app.record.calendar.visits_of(visit.contact_id) == []


async def test_whoever_asks_when_it_is_hears_it_once_it_is_found(talk: Conversation, visit: Visit) -> None:
    done = goes_on(talk, await talk.hears("when does he come", "ask_visit").do(AnswerVisit()))
    assert (done.said, done.events[-1]["name"]) == ([], "journey_form")
    done = goes_on(talk, await talk.begins().do(FORM))
    assert (done.said, done.asks) == (["utter_visit_elsewhere"], "visit_reference")
    done = await tries(talk, visit.reference, "97201")
    assert (done.said, done.asks) == ([], None)
    told = await talk.do(TellVisit())
    assert (told.said, told.values[0]["told_in"]) == (["utter_visit_known"], talk.session_id)


async def test_a_wrong_reference_and_a_wrong_zip_code_sound_alike(app: Application, visit: Visit) -> None:
    other = "100000" if visit.reference != "100000" else "100001"
    heard = []
    for reference, postcode in ((other, "97201"), (visit.reference, "97202")):
        talk = somebody(app)
        await begin(talk, "move my visit", "move_visit")
        done = await tries(talk, reference, postcode)
        heard.append((done.said, done.asks, done.slots))
    assert heard[0] == heard[1]
    assert heard[0][:2] == (["utter_visit_not_found"], "visit_reference")


async def test_visits_that_are_over_or_cancelled_are_not_found(app: Application, visit: Visit) -> None:
    app.record.calendar.cancel(visit.visit_id, idempotency_key="c", now=NOW)
    over = VisitSlot(at(20, 8), at(20, 10), "t-bea")
    past = app.record.calendar.book(over, visit.contact_id, dict(visit.details), idempotency_key="past")
    for reference in (visit.reference, past.reference):
        talk = somebody(app)
        await begin(talk, "move my visit", "move_visit")
        assert (await tries(talk, reference, "97201")).said == ["utter_visit_not_found"]


async def test_after_three_wrong_ones_not_even_the_right_one_is_found(talk: Conversation, visit: Visit) -> None:
    await begin(talk, "move my visit", "move_visit")
    for wrong in ("97202", "97203", "97204"):
        assert (await tries(talk, visit.reference, wrong)).said == ["utter_visit_not_found"]
    done = await tries(talk, visit.reference, "97201")
    assert (done.said, done.asks, done.events[-1]["name"]) == (["utter_find_too_many"], None, "action_move_visit")
    assert talk.slots["visit_reference"] is talk.slots.get("visit_postcode") is None
    ended = await talk.do(MoveVisit())
    assert ended.said == ["utter_no_visit_to_change"]


async def test_it_is_open_to_the_session_that_found_it_and_to_no_other(
    talk: Conversation, visit: Visit, app: Application
) -> None:
    await begin(talk, "move my visit", "move_visit")
    await tries(talk, visit.reference, "97201")
    later = app.record.open_session(talk.contact_id, WEB_CHAT).session_id
    again = Conversation(talk.contact_id, later).know(**talk.slots)
    again.asks("visit_day").know(visit_day="2026-11-25", visit_time="08:00").hears("at eight", time="08:00")
    assert (await again.do(MoveVisit())).said == ["utter_no_visit_to_change"]
    done = await begin(Conversation(talk.contact_id, later).know(**talk.slots), "move my visit", "move_visit")
    assert (done.said, done.asks) == (["utter_visit_elsewhere"], "visit_reference"), "what was told before opens nothing"


async def test_it_lapses_in_a_chat_that_is_left_open_and_not_in_a_call(
    app: Application, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = now() + timedelta(hours=app.settings.identity.chat_hours, minutes=1)
    for channel, found in ((WEB_CHAT, []), (PHONE, [visit.reference])):
        talk = somebody(app, channel)
        await begin(talk, "move my visit", "move_visit")
        await tries(talk, visit.reference, "97201")
        together = timedelta(minutes=60)
        assert app.record.found_visits(talk.session_id, together=together) == [visit.reference]
        assert app.record.found_visits(talk.session_id, together=together, now=later) == found


@pytest.mark.parametrize(
    ("words", "intent", "then"),
    [
        ("i lost it", "forgot_reference", "utter_no_visit_to_change"),
        ("i don't know", "dont_know", "utter_no_visit_to_change"),
        ("no, i have booked nothing", "deny", "utter_visit_none"),
    ],
)
async def test_who_has_no_reference_hears_what_there_is_instead(
    talk: Conversation, visit: Visit, words: str, intent: str, then: str
) -> None:
    goes_on(talk, await talk.hears("when does he come", "ask_visit").do(AnswerVisit()))
    goes_on(talk, await talk.begins().do(FORM))
    talk.asks("visit_reference")
    done = goes_on(talk, await talk.hears(words, intent).do(FORM))
    assert (done.asks, done.events[-1]["name"]) == (None, "action_tell_visit")
    assert (await talk.do(TellVisit())).said == [then]


async def test_in_the_middle_of_a_booking_only_a_visit_that_is_named_is_looked_for(talk: Conversation, visit: Visit) -> None:
    talk.know(appliance="dryer", problem="no heat", ui_journey="repair").asks("brand")
    assert (await talk.hears("i have to reschedule", "move_visit").do(FORM)).said == ["utter_no_visit_to_change"]
    done = await talk.hears("move my visit 123456", "move_visit", reference="123456").do(FORM)
    assert (done.said, done.asks) == (["utter_visit_elsewhere"], "visit_postcode")
    assert done.slots["ui_paused"] == ["repair"]


async def test_a_booking_begun_meanwhile_leaves_the_looking_behind(talk: Conversation, visit: Visit) -> None:
    await begin(talk, "move my visit", "move_visit")
    talk.asks("visit_reference")
    done = await talk.hears("my oven is broken", "report_fault", appliance="oven", problem="is broken").do(FORM)
    assert (done.slots["ui_journey"], done.slots["ui_paused"], done.slots["ui_finding"]) == ("repair", None, None)


async def test_a_journey_that_was_interrupted_while_it_looked_looks_on(talk: Conversation, visit: Visit) -> None:
    await begin(talk, "move my visit", "move_visit")
    talk.asks("visit_reference")
    done = goes_on(talk, await talk.hears("you charged me twice for the last visit", "dispute_bill").do(FORM))
    assert (done.slots["ui_paused"], done.slots["ui_finding"]) == (["move_visit"], None)
    talk.know(ui_journey="move_visit", ui_paused=None).hears("503 555 0123", phone_number="+15035550123")
    talk.events.append({"event": "action", "name": "action_open_case"})
    resumed = await talk.begins().do(FORM)
    assert (resumed.slots["ui_finding"], resumed.asks) == (True, "visit_reference")


async def test_a_calendar_that_is_down_counts_no_try(
    talk: Conversation, visit: Visit, app: Application, use: Callable[..., Application]
) -> None:
    class Down(EmbeddedCalendar):
        async def find(self, reference: str) -> Visit | None:
            raise Unavailable("down")

    await begin(talk, "move my visit", "move_visit")
    use(calendar=Down(app.record))
    done = await tries(talk, visit.reference, "97201")
    assert (done.said, done.asks) == (["utter_calendar_unavailable"], None)
    use(calendar=EmbeddedCalendar(app.record))
    for wrong in ("97202", "97203", "97204"):
        assert (await tries(talk, visit.reference, wrong)).said == ["utter_visit_not_found"]


async def test_where_the_new_time_was_taken_meanwhile_another_is_asked_for_and_not_the_visit_again(
    talk: Conversation, visit: Visit, app: Application
) -> None:
    await begin(talk, "move my visit", "move_visit")
    await tries(talk, visit.reference, "97201")
    for technician in ("t-abe", "t-bea"):
        slot = VisitSlot(at(25, 8), at(25, 10), technician)
        app.record.calendar.book(slot, app.record.create_contact(), {}, idempotency_key=technician)
    talk.know(visit_day="2026-11-25", visit_time="08:00").hears("at eight", time="08:00")
    taken = goes_on(talk, await talk.do(MoveVisit()))
    assert (taken.said, taken.events[-1]["name"]) == (["utter_visit_taken"], "journey_form")
    talk.events.append({"event": "action", "name": "action_move_visit"})
    done = await talk.begins().do(FORM)
    assert (done.said, done.asks, done.slots["ui_finding"]) == ([], "visit_time", None)
