"""What a live tracker remembers is what Rasa would work out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionExecuted,
    ActionExecutionRejected,
    ActionReverted,
    ActiveLoop,
    AllSlotsReset,
    BotUttered,
    ConversationPaused,
    ConversationResumed,
    DefinePrevUserUtteredFeaturization,
    EntitiesAdded,
    Event,
    FollowupAction,
    LoopInterrupted,
    Restarted,
    SessionStarted,
    SlotSet,
    UserUtteranceReverted,
    UserUttered,
)
from rasa.shared.core.slots import TextSlot
from rasa.shared.core.trackers import DialogueStateTracker

from throughline.record.live_tracker import LiveTracker

pytestmark = pytest.mark.unit

events: st.SearchStrategy[Event] = st.one_of(
    st.sampled_from(["journey_form", "other_form", "action_listen", "action_answer_hours"]).map(ActionExecuted),
    st.sampled_from(["journey_form", "other_form", None]).map(ActiveLoop),
    st.sampled_from(["journey_form", "other_form"]).map(ActionExecutionRejected),
    st.just("hello").map(UserUttered),
    st.just("hi").map(BotUttered),
    st.sampled_from(["Bosch", "Miele", None]).map(lambda value: SlotSet("brand", value)),
    st.sampled_from(
        [
            ActionReverted,
            UserUtteranceReverted,
            Restarted,
            SessionStarted,
            AllSlotsReset,
            ConversationPaused,
            ConversationResumed,
        ]
    ).map(lambda kind: kind()),
    st.sampled_from([True, False]).map(LoopInterrupted),
    st.just("action_answer_hours").map(FollowupAction),
)


def rasas_own(told: list[Event]) -> list[Event]:
    tracker = DialogueStateTracker("c_1", [])
    tracker.events.extend(told)
    return list(tracker.applied_events())


def same(one: list[Event], other: list[Event]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


@settings(deadline=None)
@given(st.lists(events, max_size=40), st.data())
def test_the_same_events_apply_however_often_one_asks(told: list[Event], data: st.DataObject) -> None:
    tracker = LiveTracker("c_1", [])
    for count, event in enumerate(told, 1):
        tracker.events.append(event)
        if data.draw(st.booleans()):
            assert same(tracker.applied_events(), rasas_own(told[:count]))
    assert same(tracker.applied_events(), rasas_own(told))


@settings(deadline=None)
@given(st.lists(events, min_size=1, max_size=20), st.lists(events, max_size=20), st.integers(1, 20))
def test_events_taken_from_the_end_are_forgotten(told: list[Event], after: list[Event], taken: int) -> None:
    tracker = LiveTracker("c_1", [])
    tracker.events.extend(told)
    tracker.applied_events()
    for _ in range(min(taken, len(told))):
        tracker.events.pop()
    tracker.events.extend(after)
    assert same(tracker.applied_events(), rasas_own([*told[: max(0, len(told) - taken)], *after]))


def test_what_is_given_out_may_be_changed() -> None:
    tracker = LiveTracker.from_events("c_1", [ActionExecuted("action_listen"), UserUttered("hello")])
    tracker.applied_events().clear()
    assert len(tracker.applied_events()) == 2


def brand() -> TextSlot:
    return TextSlot("brand", mappings=[{"type": "from_text"}])


def state(tracker: DialogueStateTracker) -> dict[str, object]:
    """Everything a tracker is, but for what a live one has beside."""
    known = {name: value for name, value in tracker.__dict__.items() if name not in ("slots", "events", "_applied", "_replays")}
    slots = {name: (type(slot), slot.__dict__) for name, slot in tracker.slots.items()}
    return {**known, "slots": slots, "events": [id(event) for event in tracker.events]}


@settings(deadline=None)
@given(st.lists(events, max_size=30), st.lists(events, max_size=8))
def test_a_copy_is_the_one_that_rasa_makes(told: list[Event], after: list[Event]) -> None:
    original = LiveTracker.from_events("c_1", told, [brand()])
    original.applied_events()
    before = state(original)
    copied, rasas_copy = original.copy(), DialogueStateTracker.from_events("c_1", told, [brand()]).copy()
    assert state(copied) == state(rasas_copy)
    for event in after:
        copied.update(event)
        rasas_copy.update(event)
    assert state(copied) == state(rasas_copy), "and lives on as that does"
    assert same(copied.applied_events(), rasas_copy.applied_events())
    assert state(original) == before, "without the original's noticing"
    assert same(original.applied_events(), rasas_own(told))


DOMAIN = Domain.from_yaml(
    """
    version: "3.1"
    intents: [greet, inform]
    entities: [brand]
    slots:
      brand: {type: text, influence_conversation: true, mappings: [{type: from_text}]}
    forms:
      journey_form: {required_slots: [brand]}
      other_form: {required_slots: [brand]}
    actions: [action_answer_hours]
    """
)
RULE_ONLY = {"rule_only_slots": ["brand"], "rule_only_loops": ["other_form"]}

told_events: st.SearchStrategy[Event] = st.one_of(
    events,
    st.sampled_from(["greet", "inform"]).map(lambda intent: UserUttered("hello", {"name": intent})),
    st.booleans().map(lambda hidden: ActionExecuted("action_answer_hours", hide_rule_turn=hidden)),
    st.booleans().map(lambda by_text: DefinePrevUserUtteredFeaturization(by_text)),
    st.just([{"entity": "brand", "value": "Bosch"}]).map(EntitiesAdded),
)


def all_states(tracker: DialogueStateTracker) -> list[object]:
    """What each kind of policy asks for."""
    return [
        tracker.past_states(DOMAIN),
        tracker.past_states(DOMAIN, omit_unset_slots=True),
        tracker.past_states(DOMAIN, ignore_rule_only_turns=True, rule_only_data=RULE_ONLY),
    ]


@settings(deadline=None)
@given(st.lists(told_events, max_size=40), st.data())
def test_the_states_are_those_that_rasa_makes_however_often_one_asks(told: list[Event], data: st.DataObject) -> None:
    live = LiveTracker("c_1", DOMAIN.slots)
    for count, event in enumerate(told, 1):
        live.update(event)
        if data.draw(st.booleans()):
            live = live.apart()
        if data.draw(st.booleans()):
            rasas = DialogueStateTracker.from_events("c_1", told[:count], DOMAIN.slots)
            rasas.events = live.events  # its own messages: Rasa writes on the latest
            found = all_states(live)
            assert found == all_states(rasas)
            for state in found[0]:
                state.setdefault("user", {})["text"] = "what a policy does to its states"
            assert all_states(live) == all_states(rasas)


def test_states_of_another_domain_are_worked_out_anew() -> None:
    tracker = LiveTracker.from_events(
        "c_1", [ActionExecuted("action_listen"), UserUttered("hello", {"name": "greet"})], DOMAIN.slots
    )
    assert tracker.past_states(DOMAIN)[-1]["user"]["intent"] == "greet"
    other = Domain.from_yaml(
        'version: "3.1"\nslots: {brand: {type: any, mappings: [{type: custom}]}}\nintents: [greet: {use_entities: []}]'
    )
    tracker.update(SlotSet("brand", "Bosch"))
    rasas = DialogueStateTracker.from_events("c_1", list(tracker.events), DOMAIN.slots)
    assert tracker.past_states(other) == rasas.past_states(other)


def test_an_abandoned_copy_with_another_message_changes_no_states() -> None:
    """Two turns begin with the same tracker: one is given up, the other goes on without a message."""
    listen, hello = ActionExecuted("action_listen"), UserUttered("hello", {"name": "greet"}, metadata={"event_id": "e_1"})
    kept = LiveTracker.from_events("c_1", [listen, hello, ActionExecuted("action_answer_hours"), listen], DOMAIN.slots)
    given_up, going_on = kept.apart(), kept.apart()
    for event in (UserUttered("more", {"name": "inform"}), ActionExecuted("action_answer_hours")):
        given_up.update(event)
    given_up.past_states(DOMAIN)
    for event in (EntitiesAdded([{"entity": "brand", "value": "Bosch"}]), DefinePrevUserUtteredFeaturization(True)):
        going_on.update(event)
    rasas = DialogueStateTracker("c_1", DOMAIN.slots)
    rasas.events = going_on.events
    assert all_states(going_on) == all_states(rasas)
    rasas.events = kept.events
    assert all_states(kept) == all_states(rasas)
