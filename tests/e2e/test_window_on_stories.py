"""The live window on the project's own conversations: the trained policies decide over a window as over the whole history.

The conversation tests and the stories, laid end to end, are customers who come back again and again. Wherever Rasa decides, it is
asked twice: with the whole tracker, and with one rebuilt from a window. No sentence is parsed and no action is run, so this stays
quick; what the windows of a running server keep is in tests/unit/record/test_record_window.py.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rasa.core.agent import Agent, load_agent
from rasa.core.policies.policy import PolicyPrediction
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, ActiveLoop, BotUttered, Event, LoopInterrupted, SlotSet, UserUttered
from rasa.shared.core.generator import TrainingDataGenerator
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.core.training_data.story_reader.yaml_story_reader import YAMLStoryReader
from rasa.shared.core.training_data.structures import StoryGraph

from throughline import log
from throughline.cli.model import model_path
from throughline.record.entries import Checkpoint
from throughline.record.window import header_events, next_checkpoint

pytestmark = pytest.mark.e2e

WINDOW = 5  # user turns: as many as the policies look at (config.yml, max_history), so no window may be shorter
VISITS = 20  # conversations of one customer: many of them are one message long
APART = 3  # every third conversation is the first one of some customer, so that each has enough turns before and after it

_LISTEN = "action_listen"

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / "tests/conversations").glob("*.yml")), *sorted((ROOT / "data/stories").glob("*.yml"))]


@dataclass
class History:
    """One customer's events, each with a place as its id, and what was decided with all events before that place."""

    events: list[Event]
    decided: dict[int, PolicyPrediction]


@dataclass
class Windowed:
    """A tracker rebuilt from a window. ``cut`` is the place of its first event that is not of the header."""

    tracker: DialogueStateTracker
    cut: int


class Deciding:
    """The trained policies, and trackers of their domain."""

    def __init__(self, agent: Agent) -> None:
        assert agent.processor is not None, f"{model_path()} is missing: `throughline train` makes it"
        self._processor = agent.processor
        self.domain: Domain = agent.processor.domain

    def next_step(self, tracker: DialogueStateTracker) -> PolicyPrediction:
        """What the policy ensemble decides."""
        prediction: PolicyPrediction = self._processor._predict_next_with_tracker(tracker)
        return prediction

    def tracker(self, header: Mapping[str, Any] | None, events: Sequence[Event]) -> DialogueStateTracker:
        """A tracker as the record's tracker store rebuilds it."""
        before = [Event.from_parameters(data) for data in header_events(header)]
        return DialogueStateTracker.from_events("customer", [*before, *events], self.domain.slots)

    def history(self, conversations: Iterable[Sequence[Event]]) -> History:
        """Live through the conversations with a tracker that keeps everything."""
        history = History([], {})
        tracker = self.tracker(None, [])
        for conversation in conversations:
            for event in [*self._left_behind(tracker), *conversation]:
                if isinstance(event, ActionExecuted) and _is_due(tracker):
                    decided = history.decided[len(history.events)] = self.next_step(tracker)
                    _append(
                        history, tracker, [LoopInterrupted(each.is_interrupted) for each in decided.events if _interrupts(each)]
                    )
                _append(history, tracker, [event])
                if isinstance(event, UserUttered):
                    _append(history, tracker, self._told(event))
                if isinstance(event, ActionExecuted) and event.action_name != _LISTEN:
                    _append(history, tracker, [BotUttered(event.action_name)])  # stories leave out what is said
        return history

    def checkpoint(self, tracker: DialogueStateTracker) -> Checkpoint | None:
        """Where the window of ``tracker`` may begin, by the record's rules."""
        return next_checkpoint(tracker, window_user_turns=WINDOW, event_id_of=_id_of, rebuild=self.tracker)

    def windowed(self, checkpoint: Checkpoint, events: Sequence[Event]) -> Windowed:
        """The tracker that the record would make of this checkpoint."""
        cut = int(checkpoint.event_id)
        return Windowed(self.tracker(checkpoint.header, events[cut:]), cut)

    def _left_behind(self, tracker: DialogueStateTracker) -> list[Event]:
        """A form that was open when the customer left has ended before they are back."""
        return [ActiveLoop(None), SlotSet("requested_slot", None)] if tracker.active_loop_name else []

    def _told(self, message: UserUttered) -> list[Event]:
        """The facts of a message, as extracting and validating them gives."""
        told = {}
        for slot in self.domain.slots:
            for entity in message.entities:
                if any(mapping.get("entity") == entity["entity"] for mapping in slot.mappings):
                    told[slot.name] = entity["value"]
        return [SlotSet(name, value) for name, value in told.items()]


