"""The company as plain data: when it works, where, on what, who, and for how much.

Poured from data/business/*.yml by settings/business.py and read by scheduling, actions and pages. Local times are "HH:MM" in the company's
own time zone; money is whole units of its currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from throughline.domain.documented import doc
from throughline.domain.holidays import in_year
from throughline.domain.journeys import Journeys
from throughline.domain.key_words import KeyWords
from throughline.domain.lexicon import Lexicon
from throughline.domain.listening import ListeningWords
from throughline.domain.privacy import Privacy
from throughline.domain.retention import Retention
from throughline.domain.words import Words

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def local_time(text: str) -> time:
    """``HH:MM`` as a time. Raises ValueError for anything else."""
    return time.fromisoformat(text if len(text) == 5 else "?")


@dataclass(frozen=True)
class Company:
    """Who we are."""

    name: str = field(metadata=doc("The company's name."))
    tagline: str = field(metadata=doc("One line for the page."))
    phone: str = field(metadata=doc('The company\'s number in E.164, quoted: "+15035550142".'))
    phone_shown: str = field(metadata=doc("The same number as people write it."))
    timezone: str = field(metadata=doc("An IANA time zone, like America/Los_Angeles."))
    currency_sign: str = field(metadata=doc("The sign before an amount."))


@dataclass(frozen=True)
class OpenDays:
    """The same hours on some days of the week."""

    days: tuple[str, ...] = field(metadata=doc("Days of the week.", choices=WEEKDAYS))
    opens: str = field(metadata=doc('When it begins, quoted: "08:00".'))
    closes: str = field(metadata=doc('When it ends, quoted: "18:00".'))


@dataclass(frozen=True)
class Hours:
    """When the office answers and when technicians come. ``closed`` and the values of ``holidays`` are days of every year, as
    `holidays` reads them."""

    office: tuple[OpenDays, ...] = field(metadata=doc("Office hours."))
    visits: tuple[OpenDays, ...] = field(metadata=doc("Hours of visits."))
    visit_window_minutes: int = field(
        metadata=doc("How long the window is in which a visit takes place.", minimum=15, maximum=600)
    )
    free_changes_until: str = field(
        metadata=doc('Until when on the day before a visit may be changed for free, quoted: "18:00".')
    )
    closed: tuple[str, ...] = field(
        metadata=doc('Days of the year on which nobody works: "12-25", quoted, or a name that stands under `holidays`.')
    )
    holidays: dict[str, str] = field(
        default_factory=dict,
        metadata=doc('Days of the year by the names customers use: "12-25" or "4th thursday of november", quoted.'),
    )

    def is_closed_on(self, day: date) -> bool:
        """Whether nobody works on ``day``, whatever its weekday."""
        return any(in_year(self.holidays.get(text, text), day.year) == day for text in self.closed)


@dataclass(frozen=True)
class PriceRange:
    """What most repairs of one appliance come to."""

    low: int = field(metadata=doc("The lower end.", minimum=0))
    high: int = field(metadata=doc("The upper end.", minimum=0))


@dataclass(frozen=True)
class Prices:
    """What a visit costs."""

    callout: int = field(metadata=doc("Price of a visit.", minimum=0))
    included_minutes: int = field(metadata=doc("Minutes of work the visit's price includes.", minimum=0))
    hourly: int = field(metadata=doc("Price of an hour after that.", minimum=0))
    usual: dict[str, PriceRange] = field(metadata=doc("For each appliance what most repairs come to."))
    late_change: int = field(metadata=doc("What cancelling or moving a visit costs once it is late for that.", minimum=0))
    installed: dict[str, PriceRange] = field(
        metadata=doc("What we install: for each what most come to in all, the thing and the work.")
    )


@dataclass(frozen=True)
class Payment:
    """What customers may arrange without asking a person."""

    latest_days: int = field(metadata=doc("The first payment is made within this many days.", minimum=1, maximum=365))
    most_parts: int = field(metadata=doc("Into how many monthly payments a bill may be split.", minimum=1, maximum=36))


@dataclass(frozen=True)
class Territory:
    """A part of the country we serve."""

    name: str = field(metadata=doc("The name customers know."))
    state: str = field(metadata=doc("Two letters."))
    prefixes: tuple[str, ...] = field(metadata=doc('First digits of ZIP codes, quoted: ["972"].'))
    zips: tuple[str, ...] = field(metadata=doc('Single ZIP codes, quoted: ["97058"].'))

    def covers(self, postcode: str) -> bool:
        """Whether the five-digit ``postcode`` lies in it."""
        return postcode in self.zips or postcode.startswith(self.prefixes)


@dataclass(frozen=True)
class Way:
    """How long it takes from one territory to another, and back."""

    between: tuple[str, ...] = field(metadata=doc("The names of the two territories."))
    minutes: int = field(metadata=doc("How long it takes.", minimum=0, maximum=1440))


@dataclass(frozen=True)
class Travel:
    """How many minutes a technician needs from one visit to the next."""

    within_minutes: int = field(metadata=doc("From one visit to another in the same territory.", minimum=0, maximum=1440))
    other_minutes: int = field(
        metadata=doc("Between two territories that no way names, or where one is not known.", minimum=0, maximum=1440)
    )
    ways: tuple[Way, ...] = field(metadata=doc("From one territory to another: {between: [One, Other], minutes: ..}."))

    def minutes(self, one: str | None, other: str | None) -> int:
        """Between two territories by their names; None is one that is not known."""
        if one is None or other is None:
            return self.other_minutes
        if one == other:
            return self.within_minutes
        return next((way.minutes for way in self.ways if {one, other} == set(way.between)), self.other_minutes)


@dataclass(frozen=True)
class Service:
    """An appliance we repair."""

    appliance: str = field(metadata=doc("Its name, as data/nlu/words.yml maps others to it."))
    skill: str = field(metadata=doc("What a technician must know for it."))
    minutes: int = field(metadata=doc("How long a visit takes.", minimum=15, maximum=600))


@dataclass(frozen=True)
class Technician:
    """Somebody who comes."""

    technician: str = field(metadata=doc("The calendar's own id."))
    name: str = field(metadata=doc("First name."))
    skills: tuple[str, ...] = field(metadata=doc("What they know."))
    territories: tuple[str, ...] = field(metadata=doc("Names of territories."))
    days: tuple[str, ...] = field(metadata=doc("Days of the week they work.", choices=WEEKDAYS))


@dataclass(frozen=True)
class Promise:
    """What is promised where it is urgent, for one skill."""

    within_hours: int = field(metadata=doc("A visit begins within so many hours, day or night.", minimum=1, maximum=720))
    held_windows: int = field(
        metadata=doc("So many visits a day are kept possible for it, in each territory.", minimum=0, maximum=20)
    )


@dataclass(frozen=True)
class Sla:
    """How soon we come where it is urgent, and what is kept free for that."""

    urgent: dict[str, Promise] = field(metadata=doc("For each skill what is promised."))
    held_until_days_before: int = field(
        metadata=doc("From so many days before, what is still held is offered to everybody.", minimum=0, maximum=60)
    )


@dataclass(frozen=True)
class Thresholds:
    """How far ahead, how soon, how many, how patient."""

    days_ahead: int = field(metadata=doc("Visits are offered this many days ahead.", minimum=1, maximum=60))
    lead_minutes: int = field(metadata=doc("A visit begins at least this long from now.", minimum=0, maximum=10080))
    urgent_lead_minutes: int = field(metadata=doc("The same where it is urgent.", minimum=0, maximum=10080))
    call_lead_minutes: int = field(metadata=doc("A call-back is at least this long from now.", minimum=0, maximum=10080))
    days_offered: int = field(metadata=doc("Free days named in one breath.", minimum=1, maximum=5))
    windows_offered: int = field(metadata=doc("Arrival windows named in one breath.", minimum=1, maximum=8))
    misunderstood_before_person: int = field(
        metadata=doc("Messages not understood in a row, then a person.", minimum=2, maximum=6)
    )
    name_words: int = field(metadata=doc("The longest name, in words.", minimum=1, maximum=8))
    answer_chars: int = field(metadata=doc("The longest free answer kept.", minimum=20, maximum=1000))


@dataclass(frozen=True)
class LineWords:
    """What the telephone company's own voice says where the assistant cannot speak."""

    voice: str = field(metadata=doc("The voice, by the telephone company's name for it."))
    language: str = field(metadata=doc("The language these sentences are written in, such as en-US."))
    busy: str = field(metadata=doc("When more people call than the line takes."))
    trouble: str = field(metadata=doc("When the assistant cannot go on."))
    put_through: str = field(metadata=doc("Before a person's telephone rings."))
    nobody: str = field(metadata=doc("When that telephone was not answered."))
    call_back: str = field(metadata=doc("When a call-back has been noted. The last words of the call."))
    leave_message: str = field(metadata=doc("Before a tone, after which the caller leaves a name and a number."))
    message_taken: str = field(metadata=doc("After the caller's message. The last words of the call."))


