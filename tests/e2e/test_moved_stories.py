"""Conversations that are moved to the other channel in the middle: every story once each way, at a turn that its name chooses.

``python -m benchmarks.moves`` moves every story at every turn.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from channels.turns import CALLED
from tests.e2e.held import OTHER, Held, Moved, Standing
from tests.e2e.moving import BY_OUR_CALL, Stage
from tests.e2e.story_words import StoryWords, answers, stories
from tests.e2e.talk import Assistant
from throughline.domain.turns import PHONE, WEB_CHAT

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def assistant(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Assistant]:
    """One assistant for all conversations."""
    running = Assistant(tmp_path_factory.mktemp("moving"))
    await running.start()
    yield running
    await running.stop()


def one_place(story: StoryWords) -> Callable[[Sequence[int]], Sequence[int]]:
    """One of the places at which a story can be moved, always the same."""
    return lambda places: [places[zlib.crc32(story.name.encode()) % len(places)]]


async def test_every_story_goes_on_where_it_was_moved(assistant: Assistant) -> None:
    stage, moves, faults = Stage(assistant), Counter[str](), []
    told = stories(stage.domain)
    for story in told:
        tried = await stage.try_moves(story, one_place(story))
        moves.update(moved.channel for moved, _ in tried.moved)
        faults += tried.faults
        if CALLED in story.opening:
            assert [reason for _, reason in tried.not_moved] == [BY_OUR_CALL]
        else:
            assert len(tried.moved) + len(tried.not_moved) == len(OTHER), story.name
    assert not faults, "\n" + "\n".join(map(str, faults))
    movable = sum(CALLED not in story.opening for story in told)
    assert min(moves[WEB_CHAT], moves[PHONE]) > 0.9 * movable, f"of {movable} stories {dict(moves)} were moved"


async def test_the_answers_behind_a_storys_own_words_lead_to_a_booked_visit(assistant: Assistant) -> None:
    stage = Stage(assistant, answers(assistant.agent.domain))
    tried = await stage.try_moves(StoryWords("a fault", ("my dryer won't turn on",)))
    assert not tried.faults, "\n" + "\n".join(map(str, tried.faults))
    for moved, _ in tried.moved:
        assert moved.ending is not None
        assert moved.ending.outcomes == {"visit_booked": 1}
        assert sum(moved.ending.visits.values()) == sum(moved.ending.cases.values()) == 1


async def test_a_question_of_ours_is_put_again_on_the_other_channel(assistant: Assistant) -> None:
    story = StoryWords("a guess", ("yes",), opening={"ui_guess": "ask_hours"})
    tried = await Stage(assistant).try_moves(story)
    assert not tried.faults, "\n" + "\n".join(map(str, tried.faults))
    at_once = [moved for moved, _ in tried.moved if moved.after == 0]
    assert [(moved.greeting.said[-1], moved.standings[1].said) for moved in at_once] == [
        ("utter_guess_ask_hours", ("utter_hours",))
    ] * 2


class AnHourAgo(Stage):
    """Holds each channel's first conversation as if it had been held when another visit was free."""

    def __init__(self, assistant: Assistant) -> None:
        super().__init__(assistant, answers(assistant.agent.domain))
        self._held: set[str] = set()

    async def hold(self, story: StoryWords, channel: str) -> Held:
        """As a Stage does."""
        held = await super().hold(story, channel)
        if channel not in self._held:
            self._held.add(channel)
            assert held.ending is not None
            held.ending = replace(held.ending, visits=Counter(["an hour earlier"]))
        return held


async def test_when_the_clock_has_gone_on_the_story_is_held_once_more(assistant: Assistant) -> None:
    tried = await AnHourAgo(assistant).try_moves(StoryWords("a fault", ("my dryer won't turn on",)))
    assert (tried.held_again, tried.faults) == (2, [])


# ---- the comparison itself sees what is wrong


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(assistant: Assistant) -> tuple[Stage, Moved, Held]:
    """A booking that was moved to the phone in the middle of it, and the same on the phone alone."""
    stage = Stage(assistant, answers(assistant.agent.domain))
    unmoved = await stage.hold(StoryWords("a fault", ("my dryer won't turn on",)), PHONE)
    return stage, await stage.move(unmoved, WEB_CHAT, 3), unmoved


def _greets(moved: Moved, **other: Any) -> Moved:
    return replace(moved, greeting=replace(moved.greeting, **other))


def _ends(moved: Moved, **other: Any) -> Moved:
    assert moved.ending is not None
    return replace(moved, ending=replace(moved.ending, **other))


def _later(moved: Moved, **other: Any) -> Moved:
    return replace(moved, standings=[*moved.standings[:-1], replace(moved.standings[-1], **other)])


WRONG: dict[str, tuple[str, Callable[[Moved], Moved]]] = {
    "no question is put": ("greeting", lambda moved: _greets(moved, said=moved.greeting.said[:-1])),
    "another question is put": (
        "greeting",
        lambda moved: _greets(moved, said=(*moved.greeting.said[:-1], "utter_ask_problem")),
    ),
    "the form is not open any more": ("greeting", lambda moved: _greets(moved, form=None)),
    "a fact is forgotten": ("greeting", lambda moved: _greets(moved, facts={})),
    "what is known is not said": ("greeting", lambda moved: _greets(moved, words="Hi. Is it urgent?")),
    "a stranger is greeted": ("greeting", lambda moved: _greets(moved, said=(*moved.greeting.said, "utter_call_welcome"))),
    "something else is asked later": ("otherwise", lambda moved: _later(moved, asked="brand", form="another_form")),
    "something else is said later": ("otherwise", lambda moved: _later(moved, said=("utter_what_next",))),
    "something is asked again": ("asked again", lambda moved: replace(moved, asked_again=["brand"])),
    "the visit is booked twice": ("lost or doubled", lambda moved: _ends(moved, visits=Counter({"a visit": 2}))),
    "the case is lost": ("lost or doubled", lambda moved: _ends(moved, cases=Counter())),
    "it stays two": ("not one", lambda moved: replace(moved, broken="the two are still two contacts")),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_wrong_is_found(held: tuple[Stage, Moved, Held], wrong: str) -> None:
    stage, moved, unmoved = held
    assert stage.faults(moved, unmoved) == []
    kind, spoil = WRONG[wrong]
    found = stage.faults(spoil(moved), unmoved)
    assert {fault.kind for fault in found} == {kind}
    assert "'a fault', moved from web_chat to phone after message 3" in str(found[0])


async def test_an_apology_is_found(held: tuple[Stage, Moved, Held], assistant: Assistant) -> None:
    stage, moved, unmoved = held
    apology = assistant.agent.domain.responses["utter_apology"][0]["text"]
    spoilt = replace(moved, asking=replace(moved.asking, words=apology))
    assert [fault.kind for fault in stage.faults(spoilt, unmoved)] == ["apologised"]


async def test_a_question_whose_answer_is_known_is_found_wherever_it_is_put(held: tuple[Stage, Moved, Held]) -> None:
    stage, moved, _ = held
    assert moved.greeting.facts["appliance"] == "dryer"
    asked = replace(moved.greeting, said=("utter_ask_appliance",))
    assert stage.known_and_asked([asked, Standing()]) == ["appliance"]
