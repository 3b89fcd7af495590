"""The way out: every response of the domain, on every channel, at every level, with what was told here and what was told elsewhere."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rasa.core.actions.action import RemoteAction
from rasa.core.nlg import NaturalLanguageGenerator
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import Event, SlotSet
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.utils.endpoints import EndpointConfig
from ruamel.yaml import YAML
from structlog.testing import capture_logs

from channels.said import Said, check_said, source_of
from throughline.domain.assurance import Assurance
from throughline.domain.privacy import UNKNOWN, Standing, Told
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.record.turn_context import TurnContext, current
from throughline.settings.business import load_business
from throughline.settings.server import Settings

pytestmark = pytest.mark.unit

HERE, ELSEWHERE = "s_here", "s_elsewhere"
LEVELS = [level.word for level in Assurance]
DOMAIN = Domain.load("domain.yml")
BUSINESS = load_business(Path("data/business"))
PRIVACY = YAML(typ="safe").load(Path("data/business/privacy.yml"))
CLASSIFIED = {**PRIVACY["slots"], **PRIVACY["values"]}
VARIANTS = [
    pytest.param(name, variant, channel, id=f"{name}-{position}-{channel}")
    for name, variants in DOMAIN.responses.items()
    for position, variant in enumerate(variants)
    for channel in ([variant["channel"]] if variant.get("channel") else [WEB_CHAT, PHONE])
]


class Standings:
    """A record that knows one thing: how sure we are of who is here."""

    def __init__(self, level: str = "anonymous", *together: str) -> None:
        self.standing = Standing(Assurance.of(level), frozenset({HERE, *together}))
        self.reads = 0

    async def call(self, _method: object, session_id: str, *, together: timedelta) -> Standing:
        assert session_id == HERE
        assert together == timedelta(minutes=PRIVACY["together_minutes"])
        self.reads += 1
        return self.standing


@pytest.fixture(autouse=True)
def turn() -> Iterator[TurnContext]:
    """A turn of the visit that all tests are about."""
    rasas = RemoteAction._utter_responses
    context = TurnContext(HERE, WEB_CHAT)
    token = current.set(context)
    yield context
    current.reset(token)
    RemoteAction._utter_responses = staticmethod(rasas)


def way_out(record: Standings, responses: dict[str, Any], kind: type[Said] = Said) -> Said:
    app = SimpleNamespace(business=BUSINESS, record=record, settings=Settings())
    made = kind(application=lambda: app)  # type: ignore[arg-type, return-value]
    made.responses = responses
    return made


def tracker(*events: Event) -> DialogueStateTracker:
    return DialogueStateTracker.from_events("c_1", list(events), slots=DOMAIN.slots)


def mark(name: str) -> str:
    """A value like no other."""
    return f"<<{name}>>"


def known(source: str) -> DialogueStateTracker:
    """Every fact told in that visit, each with its mark for a value."""
    stored = {"event_id": "e_1", "session_id": source}
    return tracker(*(SlotSet(slot, mark(slot), metadata=dict(stored)) for slot in PRIVACY["slots"]))


def given(source: str) -> dict[str, Any]:
    """Every other value, and every value for the ear, of that visit, as actions give them."""
    names = [*PRIVACY["values"], *(f"{name}_spoken" for name in CLASSIFIED)]
    return {name: mark(name) for name in names} | {slot: mark(slot) for slot in PRIVACY["slots"]} | {"told_in": source}


def places(variant: dict[str, Any]) -> set[str]:
    """The placeholders in it, found another way than the gate finds them."""
    words = json.dumps({key: variant[key] for key in variant if key not in ("channel", "condition", "id", "metadata")})
    return {part.split("}")[0] for part in words.split("{") if "}" in part and '"' not in part.split("}")[0]}


def needs(place: str) -> Assurance:
    return Assurance.of((CLASSIFIED.get(place) or CLASSIFIED[place.removesuffix("_spoken")])["needs"])


async def tried(name: str, variant: dict[str, Any], channel: str, level: str, source: str, kind: type[Said] = Said) -> None:
    """Say this variant to somebody of whom we are ``level`` sure, with values of the visit ``source``, and look at all that comes out."""
    withheld = set() if source == HERE else {place for place in places(variant) if needs(place) > Assurance.of(level)}
    responses = {name: [variant], "utter_withheld": DOMAIN.responses["utter_withheld"]}
    out = way_out(Standings(level), responses, kind)
    said = await out.generate(name, known(source), channel, **given(source))
    assert said is not None
    words = json.dumps(said)
    for place in withheld:
        assert mark(place) not in words, f"{place} was told"
    for place in places(variant):
        assert f"{{{place}}}" not in words, "a place was left open"
    assert said["text"].strip()
    if not withheld:
        for place in places(variant):
            assert mark(place) in words, f"{place} was not told"


@pytest.mark.parametrize(("name", "variant", "channel"), VARIANTS)
async def test_every_response_tells_what_may_be_told_and_nothing_else(
    name: str, variant: dict[str, Any], channel: str, turn: TurnContext
) -> None:
    for level in LEVELS:
        for source in (HERE, ELSEWHERE, UNKNOWN):
            turn.standing = None
            await tried(name, variant, channel, level, source)


class GateLeftOpen(Said):
    async def _hidden(self, names: set[str], told: Told) -> set[str]:
        return set()


class OnlySlotsGated(Said):
    async def _hidden(self, names: set[str], told: Told) -> set[str]:
        return {name for name in await super()._hidden(names, told) if name in told.slots}


@pytest.mark.parametrize("mutation", [GateLeftOpen, OnlySlotsGated])
async def test_this_test_would_see_a_gate_that_does_not_shut(mutation: type[Said], turn: TurnContext) -> None:
    seen = 0
    for name, variant, channel in (param.values for param in VARIANTS):
        turn.standing = None
        try:
            await tried(str(name), variant, str(channel), "claimed", ELSEWHERE, mutation)  # type: ignore[arg-type]
        except AssertionError:
            seen += 1
    assert seen >= 10


async def test_there_is_something_to_withhold_on_both_channels() -> None:
    for channel in (WEB_CHAT, PHONE):
        sensitive = {
            param.values[0]
            for param in VARIANTS
            if param.values[2] == channel and any(needs(place) > Assurance.ANONYMOUS for place in places(param.values[1]))  # type: ignore[arg-type]
        }
        assert {"utter_known", "utter_resume_known", "utter_visit_known", "utter_ask_problem"} <= sensitive


EVERYWHERE = {
    "utter_rich": [
        {
            "text": "Hello",
            "image": "https://x.example/{postcode}.png",
            "buttons": [{"title": "{customer_name}", "payload": "yes"}],
            "quick_replies": [{"title": "a", "payload": "tel:{reference}"}],
            "attachment": {"payload": {"src": "{brand}"}},
            "elements": [{"title": "{since}"}],
            "custom": {"deep": [{"deeper": {"x": "{problem}"}}]},
        }
    ],
    "utter_withheld": [{"text": "Who are you?"}],
}


@pytest.mark.parametrize("place", ["postcode", "customer_name", "reference", "brand", "since", "problem"])
async def test_buttons_images_and_payloads_are_gated_too(place: str) -> None:
    (variant,) = EVERYWHERE["utter_rich"]
    part = {"text": "Hello"} | {key: value for key, value in variant.items() if f"{{{place}}}" in json.dumps(value)}
    assert len(part) == 2
    responses = {**EVERYWHERE, "utter_rich": [part]}
    told = await way_out(Standings("possessed"), responses).generate(
        "utter_rich", known(ELSEWHERE), WEB_CHAT, **given(ELSEWHERE)
    )
    assert mark(place) in json.dumps(told)
    current.get().standing = None  # type: ignore[union-attr]
    said = await way_out(Standings(), responses).generate("utter_rich", known(ELSEWHERE), WEB_CHAT, **given(ELSEWHERE))
    assert said == {"text": "Who are you?", "withheld": [place]}


async def test_a_wording_that_needs_nothing_withheld_is_said_first() -> None:
    responses = {
        "utter_x": [{"text": "For {customer_name}"}, {"text": "For the {appliance}"}, {"text": "For you"}],
        "utter_withheld": [{"text": "Who are you?"}],
    }
    texts = {
        (await way_out(Standings(), responses).generate("utter_x", known(ELSEWHERE), WEB_CHAT))["text"]  # type: ignore[index]
        for _ in range(20)
    }
    assert texts == {"For you"}
    del responses["utter_x"][2]
    said = await way_out(Standings(), responses).generate("utter_x", known(ELSEWHERE), WEB_CHAT)
    assert said == {"text": "For the appliance"}, "privacy.yml says what to say instead"


async def test_among_wordings_that_may_be_said_chance_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    responses = {"utter_x": [{"text": "one"}, {"text": "two"}, {"text": "three", "channel": PHONE}]}
    out = way_out(Standings(), responses)
    monkeypatch.setattr(random, "choice", lambda options: options[-1])
    assert (await out.generate("utter_x", tracker(), WEB_CHAT))["text"] == "two"  # type: ignore[index]
    assert (await out.generate("utter_x", tracker(), PHONE))["text"] == "three", "the channel's own"  # type: ignore[index]


async def test_a_condition_on_what_may_not_be_told_is_not_met() -> None:
    condition = [{"type": "slot", "name": "urgent", "value": True}]
    responses = {"utter_x": [{"text": "Quickly!", "condition": condition}, {"text": "Well."}]}
    out = way_out(Standings(), responses)
    stored = {"event_id": "e_1", "session_id": ELSEWHERE}
    assert (await out.generate("utter_x", tracker(SlotSet("urgent", True, metadata=stored)), WEB_CHAT))["text"] == "Well."  # type: ignore[index]
    here = {"event_id": "e_1", "session_id": HERE}
    assert (await out.generate("utter_x", tracker(SlotSet("urgent", True, metadata=here)), WEB_CHAT))["text"] == "Quickly!"  # type: ignore[index]
    assert (await out.generate("utter_x", tracker(), WEB_CHAT))["text"] == "Well."  # type: ignore[index]


async def test_a_response_is_never_said_with_a_hole() -> None:
    responses = {"utter_x": [{"text": "Your day: {day}"}], "utter_apology": [{"text": "Sorry."}]}
    out = way_out(Standings("authenticated"), responses)
    with capture_logs() as logs:
        assert await out.generate("utter_x", tracker(), WEB_CHAT, day=None) == {"text": "Sorry."}
    assert logs[-1]["event"] == "said.no_value"
    assert await out.generate("utter_nowhere", tracker(), WEB_CHAT) is None
    ask = way_out(Standings(), {"utter_ask_problem": DOMAIN.responses["utter_ask_problem"]})
    said = await ask.generate("utter_ask_problem", tracker(), WEB_CHAT)
    assert said is not None
    assert said["text"] == "What's wrong with the appliance?"


async def test_a_value_is_never_read_as_a_template() -> None:
    out = way_out(Standings(), {"utter_x": [{"text": "{customer_name} {postcode}"}]})
    tricky = tracker(SlotSet("customer_name", "{postcode}"), SlotSet("postcode", "{0[customer_name]}"))
    assert (await out.generate("utter_x", tricky, WEB_CHAT))["text"] == "{postcode} {0[customer_name]}"  # type: ignore[index]


async def test_how_sure_we_are_is_read_once_a_turn_and_only_where_it_matters() -> None:
    record = Standings("possessed")
    out = way_out(record, DOMAIN.responses)
    await out.generate("utter_known", known(HERE), WEB_CHAT, known="all", told_in=HERE)
    await out.generate("utter_hours", known(ELSEWHERE), WEB_CHAT, hours="9 to 5", now="Open.")
    assert record.reads == 0
    for _ in range(3):
        assert (await out.generate("utter_known", known(ELSEWHERE), WEB_CHAT, known="all"))[
            "text"
        ] == "This is what I have: all."  # type: ignore[index]
    assert record.reads == 1


async def test_visits_in_the_same_hands_tell_each_other() -> None:
    out = way_out(Standings("anonymous", ELSEWHERE), DOMAIN.responses)
    said = await out.generate("utter_visit_known", tracker(), WEB_CHAT, **given(ELSEWHERE))
    assert said is not None
    assert mark("reference") in said["text"]


async def test_outside_a_turn_only_what_was_told_outside_a_turn_is_said() -> None:
    current.set(None)
    out = way_out(Standings("authenticated"), DOMAIN.responses)
    own = tracker(SlotSet("appliance", "oven"))
    assert (await out.generate("utter_ask_problem", own, WEB_CHAT))["text"] == "What's wrong with the oven?"  # type: ignore[index]
    shell = tracker(SlotSet("appliance", "oven", metadata={"event_id": "e_1", "session_id": None}))
    assert (await out.generate("utter_ask_problem", shell, WEB_CHAT))["text"] == "What's wrong with the oven?"  # type: ignore[index]
    theirs = known(ELSEWHERE)
    assert "withheld" in (await out.generate("utter_known", theirs, WEB_CHAT, known="all"))  # type: ignore[operator]


# Where a value is from


def slot(value: Any, **metadata: Any) -> SlotSet:
    return SlotSet("postcode", value, metadata=metadata)


def test_what_the_turn_at_hand_brought_is_of_its_visit() -> None:
    assert source_of(tracker(slot("97201")), "postcode") == HERE
    assert source_of(tracker(slot("97201", event_id="e", session_id=ELSEWHERE), slot("97202")), "postcode") == HERE


def test_what_was_put_back_stays_where_it_was_told() -> None:
    first = slot("97201", event_id="e_1", session_id=ELSEWHERE)
    assert source_of(tracker(first, slot("97999"), slot("97201", told_in=ELSEWHERE)), "postcode") == ELSEWHERE
    stored = slot("97201", event_id="e_3", session_id=HERE, told_in=ELSEWHERE)
    assert source_of(tracker(first, stored), "postcode") == ELSEWHERE


def test_what_no_event_tells_is_of_nobodys_visit() -> None:
    assert source_of(tracker(), "postcode") == UNKNOWN
    assert source_of(tracker(slot("97201", event_id="window:slot:postcode")), "postcode") == UNKNOWN, (
        "a header of an older release"
    )
    changed = tracker(slot("97201", event_id="e", session_id=HERE))
    changed.slots["postcode"].value = "97202"
    assert source_of(changed, "postcode") == UNKNOWN


# Rasa's side


class Channel:
    def name(self) -> str:
        return WEB_CHAT


async def test_what_an_action_says_in_words_of_its_own_is_refused() -> None:
    out = way_out(Standings("authenticated"), DOMAIN.responses)
    own = [
        {"text": "secret"},
        {"response": None, "custom": {"a": "secret"}},
        {"image": "https://x.example/secret"},
        {"attachment": "secret"},
        {"buttons": [{"title": "secret", "payload": "x"}]},
        {"elements": [{"title": "secret"}]},
        {"response": "utter_greet", "text": "secret"},
        {"response": "utter_greet", "buttons": [{"title": "secret", "payload": "x"}]},
    ]
    with capture_logs() as logs:
        said = await RemoteAction._utter_responses(own, Channel(), out, tracker())
    assert said == []
    assert [entry["event"] for entry in logs] == ["said.own_words_refused"] * len(own)
    assert "secret" not in json.dumps(logs)


async def test_an_action_says_responses_and_the_values_stay_out_of_the_events_metadata() -> None:
    out = way_out(Standings(), DOMAIN.responses)
    empty = {"text": None, "buttons": [], "elements": [], "custom": {}, "image": None, "attachment": None}
    asked = {**empty, "response": "utter_visit_known", "template": "utter_visit_known", **given(ELSEWHERE)}
    (event,) = await RemoteAction._utter_responses([asked], Channel(), out, tracker())
    assert event.text == DOMAIN.responses["utter_withheld"][0]["text"]
    assert event.metadata == {"utter_action": "utter_visit_known", "withheld": ["day", "end", "reference", "start"]}
    asked = {**empty, "response": "utter_offer_phone", **given(HERE)}
    (event,) = await RemoteAction._utter_responses([asked], Channel(), out, tracker())
    assert mark("code") in event.text
    assert event.data["buttons"] == [{"title": "Call now with this code", "payload": mark("call_link")}]
    assert event.metadata == {"utter_action": "utter_offer_phone"}


def test_rasa_builds_it_and_gives_it_the_models_responses() -> None:
    from rasa.core.agent import Agent

    endpoint = EndpointConfig(type=YAML(typ="safe").load(Path("endpoints.yml"))["nlg"]["type"])
    made = NaturalLanguageGenerator.create(endpoint, None)
    assert isinstance(made, Said)
    agent = Agent(domain=DOMAIN, generator=made)
    app: Any = SimpleNamespace(settings=Settings())
    assert check_said(agent, app) == []


def test_a_server_that_speaks_past_the_gate_does_not_start() -> None:
    from rasa.core.agent import Agent

    app: Any = SimpleNamespace(settings=Settings())
    (problem,) = check_said(Agent(domain=DOMAIN), app)
    assert problem.where == "endpoints.yml nlg"
    assert "channels.said.Said" in problem.mend