@dataclass(frozen=True)
class Speed:
    """How fast the voice speaks where a caller asks for it. 1.0 is as usual."""

    step: float = field(metadata=doc('How much "slower" and "faster" change it.', minimum=0.05, maximum=0.5))
    slowest: float = field(metadata=doc("The slowest.", minimum=0.5, maximum=1.0))
    fastest: float = field(metadata=doc("The fastest.", minimum=1.0, maximum=2.0))

    def slower(self, speed: float) -> float:
        """A step below ``speed``, never below the slowest."""
        return max(self.slowest, round(speed - self.step, 2))

    def faster(self, speed: float) -> float:
        """A step above ``speed``, never above the fastest."""
        return min(self.fastest, round(speed + self.step, 2))


@dataclass(frozen=True)
class Phone:
    """What the recogniser should expect, how a customer's own telephone keys the code, how the voice behaves, and what is said where the
    assistant can't."""

    expects: dict[str, str] = field(metadata=doc("For each question's slot the kind of answer."))
    key_terms: dict[str, tuple[str, ...]] = field(
        metadata=doc("Words the recogniser is told to listen for: `always`, or where the slot is asked for.")
    )
    code_pauses: int = field(
        metadata=doc("How often the tap-to-call link waits two seconds before it keys the code.", minimum=1, maximum=10)
    )
    line: LineWords = field(metadata=doc("What the telephone company's own voice says."))
    message_s: int = field(metadata=doc("The longest message a caller may leave, in seconds.", minimum=10, maximum=600))
    keys: KeyWords = field(metadata=doc("What single keys say where no number is asked for."))
    listening: ListeningWords = field(metadata=doc("The words by which a caller's turn and an interruption are told."))
    cut_off_minutes: int = field(
        metadata=doc(
            "Who calls again so soon after a call that ended in the middle of our words hears the rest of them.",
            minimum=0,
            maximum=60,
        )
    )
    asks_rating: bool = field(metadata=doc("Whether a caller is asked how it was, once the assistant has said goodbye."))
    recent_days: int = field(
        metadata=doc("For so many days a conversation is recent enough to ask a caller about it.", minimum=1, maximum=365)
    )
    filler_after_ms: int = field(
        metadata=doc("An answer that takes longer is bridged by one of utter_filler.", minimum=300, maximum=10_000)
    )
    filler_again_ms: int = field(metadata=doc("How long after that the next one comes.", minimum=1000, maximum=60_000))
    opening_chars: int = field(
        metadata=doc(
            "How long a sentence's fixed beginning is, up to a comma or colon, to be said before the rest is made.",
            minimum=5,
            maximum=200,
        )
    )
    speed: Speed = field(metadata=doc("How fast the voice speaks where a caller asks for it."))


