"""What a merged contact's tracker brings along: what it was about, where the other one is about nothing."""

from __future__ import annotations

import pytest
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActiveLoop, Event, SlotSet
from rasa.shared.core.trackers import DialogueStateTracker

from channels.resuming import brought_along

pytestmark = pytest.mark.unit

DOMAIN = Domain.load("domain.yml")
FORM = (ActiveLoop("journey_form"), SlotSet("requested_slot", "brand"))
BOOKED = (SlotSet("ui_visit", "H4K7P2"), SlotSet("ui_booking", "c_1:m1"))


def tracker(*events: Event) -> DialogueStateTracker:
    return DialogueStateTracker.from_events("c_1", list(events), slots=DOMAIN.slots)


def test_the_form_comes_along_unless_the_other_is_in_one() -> None:
    assert brought_along(tracker(*FORM), None) == FORM
    assert brought_along(tracker(*FORM), tracker()) == FORM
    assert brought_along(tracker(*FORM), tracker(ActiveLoop("journey_form"))) == ()


def test_a_booked_visit_comes_along_unless_the_other_has_one() -> None:
    assert brought_along(tracker(*BOOKED), tracker()) == BOOKED
    assert brought_along(tracker(*BOOKED, *FORM), None) == (*BOOKED, *FORM)
    assert brought_along(tracker(*BOOKED), tracker(SlotSet("ui_visit", "ABCDEF"))) == ()


def test_how_fast_to_speak_is_what_the_caller_has_just_asked_for() -> None:
    slower = SlotSet("ui_speed", 0.85)
    assert brought_along(tracker(slower), tracker(SlotSet("ui_speed", 1.15), *FORM)) == (slower,)
    assert brought_along(tracker(slower, *FORM), None) == (slower, *FORM)


def test_nobody_brings_nothing() -> None:
    assert brought_along(None, tracker()) == ()
    assert brought_along(tracker(), None) == ()
