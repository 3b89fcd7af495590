"""The small words that sentences are put together with, in the company's language. Poured from data/business/words.yml."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _doc(text: str, **bounds: Any) -> Any:
    return field(metadata={"doc": text, **bounds})


@dataclass(frozen=True)
class Said:
    """A phrase with ``{value}`` in it: as it is written, and as it is spoken."""

    shown: str = _doc("As written in chat.")
    spoken: str = _doc("As spoken on the phone.")


@dataclass(frozen=True)
class Words:
    """See data/business/words.yml for examples of each."""

    weekdays: dict[str, str] = _doc("Names of the days.")
    months: tuple[str, ...] = _doc("Names of the twelve months.")
    ordinal_days: tuple[str, ...] = _doc("first to thirty first.")
    today: str = _doc("today")
    tomorrow: str = _doc("tomorrow")
    conjunction: str = _doc("What joins the last two of a list: and.")
    alternative: str = _doc("What joins the last two of a choice: or.")
    am: str = _doc("After an hour before noon.")
    pm: str = _doc("After an hour from noon on.")
    dollars: str = _doc("The currency, spoken after an amount.")
    unknown: str = _doc("A fact the customer can't tell.")
    open_now: Said = _doc("That the office is open.")
    open_later: Said = _doc("That it is closed; {value} is when it opens.")
    day_at: str = _doc("{day} at {time}")
    hours: Said = _doc("Office hours of one day or a row of days: {days}, {opens}, {closes}.")
    day_range: str = _doc("A row of days: {first}, {last}.")
    window: Said = _doc("An arrival window: {start}, {end}.")
    comma_name: str = _doc("A name inside a greeting: {name}.")
    price_names: tuple[str, ...] = _doc("Names of the two prices on the page: visit and hour.")
    parts_of_day: dict[str, tuple[str, ...]] = _doc("For each part of the day its begin and end.")
    facts: dict[str, Said] = _doc("How each fact is read back.")
