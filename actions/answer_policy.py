"""Answers from what the company has written in data/knowledge: short for the ear, with its source for the eye; and admits what it doesn't
say."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, answered, both, situation
from throughline.domain.words import Said


class AnswerPolicy(Action):
    """``ask_policy``, and a yes to "is it about ...?"."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_answer_policy"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Say what the topic's page says."""
        where = situation(tracker)
        asked_about = tracker.get_slot("ui_topic")
        topic = (
            where.app.knowledge.get(str(asked_about)) if asked_about else where.topic(where.business.dialogue.topic_confidence)
        )
        if topic is None:
            dispatcher.utter_message(response="utter_policy_unknown")
        else:
            said = Said(topic.answer, topic.spoken)
            dispatcher.utter_message(response="utter_policy", source=topic.title, topic=topic.heading, **both(answer=said))
        return [*([SlotSet("ui_topic", None)] if asked_about else []), *answered(where)]