def _is_due(tracker: DialogueStateTracker) -> bool:
    """Whether something is to be decided: it is from the customer's message on, until we listen again."""
    for event in reversed(tracker.events):
        if isinstance(event, UserUttered) or (isinstance(event, ActionExecuted) and event.action_name == _LISTEN):
            return isinstance(event, UserUttered)
    return False


def _state(tracker: DialogueStateTracker) -> tuple[object, ...]:
    """The slots and the form. Which message began the form is not kept: only ``from_trigger_intent`` mappings would ask for it."""
    form = tracker.active_loop
    return tracker.current_slot_values(), form and (form.name, form.rejected, form.is_interrupted)


def _interrupts(event: Event) -> bool:
    return isinstance(event, LoopInterrupted)


def _append(history: History, tracker: DialogueStateTracker, events: Iterable[Event]) -> None:
    for event in map(copy.copy, events):
        event.metadata = {**event.metadata, "event_id": str(len(history.events))}
        history.events.append(event)
        tracker.update(event)


def _id_of(event: Event) -> str:
    return str(event.metadata["event_id"])


def _conversations(domain: Domain) -> Iterator[list[Event]]:
    for file in FILES:
        graph = StoryGraph(YAMLStoryReader(domain).read_from_file(file))
        generator = TrainingDataGenerator(
            graph, domain, remove_duplicates=False, augmentation_factor=0, use_story_concatenation=False
        )
        for tracker in generator.generate_story_trackers():
            yield list(tracker.events)


@pytest.fixture(scope="module")
def deciding() -> Deciding:
    """The trained model, loaded once."""
    log.configure()  # Rasa tells every state at debug level
    return Deciding(asyncio.run(load_agent(str(model_path()))))


@pytest.fixture(scope="module")
def histories(deciding: Deciding) -> list[History]:
    """All conversations, each in one customer's history."""
    all_of_them = list(_conversations(deciding.domain))
    assert len(all_of_them) > VISITS
    ring = all_of_them + all_of_them[:VISITS]
    return [deciding.history(ring[start : start + VISITS]) for start in range(0, len(all_of_them), APART)]


def _assert_same(deciding: Deciding, history: History, place: int, windowed: Windowed) -> None:
    whole, over_window = history.decided[place], deciding.next_step(windowed.tracker)
    where = f"event {place}, window from {windowed.cut}"
    assert over_window.probabilities == whole.probabilities, f"{where}: another action"
    assert (over_window.policy_name, over_window.events) == (whole.policy_name, whole.events), where


def test_every_legal_cut_keeps_what_is_decided_next(deciding: Deciding, histories: list[History]) -> None:
    """After each message the latest legal cut of the whole history is taken, so that each becomes the latest one once."""
    cuts = compared = 0
    for history in histories:
        whole, windowed, taken = deciding.tracker(None, []), None, set()
        for place, event in enumerate(history.events):
            if windowed is not None and place in history.decided:
                _assert_same(deciding, history, place, windowed)
                compared += 1
            whole.update(event)
            if windowed is not None:
                windowed.tracker.update(event)
            if isinstance(event, UserUttered) and (checkpoint := deciding.checkpoint(whole)):
                windowed = deciding.windowed(checkpoint, history.events[: place + 1])
                taken.add(windowed.cut)
                assert _state(windowed.tracker) == _state(whole)
        cuts += len(taken)
    assert cuts > 200
    assert compared > 500


def test_windows_upon_windows_lead_to_the_same_decisions(deciding: Deciding, histories: list[History]) -> None:
    """As a server lives: each window is cut from the one before, over many visits, and the whole history is never looked at."""
    for history in histories:
        cuts = 0
        windowed = Windowed(deciding.tracker(None, []), 0)
        for place, event in enumerate(history.events):
            if place in history.decided:
                _assert_same(deciding, history, place, windowed)
            windowed.tracker.update(event)
            at_rest = isinstance(event, ActionExecuted) and event.action_name == _LISTEN
            if at_rest and (checkpoint := deciding.checkpoint(windowed.tracker)):
                windowed = deciding.windowed(checkpoint, history.events[: place + 1])
                cuts += 1
        whole = deciding.tracker(None, history.events)
        assert _state(windowed.tracker) == _state(whole)
        assert len(windowed.tracker.events) < len(whole.events)
        assert cuts >= 5, "windows upon windows"
