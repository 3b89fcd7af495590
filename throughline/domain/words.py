"""The small words that sentences are put together with, in the company's language. Poured from data/business/words.yml."""

from __future__ import annotations

from dataclasses import dataclass, field

from throughline.domain.documented import doc


@dataclass(frozen=True)
class Said:
    """A phrase with ``{value}`` in it: as it is written, and as it is spoken."""

    shown: str = field(metadata=doc("As written in chat."))
    spoken: str = field(metadata=doc("As spoken on the phone."))


@dataclass(frozen=True)
class Words:
    """See data/business/words.yml for examples of each."""

    weekdays: dict[str, str] = field(metadata=doc("Names of the days."))
    months: tuple[str, ...] = field(metadata=doc("Names of the twelve months."))
    ordinal_days: tuple[str, ...] = field(metadata=doc("first to thirty first."))
    today: Said = field(metadata=doc("How today is said; {value} is the day."))
    tomorrow: Said = field(metadata=doc("How tomorrow is said; {value} is the day."))
    conjunction: str = field(metadata=doc("What joins the last two of a list: and."))
    alternative: str = field(metadata=doc("What joins the last two of a choice: or."))
    am: str = field(metadata=doc("After an hour before noon."))
    pm: str = field(metadata=doc("After an hour from noon on."))
    dollars: str = field(metadata=doc("The currency, spoken after an amount."))
    unknown: str = field(metadata=doc("A fact the customer can't tell."))
    open_now: Said = field(metadata=doc("That the office is open."))
    open_later: Said = field(metadata=doc("That it is closed; {value} is when it opens."))
    day_at: str = field(metadata=doc("{day} at {time}"))
    hours: Said = field(metadata=doc("Office hours of one day or a row of days: {days}, {opens}, {closes}."))
    hours_of_day: Said = field(metadata=doc("Office hours of one day: {opens}, {closes}."))
    holiday: Said = field(metadata=doc("A day of the year that has a name: {holiday}, {day}."))
    day_range: str = field(metadata=doc("A row of days: {first}, {last}."))
    window: Said = field(metadata=doc("An arrival window: {start}, {end}."))
    one_payment: Said = field(metadata=doc("All of a bill at once."))
    payments: Said = field(metadata=doc("A bill in parts: {parts}."))
    visit_named: Said = field(metadata=doc("A visit among several: {day}, {appliance}."))
    comma_name: str = field(metadata=doc("A name inside a greeting: {name}."))
    number_end: str = field(metadata=doc("A telephone number, by its last digits: {digits}."))
    price_names: tuple[str, ...] = field(metadata=doc("Names of the two prices on the page: visit and hour."))
    parts_of_day: dict[str, tuple[str, ...]] = field(metadata=doc("For each part of the day its begin and end."))
    numbers: dict[str, int] = field(metadata=doc("Words that count: twice, half."))
    facts: dict[str, Said] = field(metadata=doc("How each fact is read back."))
