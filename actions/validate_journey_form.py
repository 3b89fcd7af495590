"""Reads every message that comes while the form is open, checks the facts in it before they are kept, and decides what is asked next.

One form serves every journey of data/business/journeys.yml; what it needs depends on the journey. Rasa calls this at three moments, told
apart by what stands behind the customer's message in the tracker: when the form begins (everything known is checked), for an answer to
the open question, and when the form is come back to after something else was answered (nothing to do). A message that begins another
journey interrupts the one under way, which is taken up again afterwards.
What always holds: a fact that leaves here is one that can be acted on: an appliance we repair, a place we serve, a day and a window
that are really free. And no fact of another journey is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import ActionExecutionRejected, FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.answer_area import asks_area
from actions.fact_checks import FactChecks, GivenUp
from actions.foreknown import foreknown, taken_up
from actions.guesses import said_last_turn
from actions.handing_over import latest_message_name
from actions.questions import why_not
from actions.shifted_day import shifted_day
from actions.situation import FORM, Event, Situation, both, next_matter, put_back, situation, slots_before_message
from actions.visits import NotYours, NoVisit, chosen_visit, late_fee
from throughline.domain import answers, recap, speakable
from throughline.domain.answers import Said
from throughline.domain.facts import ABOUT_THE_PERSON, DAYS, FACTS, FINDING
from throughline.domain.journeys import Journey
from throughline.errors import Rejected, Unavailable

# Kinds of entities that are learned from examples and have no list of names, with what they may be mistaken for.
_MISTAKEN = {"problem": ("customer_name",), "brand": ("customer_name", "problem"), "customer_name": ("problem",)}
_OFFERED = ("visit_day", "visit_time", "call_day", "call_time", "which_visit")  # chosen from what the question names
_DIGITS = {
    "invoice": ("postcode", "phone_number"),
    "phone_number": ("postcode",),
    "visit_reference": (),
    "visit_postcode": (),
}  # with what else their digits may be taken for
_IN_ANY_WORDS = ("problem", "brand", "since", "customer_name")  # any words would answer these
_OWN_WORDS = ("wish",)  # the answer to these may sound like the beginning of anything
_HAS_NONE = ("dont_know", "deny", "forgot_reference")  # who is asked for a visit's reference and has none
_NO_VISIT = (NoVisit, NotYours, Unavailable, Rejected)  # why a journey about a visit can't begin
_ENOUGH = 3  # journeys that wait for another one


class ValidateJourneyForm(Action):
    """Called by Rasa's form of the same name."""

    def name(self) -> str:
        """As in domain.yml."""
        return f"validate_{FORM}"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """The facts after this message and what is asked next, or a rejection where it does not answer the form."""
        where = situation(tracker)
        begins = _begins(tracker)
        if not begins and _came_back(tracker):
            return [_asks(where.journey, tracker.slots)]
        said = _said(where, begins=begins)
        if answers.about_gas(said.text, where.business):
            return _instead("action_gas_emergency")
        if begins and asks_area(tracker, said):
            return _instead("action_answer_area")
        asked = None if begins else tracker.get_slot("requested_slot")
        other = None if begins or asked in _OWN_WORDS else _another(where, said, asked)
        if other is not None:
            return await self._interrupt(where, dispatcher, said, other)
        if begins and _ended_one(where):
            return await self._go_on(where, dispatcher)
        if begins:
            try:
                return await self._begin(where, dispatcher, said, _begun(where, said), paused=())
            except _NO_VISIT as error:
                dispatcher.utter_message(response=why_not(error))
                return [*self._the_other(where, dispatcher, said), *_instead("action_listen")]
        before = slots_before_message(tracker)
        if asked in FINDING and said.intent in _HAS_NONE and asked not in _told(said, where, where.journey, before, asked):
            # With events beside the question, or Rasa would take the message for a digression.
            forgotten = [SlotSet(slot, None) for slot in FINDING]
            return [*_put_back(where, before), *forgotten, *_instead(where.journey.ends)]
        if _is_digression(said, where, asked):
            return [ActionExecutionRejected(FORM), *_put_back(where, before)]
        if asked is not None and refuses(said, asked) and asked not in where.journey.can_go_without:
            return await self._explain(where, dispatcher, asked)
        told = _told(said, where, where.journey, before, asked)
        known = _known(where.journey, before)
        told |= await shifted_day(where, where.journey, said, known)
        try:
            final = await FactChecks(where, dispatcher, where.journey, known=known, asked=asked).run({**known, **told})
        except GivenUp as error:
            return _give_up(where, dispatcher, where.journey, before, told, known, error)
        if where.journey.is_looking and known.get("which_visit") is None:
            await _say_what_moving_costs(where, dispatcher, where.journey, final.get("which_visit"))
        events = _changes(where, where.journey, before, told, final)
        if not events and told:
            # Nothing changed, but the question was answered: without an event Rasa would take it for a digression.
            events = [SlotSet(slot, final.get(slot)) for slot in told]
        return [*events, _asks(where.journey, {**tracker.slots, **_values(events)})] if events else []

    async def _begin(
        self,
        where: Situation,
        dispatcher: CollectingDispatcher,
        said: Said,
        journey: Journey,
        *,
        paused: Sequence[str],
        looks: bool = True,
    ) -> list[Event]:
        """A journey begins: everything is checked that is known. ``paused``: those that wait for it. ``looks``: where it is about a visit
        and there is none, one of another conversation is looked for. Raises what ``foreknown`` raises."""
        tracker, before = where.tracker, slots_before_message(where.tracker)
        journey = where.business.journeys.named(journey.journey) or journey
        try:
            foreseen = await foreknown(where, journey, said)
        except NoVisit:
            if not (journey.finds and looks):
                raise
            journey, foreseen = journey.looking, {}
        told = _told(said, where, journey, before, None)
        if not told and said.intent in where.business.dialogue.begin_with_fact:
            return _instead("action_clarify")
        done = list(tracker.get_slot("ui_done") or ())
        # What was told of this journey when something else came first.
        earlier = tracker.get_slot("ui_next") or {}
        mentioned_first = where.business.journeys.begun_by(str(earlier.get("intent")))
        if mentioned_first is not None and mentioned_first.journey == journey.journey:
            told = {**earlier["facts"], **told}
        else:
            earlier = {}
        stale = where.business.journeys.stale(done).intersection(journey.needs)
        # A fact of an earlier fault, withdrawn since the message came, is not known any more.
        known = {
            slot: value
            for slot, value in _known(journey, before).items()
            if slot not in stale
            and (tracker.get_slot(slot) is not None or slot in told)
            and slot not in FINDING  # who looked for a visit before may be somebody else
            and not (slot in ABOUT_THE_PERSON and value == where.words.unknown and slot not in journey.can_go_without)
        }
        told = {**foreseen, **told}
        told |= await shifted_day(where, journey, said, {**known, **told})
        begun = [
            SlotSet("ui_journey", journey.journey),
            SlotSet("ui_finding", True if journey.is_looking else None),
            SlotSet("ui_booking", latest_message_name(where)),
            SlotSet("ui_handed_over", None),
            SlotSet("ui_paused", list(paused) or None),
            SlotSet("ui_done", [name for name in done if name != journey.journey] or None),
        ]
        mentioned = _mentioned(where, journey)
        if mentioned is not None or earlier:
            begun.append(SlotSet("ui_next", mentioned))
        if journey.is_looking and not all(slot in told for slot in FINDING):
            dispatcher.utter_message(response="utter_visit_elsewhere")
        await _say_what_moving_costs(where, dispatcher, journey, told.get("which_visit"))
        try:
            final = await FactChecks(where, dispatcher, journey, known=known, asked=None, begins=True).run({**known, **told})
        except GivenUp as error:
            return [*begun, *_give_up(where, dispatcher, journey, before, told, known, error)]
        if journey.is_looking:
            await _say_what_moving_costs(where, dispatcher, journey, final.get("which_visit"))
        events = [*_changes(where, journey, before, told, final), *begun]
        return [*events, _asks(journey, {**tracker.slots, **_values(events)})]

    async def _interrupt(self, where: Situation, dispatcher: CollectingDispatcher, said: Said, other: Journey) -> list[Event]:
        """Another journey begins in the middle of this one. Where it can't, because there is no visit, this one goes on; but whoever
        cancels while the visit is still being arranged wants no more of it."""
        # In the middle of a booking a visit of another conversation is meant only where it is named.
        looks = where.journey is not where.business.journeys.usual or bool(said.values("reference"))
        try:
            return await self._begin(where, dispatcher, said, other, paused=_paused(where, other), looks=looks)
        except _NO_VISIT as error:
            # With an event beside the question, or Rasa would take the message for a digression.
            this = SlotSet("ui_journey", where.journey.journey)
            if isinstance(error, NoVisit) and "sure" in other.needs and where.journey is where.business.journeys.usual:
                dispatcher.utter_message(response="utter_stopped")
                return [this, *_instead("action_listen")]
            dispatcher.utter_message(response=why_not(error))
            put_back = _put_back(where, slots_before_message(where.tracker))
            return [this, *put_back, _asks(where.journey, {**where.tracker.slots, **_values(put_back)})]

    def _the_other(self, where: Situation, dispatcher: CollectingDispatcher, said: Said) -> list[Event]:
        """Ask about the second matter of a message whose first can't be done."""
        mentioned = _mentioned(where, _begun(where, said))
        return next_matter(where, dispatcher, mentioned) if mentioned else []

    async def _explain(self, where: Situation, dispatcher: CollectingDispatcher, asked: str) -> list[Event]:
        """What somebody would rather not tell and nothing goes without: why we ask, once; then it is a person's matter."""
        why = f"utter_why_{asked}"
        # With an event beside the question, or Rasa would take the message for a digression.
        this = SlotSet("ui_journey", where.journey.journey)
        if why in said_last_turn(where.tracker):
            return [this, *_instead("action_request_person")]
        dispatcher.utter_message(response=why)
        return [this, *_put_back(where, slots_before_message(where.tracker)), SlotSet("requested_slot", asked)]

    async def _go_on(self, where: Situation, dispatcher: CollectingDispatcher) -> list[Event]:
        """A journey is taken up again, after the one that interrupted it or because its end was out of reach: what is known is checked."""
        journey, slots = await taken_up(where), where.tracker.slots
        known = {slot: value for slot, value in _known(journey, slots).items() if slot not in FINDING}
        final = await FactChecks(where, dispatcher, journey, known=known, asked=None, begins=True).run(known)
        events = [SlotSet(slot, final.get(slot)) for slot in known if final.get(slot) != known[slot]]
        if journey.is_looking:
            events += [SlotSet("ui_finding", True), *(SlotSet(slot, None) for slot in FINDING)]
        elif where.journey.is_looking:
            events.append(SlotSet("ui_finding", None))  # it was found
        return [*events, _asks(journey, {**slots, **_values(events)})]


