"""What a live tracker remembers is what Rasa would work out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasa.shared.core.events import (
    ActionExecuted,
    ActionExecutionRejected,
    ActionReverted,
    ActiveLoop,
    AllSlotsReset,
    BotUttered,
    ConversationPaused,
    ConversationResumed,
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
    st.sampled_from(["fault_form", "other_form", "action_listen", "action_answer_hours"]).map(ActionExecuted),
    st.sampled_from(["fault_form", "other_form", None]).map(ActiveLoop),
    st.sampled_from(["fault_form", "other_form"]).map(ActionExecutionRejected),
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


@given(st.lists(events, max_size=40), st.data())
def test_the_same_events_apply_however_often_one_asks(told: list[Event], data: st.DataObject) -> None:
    tracker = LiveTracker("c_1", [])
    for count, event in enumerate(told, 1):
        tracker.events.append(event)
        if data.draw(st.booleans()):
            assert same(tracker.applied_events(), rasas_own(told[:count]))
    assert same(tracker.applied_events(), rasas_own(told))


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
    known = {name: value for name, value in tracker.__dict__.items() if name not in ("slots", "events", "_applied")}
    slots = {name: (type(slot), slot.__dict__) for name, slot in tracker.slots.items()}
    return {**known, "slots": slots, "events": [id(event) for event in tracker.events]}


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
