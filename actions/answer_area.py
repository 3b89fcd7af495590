"""Answers where we work, and whether we come to a ZIP code."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.guesses import last_said
from actions.situation import Event, answered, both, situation
from throughline.domain import said_digits, speakable
from throughline.domain.answers import Said


def asks_area(tracker: Tracker, said: Said) -> bool:
    """Whether a bare ZIP code asks whether we come there: we have just said where we work."""
    kinds = {item["entity"] for item in said.entities}
    return "postcode" in kinds and kinds <= {"postcode", "number"} and last_said(tracker) == "utter_area"


class AnswerArea(Action):
    """``ask_area``, and the ZIP code that follows it."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_answer_area"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Say yes or no to the ZIP code that was named, else the whole area."""
        where = situation(tracker)
        names = speakable.named([one.name for one in where.business.territories], where.words.conjunction)
        named = next(iter(tracker.get_latest_entity_values("postcode")), None)
        if named is None:
            dispatcher.utter_message(response="utter_area", territories=names)
            return answered(where)
        postcode = both(postcode=said_digits.digits(str(named)))
        territory = where.business.territory_of(str(named))
        if territory:
            dispatcher.utter_message(response="utter_area_yes", territory=territory.name, told_in=where.session_id, **postcode)
        else:
            dispatcher.utter_message(response="utter_area_no", territories=names, told_in=where.session_id, **postcode)
        return answered(where)
