"""Answers what a visit costs, and what most repairs of the appliance in question come to."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, Situation, answered, both, situation
from throughline.domain import speakable
from throughline.domain.words import Said


class AnswerPrices(Action):
    """``ask_prices``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_answer_prices"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Say the prices. An appliance that was named is kept, where we knew none yet."""
        where = situation(tracker)
        prices = where.business.prices
        product = where.facts.get("product") if where.in_form and "product" in where.journey.needs else None
        if product in prices.installed:
            span = prices.installed[product]
            ends = both(low=_money(where, span.low), high=_money(where, span.high))
            dispatcher.utter_message(response="utter_prices_installed", **ends)
            return answered(where)
        named = next(iter(tracker.get_latest_entity_values("appliance")), None)
        asked = named if named in prices.usual else None
        known = where.facts.get("appliance")
        appliance = asked or (known if known in prices.usual else None)
        values = both(callout=_money(where, prices.callout), hourly=_money(where, prices.hourly))
        values["included_minutes"] = str(prices.included_minutes)
        if appliance:
            usual = prices.usual[appliance]
            ends = both(low=_money(where, usual.low), high=_money(where, usual.high))
            told_in = where.session_id if asked else None
            dispatcher.utter_message(response="utter_prices_appliance", appliance=appliance, told_in=told_in, **values, **ends)
        else:
            dispatcher.utter_message(response="utter_prices", **values)
        learned = [SlotSet("appliance", asked)] if asked and known is None else []
        return [*learned, *answered(where)]


def _money(where: Situation, amount: int) -> Said:
    return speakable.money(amount, where.words, where.business.company)
