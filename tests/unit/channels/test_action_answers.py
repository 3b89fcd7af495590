"""An action server's answer is taken or refused as Rasa's own schema has it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasa.core.actions.action import RemoteAction

from channels import action_calls
from throughline.errors import Unavailable

pytestmark = pytest.mark.unit

SCHEMA = RemoteAction.action_response_format_spec()
KINDS = [kind["properties"]["event"]["const"] for kind in SCHEMA["properties"]["events"]["items"]["oneOf"]]
FIELDS = ["name", "value", "text", "timestamp", "metadata", "policy", "confidence", "parse_data", "data", "intent", "entities"]

values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just("word"), st.just([]), st.just({}), st.just({"name": "x"}), st.just([{}])
)
events = st.one_of(
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=5).flatmap(
        lambda fields: st.sampled_from([*KINDS, "nothing like it", 3]).map(lambda kind: {"event": kind, **fields})
    ),
    values,
)
answers = st.one_of(
    st.fixed_dictionaries({}, optional={"events": st.lists(events, max_size=3), "responses": st.lists(values, max_size=2)}),
    values,
)


@given(answers)
def test_the_same_answers_are_taken(answer: Any) -> None:
    assert action_calls._is_answer(answer) == jsonschema.Draft7Validator(SCHEMA).is_valid(answer)


def test_a_plain_answer_is_taken() -> None:
    answer = {
        "events": [{"event": "slot", "name": "brand", "value": "Bosch", "timestamp": None}],
        "responses": [{"text": "Hi."}],
    }
    assert action_calls._validate_action_result(RemoteAction("action_x", None), answer)


def test_a_refused_answer_is_noted_without_what_the_customer_said(caplog: pytest.LogCaptureFixture) -> None:
    noted: list[str] = []
    token = action_calls.failures.set(noted)
    try:
        with pytest.raises(Unavailable) as refused:
            action_calls._validate_action_result(RemoteAction("action_x", None), {"events": [{"event": "my dryer burns"}]})
    finally:
        action_calls.failures.reset(token)
    assert noted == ["action_x: an answer of another shape"]
    assert "dryer" not in str(refused.value) + caplog.text
