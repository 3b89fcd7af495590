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
    BotUttered,
    Event,
    Restarted,
    SessionStarted,
    SlotSet,
    UserUtteranceReverted,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

from throughline.record.live_tracker import LiveTracker

pytestmark = pytest.mark.unit

events = st.one_of(
    st.sampled_from(["fault_form", "other_form", "action_listen", "action_answer_hours"]).map(ActionExecuted),
    st.sampled_from(["fault_form", "other_form", None]).map(ActiveLoop),
    st.sampled_from(["fault_form", "other_form"]).map(ActionExecutionRejected),
    st.just("hello").map(UserUttered),
    st.just("hi").map(BotUttered),
    st.just("brand").map(lambda name: SlotSet(name, "Bosch")),
    st.sampled_from([ActionReverted, UserUtteranceReverted, Restarted, SessionStarted]).map(lambda kind: kind()),
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