def refuses(said: Said, asked: str) -> bool:
    """Whether the customer would rather not tell what is asked of them: a plain no is enough."""
    return asked in ABOUT_THE_PERSON and said.intent in ("rather_not", "deny") and not said.values(answers.ENTITY_OF[asked])


def _asks(journey: Journey, slots: Mapping[str, Any]) -> Event:
    """What is asked next is what is missing; nothing where the journey can end."""
    event: Event = SlotSet("requested_slot", next((slot for slot in journey.needs if slots.get(slot) is None), None))
    return event


def _give_up(
    where: Situation,
    dispatcher: CollectingDispatcher,
    journey: Journey,
    before: Mapping[str, Any],
    told: Mapping[str, Any],
    known: Mapping[str, Any],
    why: GivenUp,
) -> list[Event]:
    """A visit can't be looked for any more: the journey ends as it does without one."""
    dispatcher.utter_message(response=why.response)
    kept = {slot: value for slot, value in known.items() if slot not in FINDING}
    return [*_changes(where, journey, before, told, kept), *_instead(journey.ends)]


def _values(events: Sequence[Event]) -> dict[str, Any]:
    """What the slots are set to."""
    return {event["name"]: event["value"] for event in events if event["event"] == "slot"}


def _known(journey: Journey, slots: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = recap.told(slots)
    return {slot: value for slot, value in told.items() if slot in journey.slots}


async def _say_what_moving_costs(
    where: Situation, dispatcher: CollectingDispatcher, journey: Journey, reference: object
) -> None:
    """Where it costs something by now. Who cancels is asked whether they are sure, and hears it then."""
    if reference is None or "sure" in journey.needs:
        return
    try:
        fee = late_fee(where, await chosen_visit(where, reference))
    except (NoVisit, Unavailable, Rejected):
        return  # the next question says why
    if fee:
        said = speakable.money(fee, where.words, where.business.company)
        dispatcher.utter_message(response="utter_change_late", **both(fee=said))


def _begun(where: Situation, said: Said) -> Journey:
    """The journey that begins: what an action has chosen for this message, what the message asks for, or the last one."""
    journeys = where.business.journeys
    for event in reversed(where.tracker.events):
        if event.get("event") == "user":
            break
        if event.get("event") == "slot" and event.get("name") == "ui_journey" and journeys.named(event.get("value")):
            return where.journey
    return journeys.begun_by(said.intent) or where.journey


def _another(where: Situation, said: Said, asked: str | None) -> Journey | None:
    """The journey that a message in the middle of one begins; none where it answers the open question ("is Saturday possible?" is no
    wish to move a visit), unless it cancels one. The usual one begins only with a fact of its own: "can you come on Friday" is no new
    repair."""
    journeys = where.business.journeys
    other = journeys.begun_by(said.intent)
    if other is None or other.journey == where.journey.journey:
        return None
    if asked in DAYS and said.values("day_shift"):
        return None
    if asked not in _IN_ANY_WORDS and "sure" not in other.needs and asked in _told(said, where, where.journey, {}, asked):
        return None
    if other is journeys.usual:
        told = answers.volunteered(said, {}, where.business, other)
        return other if {"appliance", "problem"}.intersection(told) and said.intent == other.begins[0] else None
    return other


def _paused(where: Situation, other: Journey) -> list[str]:
    """The journeys that wait for ``other``, with the one under way; but whoever cancels a visit wants it moved no more, and whoever begins
    a booking while a visit is looked for has none."""
    if where.journey.is_looking and other is where.business.journeys.usual:
        return [name for name in where.tracker.get_slot("ui_paused") or () if name != other.journey]
    names = [name for name in where.tracker.get_slot("ui_paused") or () if name != where.journey.journey]
    journeys = [where.business.journeys.named(name) for name in (*names, where.journey.journey)]
    one_visit = "which_visit"
    waiting = [
        one for one in journeys if one and one is not other and not (one_visit in one.needs and one_visit in other.needs)
    ]
    return [one.journey for one in waiting][-_ENOUGH:]


def _changes(
    where: Situation, journey: Journey, before: Mapping[str, Any], told: Mapping[str, Any], final: Mapping[str, Any]
) -> list[Event]:
    """Events that leave the journey's facts as ``final`` says, and those of other journeys as they were before the message."""
    tracker, events = where.tracker, []
    for slot in FACTS:
        value = final.get(slot) if slot in journey.slots else before.get(slot)
        if value == tracker.get_slot(slot):
            continue
        ours = slot in journey.slots and (slot in told or value is None)
        events.append(SlotSet(slot, value) if ours else put_back(tracker, slot, value))
    return events


def _instead(action: str) -> list[Event]:
    """Events that end the form without another question and do ``action``."""
    return [SlotSet("requested_slot", None), FollowupAction(action)]


def _begins(tracker: Tracker) -> bool:
    """Whether the form began with the latest message."""
    for event in reversed(tracker.events):
        if event.get("event") == "user":
            return False
        if event.get("event") == "active_loop":
            return bool(event.get("name") == FORM)
    return False


def _came_back(tracker: Tracker) -> bool:
    """Whether something else was done for the latest message already."""
    return any(name not in (FORM, "action_extract_slots", "action_listen") for name in _done_for_message(tracker))


def _ended_one(where: Situation) -> bool:
    """Whether a journey has come to its end with the latest message."""
    return not where.business.journeys.ends.isdisjoint(_done_for_message(where.tracker))


def _done_for_message(tracker: Tracker) -> list[str]:
    """The actions since the latest message, the last first."""
    names = []
    for event in reversed(tracker.events):
        if event.get("event") == "user":
            break
        if event.get("event") == "action":
            names.append(str(event.get("name")))
    return names


def _said(where: Situation, *, begins: bool) -> Said:
    """The message; where it ``begins`` a journey and is about two matters, the words of the one that does, which is the first of two."""
    message = where.tracker.latest_message or {}
    whole = Said(str(message.get("text") or ""), where.intent, tuple(message.get("entities") or ()))
    begun = [one for one in where.matters if where.business.journeys.begun_by(one["intent"])] if begins else []
    return _part_of(whole, begun[0]) if begun else whole


def _part_of(whole: Said, matter: Mapping[str, Any]) -> Said:
    """What was said of one matter."""
    start, end = int(matter["start"]), int(matter["end"])
    inside = [item for item in whole.entities if start <= int(item["start"]) and int(item["end"]) <= end]
    moved = tuple({**item, "start": int(item["start"]) - start, "end": int(item["end"]) - start} for item in inside)
    return Said(whole.text[start:end], str(matter["intent"]), moved)


def _mentioned(where: Situation, journey: Journey) -> dict[str, Any] | None:
    """The other journey that the message would begin, with the facts that it tells for it; None without one."""
    message = where.tracker.latest_message or {}
    whole = Said(str(message.get("text") or ""), where.intent, tuple(message.get("entities") or ()))
    for matter in where.matters:
        other = where.business.journeys.begun_by(matter["intent"])
        if other is not None and other.journey != journey.journey:
            facts = answers.volunteered(_part_of(whole, matter), {}, where.business, other)
            return {"intent": matter["intent"], "facts": facts}
    return None


def _is_digression(said: Said, where: Situation, asked: str | None) -> bool:
    if asked in _DIGITS and any(letter.isdigit() for letter in said.text):
        return False  # digits are the answer where digits were asked for, whatever else they sound like
    if said.intent == "give_code" and not said.values("code"):
        return not any(said.values(kind) for kind in ("postcode", "date", "time", "phone_number", "reference"))
    dialogue = where.business.dialogue
    if asked in _OWN_WORDS and said.intent not in dialogue.interrupt_own_words:
        return False
    told = answers.volunteered(said, {}, where.business, where.journey) if said.intent in dialogue.courtesies else {}
    if asked is not None and asked in told:
        return False
    before = slots_before_message(where.tracker) if told else {}
    if any(before.get(slot) not in (None, value) for slot, value in told.items()):
        return False  # "no wait, two weeks"
    return said.intent in dialogue.digressions


def _put_back(where: Situation, before: dict[str, Any]) -> list[Event]:
    """A question is no answer: what it named replaces no fact, and what we can't serve becomes none."""
    events = []
    for slot in FACTS:
        value, earlier = where.tracker.get_slot(slot), before.get(slot)
        useless = (slot == "postcode" and where.business.territory_of(str(value)) is None) or (
            slot == "appliance" and value not in where.business.services
        )
        if value != earlier and (earlier is not None or useless):
            events.append(put_back(where.tracker, slot, earlier))
    return events


def _told(said: Said, where: Situation, journey: Journey, before: Mapping[str, Any], asked: str | None) -> dict[str, Any]:
    """The facts in the message: volunteered ones, and the answer to the open question."""
    told = answers.volunteered(said, before, where.business, journey)
    if "wish" in told and asked is not None and before.get("wish"):
        # One matter told in several messages.
        told["wish"] = f"{before['wish']} {told['wish']}"[: where.business.thresholds.answer_chars]
    if "urgent" in journey.slots and said.intent in ("urgent", "not_urgent"):
        told["urgent"] = said.intent == "urgent"
        if before.get("problem") is not None:
            told.pop("problem", None)  # "it's not pressing" is no other problem
    if not asked:
        return told
    if asked in _OFFERED and not said.values("day_shift"):
        choice = answers.choice(said, where.business)
        if choice is not None:
            # "The second one" is neither the second of the month nor one o'clock.
            return {**told, asked: choice}
    if asked == "visit_day" and "since" in told and "visit_day" not in told and before.get("since") is not None:
        told["visit_day"] = told.pop("since")  # a day that is past, which will be said
    if asked in _MISTAKEN and asked not in told and said.intent != "correct":
        _reassign(told, asked, said, where)
    if refuses(said, asked):
        told.setdefault(asked, where.business.words.unknown)
    if asked not in told:
        value = answers.answer(asked, said, where.business)
        if value is not None:
            told[asked] = value
    if asked in told:
        for other in _DIGITS.get(asked, ()):
            told.pop(other, None)
    return told


def _reassign(told: dict[str, Any], asked: str, said: Said, where: Situation) -> None:
    """What was learned as another kind of entity, but is nearly all that was said, is the answer to the question."""
    whole = answers.bare(said.text, where.business)
    for other in _MISTAKEN[asked]:
        if other in told and len(str(told[other])) >= 0.8 * len(whole):
            value = told.pop(other)
            told[asked] = answers.name(str(value), where.business) or value if asked == "customer_name" else value
