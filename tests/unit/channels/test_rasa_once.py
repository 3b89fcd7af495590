"""What is worked out once is what Rasa would work out each time."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasa.core.actions.forms import FormAction
from rasa.core.policies.rule_policy import RulePolicy
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, ActiveLoop, Event, Restarted, SlotSet, UserUttered
from rasa.shared.core.slots import AnySlot, BooleanSlot, ListSlot, Slot, TextSlot

from channels import rasa_once
from channels.said import source_of
from throughline.record.live_tracker import LiveTracker

pytestmark = pytest.mark.unit

actions = st.sampled_from(["action_listen", "action_answer_hours", "journey_form", "..."])
intents = st.sampled_from(["greet", "ask_hours"])
absent = st.just("should_not_be_set")
empty: st.SearchStrategy[dict[str, Any]] = st.just({})


def states(demands: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Of a rule (``demands``), or of a conversation."""
    other = absent if demands else st.nothing()
    prev = st.one_of(empty, (actions | other).map(lambda name: {"prev_action": {"action_name": name}}))
    user = st.one_of(empty, (intents | other).map(lambda name: {"user": {"intent": name}}), st.just({"user": {"text": "hi"}}))
    loop = st.one_of(empty, (st.just("journey_form") | other).map(lambda name: {"active_loop": {"name": name}}))
    slot = st.one_of(empty, st.just({"slots": {"brand": [1.0] if demands else (1.0,)}}))
    return st.tuples(prev, user, loop, slot).map(lambda parts: {key: value for part in parts for key, value in part.items()})


@given(st.lists(st.lists(states(True), max_size=3), max_size=12), st.lists(states(False), max_size=4))
def test_the_same_rules_fit(rules: list[list[dict[str, Any]]], conversation: list[dict[str, Any]]) -> None:
    lookup = {json.dumps(rule, sort_keys=True): "action_listen" for rule in rules}
    policy = RulePolicy.__new__(RulePolicy)
    rasas_own = rasa_once._possible_keys(policy, lookup, conversation)
    for _ in range(2):  # worked out, and remembered
        assert rasa_once._keys_that_fit(policy, lookup, conversation) == rasas_own


def test_a_rule_that_is_learned_later_counts() -> None:
    rule = json.dumps([{"prev_action": {"action_name": "action_listen"}, "user": {"intent": "greet"}}])
    policy, lookup = RulePolicy.__new__(RulePolicy), dict[str, str]()
    newest = {"prev_action": {"action_name": "action_listen"}, "user": {"intent": "greet"}}
    assert rasa_once._keys_that_fit(policy, lookup, [newest]) == set()
    lookup[rule] = "utter_greet"
    assert rasa_once._keys_that_fit(policy, lookup, [newest]) == {rule}


def test_most_rules_need_not_be_tried() -> None:
    def rule(intent: str) -> str:
        return json.dumps([{"prev_action": {"action_name": "action_listen"}, "user": {"intent": intent}}])

    lookup = {rule(f"intent_{number}"): "action_listen" for number in range(100)}
    newest = {"prev_action": {"action_name": "action_listen"}, "user": {"intent": "intent_7"}}
    assert rasa_once.RuleIndex(lookup).could_fit(newest) == [rule("intent_7")]


def test_a_forms_mappings_are_those_of_its_domain() -> None:
    def domain(entity: str) -> Domain:
        mapping = {"type": "from_entity", "entity": entity}
        slots = {
            "brand": {"type": "any", "mappings": [mapping]},
            "model": {"type": "any", "mappings": [mapping, {"type": "from_text"}]},
        }
        return Domain.from_dict({"slots": slots, "entities": [entity], "forms": {"form": {"required_slots": ["brand"]}}})

    form = FormAction("form", None)
    for known in (domain("brand"), domain("maker")):
        for _ in range(2):
            assert rasa_once._mappings_of_form(form, known) == rasa_once._unique_mappings(form, known) != set()


@pytest.mark.parametrize("kind", [TextSlot, AnySlot, BooleanSlot, ListSlot])
def test_a_slots_copy_is_a_slot_of_its_own(kind: type[Slot]) -> None:
    slot = kind("brand", mappings=[{"type": "from_text"}], initial_value=None, influence_conversation=False)
    slot.value = ["Bosch"]
    copied, by_python = rasa_once._copy_of(slot), copy.copy(slot)
    assert type(copied) is kind
    assert copied.__dict__ == by_python.__dict__
    copied.value = ["Miele"]
    assert slot.value == ["Bosch"]


@pytest.mark.parametrize("restarted", [[], [Restarted(), ActionExecuted("action_listen")]])
def test_a_check_gets_the_tracker_that_rasa_would_replay(restarted: list[Event]) -> None:
    domain = Domain.from_dict(
        {
            "slots": {"brand": {"type": "text", "mappings": [{"type": "from_text"}]}},
            "forms": {"form": {"required_slots": ["brand"]}},
        }
    )
    told = [
        ActionExecuted("action_listen"),
        *restarted,
        UserUttered("Bosch"),
        ActiveLoop("form"),
        SlotSet("requested_slot", "brand"),
    ]
    current = LiveTracker.from_events("c_1", told, domain.slots)
    form, new = FormAction("form", None), [SlotSet("brand", "Bosch")]
    ours, rasas = rasa_once._tracker_for_check(form, current, new, domain), rasa_once._replayed(form, current, new, domain)
    assert list(ours.events) == list(rasas.events)
    assert (
        ours.current_slot_values()
        == rasas.current_slot_values()
        == {"brand": "Bosch", "requested_slot": "brand"}
        | {name: None for name in ours.slots if name not in ("brand", "requested_slot")}
    )
    assert (ours.active_loop_name, ours.latest_action, ours.latest_message) == (
        "form",
        rasas.latest_action,
        rasas.latest_message,
    )
    assert current.get_slot("brand") is None


def test_what_a_beginning_form_has_checked_stays_told_where_it_was_told() -> None:
    domain = Domain.from_dict(
        {
            "slots": {name: {"type": "text", "mappings": [{"type": "custom"}]} for name in ("day", "place", "brand", "since")},
            "forms": {"form": {"required_slots": ["day", "place", "brand", "since"]}},
        }
    )
    by_rasa = {"model_id": "a model", "assistant_id": "an assistant"}
    told = [
        SlotSet("day", "Friday", metadata={"event_id": "e_1", "session_id": "s_call"}),
        SlotSet("place", "97201", metadata={"event_id": "e_2", "session_id": "s_call"}),
        ActionExecuted("action_listen"),
        UserUttered("in 97201, a Bosch"),
        SlotSet("place", "97201", metadata=by_rasa),
        SlotSet("brand", "Bosch", metadata=by_rasa),
        SlotSet("since", "Monday", metadata={**by_rasa, "told_in": "s_chat"}),
    ]
    current = LiveTracker.from_events("c_1", told, domain.slots)
    known = [SlotSet(name, current.get_slot(name)) for name in ("day", "place", "brand", "since")]
    checked = rasa_once._tracker_for_check(FormAction("form", None), current, known, domain)
    assert {name: source_of(checked, name) for name in ("day", "place", "brand", "since")} == {
        "day": "s_call",
        "place": None,  # said again in the turn at hand, which is no visit's here
        "brand": None,
        "since": "s_chat",
    }


def test_an_empty_domain_is_known_as_one() -> None:
    for domain in (Domain.empty(), Domain.from_dict({"intents": ["greet"]})):
        for _ in range(2):
            assert rasa_once._is_empty(domain) == rasa_once._compared_with_empty(domain)