@dataclass(frozen=True)
class Dialogue:
    """How the form treats what is said while a question is open."""

    digressions: tuple[str, ...] = field(metadata=doc("Intents that never answer the open question."))
    courtesies: tuple[str, ...] = field(
        metadata=doc("Those of them that answer it all the same where they bring what it asks for.")
    )
    interrupt_own_words: tuple[str, ...] = field(
        metadata=doc("Those of them that count where somebody is asked to say in their own words what it is about.")
    )
    begin_with_fact: tuple[str, ...] = field(metadata=doc("Intents that begin a booking only with a fact."))
    tell_appliance: tuple[str, ...] = field(metadata=doc("Intents in which a misspelt appliance is looked for."))
    gas_words: tuple[str, ...] = field(metadata=doc("Words that are about gas, whatever else was understood."))
    guesses: dict[str, str] = field(metadata=doc("For each intent we ask back about, the action a yes leads to."))
    guess_confidence: float = field(metadata=doc("A guess below this is not asked about.", minimum=0, maximum=1))
    topic_confidence: float = field(
        metadata=doc("A topic of data/knowledge is answered where it is as sure as this.", minimum=0, maximum=1)
    )
    topic_guess_confidence: float = field(
        metadata=doc("It is asked about where it is less sure, but as sure as this.", minimum=0, maximum=1)
    )
    openings: tuple[str, ...] = field(metadata=doc("How free answers begin, which is no part of them."))
    closings: tuple[str, ...] = field(metadata=doc("How free answers end, which is no part of them."))
    name_openings: tuple[str, ...] = field(metadata=doc("What a name follows."))
    name_openings_perhaps: tuple[str, ...] = field(metadata=doc("What a name follows where a part of it was found there."))
    filler_words: tuple[str, ...] = field(
        metadata=doc("Words that are no answer where they are all that is left beside other facts.")
    )
    describe_problem: tuple[str, ...] = field(metadata=doc("Intents in which the words behind the appliance are the problem."))
    describe_before: tuple[str, ...] = field(
        metadata=doc("Those of them in which the words before the appliance count as well.")
    )
    no_problem_words: tuple[str, ...] = field(metadata=doc("Words that, with the filler words alone, describe no problem."))
    no_wish_words: tuple[str, ...] = field(
        metadata=doc('Words that, with those, say no more than what somebody comes for ("I\'d like to complain").')
    )
    dangling_words: tuple[str, ...] = field(metadata=doc("Words that no description ends with."))
    urgent_phrases: tuple[str, ...] = field(metadata=doc("How customers say in passing that it is urgent."))
    not_urgent_phrases: tuple[str, ...] = field(metadata=doc("How customers say in passing that it is not; these count first."))
    not_a_name: tuple[str, ...] = field(metadata=doc("Words that no name contains."))
    yes_openings: tuple[str, ...] = field(metadata=doc("How a longer yes begins."))
    no_openings: tuple[str, ...] = field(metadata=doc("How a longer no begins."))
    ordinals: dict[str, int] = field(metadata=doc("Words that choose from what was offered: 1 the first, -1 the last."))
    either: tuple[str, ...] = field(metadata=doc("Words that leave the choice to us."))
    passing: tuple[str, ...] = field(metadata=doc('Responses that "what?" is not about: what was said before them is meant.'))


