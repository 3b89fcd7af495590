"""What "what?", "slower" and "faster" lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from actions.change_speed import ChangeSpeed
from actions.repeat import Repeat
from tests.unit.actions.conftest import Conversation
from throughline.bootstrap import Application
from throughline.domain.turns import PHONE

pytestmark = pytest.mark.unit

DOMAIN: dict[str, Any] = YAML(typ="safe").load(Path("domain.yml").read_text())


@pytest.fixture
def call(app: Application) -> Conversation:
    """Somebody on the phone."""
    contact = app.record.create_contact()
    return Conversation(contact, app.record.open_session(contact, PHONE).session_id, channel=PHONE)


def told(talk: Conversation, *responses: str, text: str = "Something.", session: str | None = None) -> Conversation:
    """The assistant has said ``responses``."""
    for response in responses:
        metadata = {"utter_action": response, "session_id": session or talk.session_id}
        talk.events.append({"event": "bot", "text": text, "metadata": metadata})
    return talk


def speed_once(events: list[dict[str, Any]]) -> float | None:
    asked = [(event.get("metadata") or {}).get("request") for event in events]
    (found,) = [request for request in asked if request] or [{"kind": "speed_once", "speed": None}]
    assert found["kind"] == "speed_once"
    return found["speed"]  # type: ignore[no-any-return]


async def test_the_greeting_is_said_again_as_its_question_in_other_words(call: Conversation) -> None:
    done = await told(call, "utter_call_welcome").hears("what", "repeat").do(Repeat(), DOMAIN)
    assert done.said == ["utter_call_welcome_again"]
    assert speed_once(done.events) is None


async def test_of_a_greeting_and_a_question_only_the_question_is_said_again(call: Conversation) -> None:
    done = (
        await told(call, "utter_resume", "utter_resume_known", "utter_resume_open").hears("what", "repeat").do(Repeat(), DOMAIN)
    )
    assert done.said == ["utter_resume_open_again"]


async def test_without_other_words_the_same_are_said_a_step_slower_this_once(call: Conversation) -> None:
    done = await told(call, "utter_hours", text="We're open.").hears("what", "repeat").do(Repeat(), DOMAIN)
    assert (done.said, done.values[0]["said"]) == (["utter_said_again"], "We're open.")
    assert speed_once(done.events) == 0.85


async def test_other_words_that_were_not_understood_either_are_said_slower(call: Conversation) -> None:
    done = await told(call, "utter_call_welcome_again").hears("what", "repeat").do(Repeat(), DOMAIN)
    assert done.said == ["utter_said_again"]
    assert speed_once(done.events) == 0.85


async def test_slower_than_slow_is_as_slow_as_the_company_allows(call: Conversation) -> None:
    done = await told(call.know(ui_speed=0.75), "utter_hours").hears("what", "repeat").do(Repeat(), DOMAIN)
    assert speed_once(done.events) == 0.7


async def test_other_words_with_values_in_them_are_not_taken(call: Conversation) -> None:
    domain = {"responses": {"utter_hours_again": [{"text": "From {opens} on."}]}}
    done = await told(call, "utter_hours").hears("what", "repeat").do(Repeat(), domain)
    assert done.said == ["utter_said_again"]


async def test_what_is_said_in_passing_is_not_what_is_meant(call: Conversation) -> None:
    told(call, "utter_call_welcome", "utter_silence_1")
    assert (await call.hears("what", "repeat").do(Repeat(), DOMAIN)).said == ["utter_call_welcome_again"]


async def test_what_was_written_in_the_chat_is_not_read_out(call: Conversation) -> None:
    told(call, "utter_visit_known", session="a chat")
    assert (await call.hears("what", "repeat").do(Repeat(), DOMAIN)).said == ["utter_what_next"]


async def test_in_the_chat_it_is_said_again_and_there_is_no_speed(talk: Conversation) -> None:
    done = await told(talk, "utter_hours").hears("what", "repeat").do(Repeat(), DOMAIN)
    assert done.said == ["utter_said_again"]
    assert speed_once(done.events) is None


@pytest.mark.parametrize("slot", ["brand", "postcode", "visit_day", "urgent"])
async def test_in_the_form_its_question_is_put_in_other_words_and_stays_open(call: Conversation, slot: str) -> None:
    facts = {"appliance": "dryer", "problem": "broken", "customer_name": "Dana", "postcode": "97201", "urgent": False}
    told(call.know(**{name: value for name, value in facts.items() if name != slot}).asks(slot), f"utter_ask_{slot}")
    done = await call.hears("what", "repeat").do(Repeat(), DOMAIN)
    assert done.said == [f"utter_again_{slot}"]
    assert done.kinds()[-2:] == ["active_loop", "followup"]
    assert speed_once(done.events) is None


async def test_in_the_form_other_words_that_were_said_already_are_said_slower(call: Conversation) -> None:
    done = await told(call.asks("brand"), "utter_again_brand").hears("what", "repeat").do(Repeat(), DOMAIN)
    assert done.said == ["utter_again_brand"]
    assert speed_once(done.events) == 0.85


@pytest.mark.parametrize(
    ("intent", "now", "said", "then"),
    [
        ("slower", None, "utter_slower", 0.85),
        ("slower", 0.85, "utter_slower", 0.7),
        ("slower", 0.7, "utter_slowest", None),
        ("faster", None, "utter_faster", 1.15),
        ("faster", 0.85, "utter_faster", 1.0),
        ("faster", 1.15, "utter_fastest", None),
    ],
)
async def test_the_voice_changes_its_speed_by_a_step_within_bounds(
    call: Conversation, intent: str, now: float | None, said: str, then: float | None
) -> None:
    done = await call.know(ui_speed=now).hears("...", intent).do(ChangeSpeed())
    assert done.said == [said]
    assert done.slots == ({} if then is None else {"ui_speed": then})


async def test_after_slower_it_is_said_at_the_new_speed_and_no_slower(call: Conversation) -> None:
    done = await told(call, "utter_hours").hears("slower please", "slower").do(Repeat(), DOMAIN)
    assert speed_once(done.events) is None


async def test_in_the_chat_slower_says_it_again_and_changes_nothing(talk: Conversation) -> None:
    done = await talk.hears("slower", "slower").do(ChangeSpeed())
    assert (done.said, done.events) == (["utter_slower"], [])