@dataclass(frozen=True)
class Business:
    """Everything under data/business."""

    company: Company
    hours: Hours
    prices: Prices
    territories: tuple[Territory, ...]
    travel: Travel
    services: Mapping[str, Service]
    technicians: tuple[Technician, ...]
    sla: Sla
    thresholds: Thresholds
    phone: Phone
    dialogue: Dialogue
    words: Words
    privacy: Privacy
    retention: Retention
    journeys: Journeys
    payment: Payment
    lexicon: Lexicon

    def territory_of(self, postcode: str) -> Territory | None:
        """The territory of a five-digit ZIP code; None outside all of them."""
        return next((territory for territory in self.territories if territory.covers(postcode)), None)

    @property
    def own_words(self) -> Mapping[str, frozenset[str]]:
        """For each detail that may be kept of people who are erased, the values that are the company's own words and nobody's data."""
        return {"appliance": frozenset(self.services)}

    def service_named(self, appliance: Any) -> str | None:
        """The name, among the services, of an appliance in whatever case; None for one that isn't repaired."""
        wanted = str(appliance).casefold()
        return next((name for name in self.services if name.casefold() == wanted), None)

    def installed_named(self, product: Any) -> str | None:
        """The name of something that we install, in whatever case; None for what we don't."""
        wanted = str(product).casefold()
        return next((name for name in self.prices.installed if name.casefold() == wanted), None)

    def qualified(self, appliance: str, territory: Territory) -> list[Technician]:
        """Who can repair it there."""
        return self.skilled(self.services[appliance].skill, territory)

    def skilled(self, skill: str, territory: Territory) -> list[Technician]:
        """Who has this skill there."""
        return [who for who in self.technicians if skill in who.skills and territory.name in who.territories]

    def promise(self, appliance: str) -> Promise:
        """What is promised where its repair is urgent."""
        return self.sla.urgent[self.services[appliance].skill]

    def public_facts(self) -> dict[str, Any]:
        """What the company's own page shows."""
        sign = self.company.currency_sign
        days = self.words.weekdays
        return {
            "name": self.company.name,
            "tagline": self.company.tagline,
            "phone": self.company.phone_shown,
            "hours": [
                {"days": _days_shown(entry.days, days), "opens": entry.opens, "closes": entry.closes}
                for entry in self.hours.office
            ],
            "territories": [f"{territory.name}, {territory.state}" for territory in self.territories],
            "prices": [
                {"name": name, "price": f"{sign}{amount}"}
                for name, amount in zip(self.words.price_names, (self.prices.callout, self.prices.hourly), strict=True)
            ],
        }


def _days_shown(days: tuple[str, ...], names: Mapping[str, str]) -> str:
    """``Monday`` to ``Friday`` for days in a row, else a list."""
    positions = [WEEKDAYS.index(day) for day in days]
    if len(days) > 2 and positions == list(range(positions[0], positions[0] + len(days))):
        return f"{names[days[0]]}–{names[days[-1]]}"
    return ", ".join(names[day] for day in days)
