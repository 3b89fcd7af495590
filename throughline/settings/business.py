"""Reads and checks data/business: what the company is, as opposed to how the server runs.

Every file is read, every fault is reported at once with file, line and mend, so that whoever edits these files mends them in one go.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from throughline.domain.company import (
    WEEKDAYS,
    Business,
    Company,
    Dialogue,
    Hours,
    Payment,
    Phone,
    Prices,
    Service,
    Sla,
    Technician,
    Territory,
    Thresholds,
    Travel,
    local_time,
)
from throughline.domain.facts import ABOUT_THE_PERSON, FACTS, FINDING
from throughline.domain.holidays import is_day_of_year
from throughline.domain.journeys import Journeys
from throughline.domain.key_terms import ALWAYS, LONGEST_TERM, MOST_TERMS, MOST_TOKENS, is_term, tokens
from throughline.domain.lexicon import Lexicon
from throughline.domain.listening import ListeningWords, is_plain
from throughline.domain.privacy import Privacy
from throughline.domain.retention import Retention
from throughline.domain.scheduling import Working, held_back, room
from throughline.domain.tel_link import is_e164
from throughline.domain.turns import EXPECTATIONS
from throughline.domain.words import Words
from throughline.errors import ConfigurationError, Problem
from throughline.settings.checked_yaml import line_of, load_mapping, pour

__all__ = ["Business", "load_business"]

T = TypeVar("T")

_MARKUP = re.compile(r"[<>\[\]{}&|\\]")


@dataclass(frozen=True)
class _Territories:
    territories: tuple[Territory, ...]
    travel: Travel


@dataclass(frozen=True)
class _Services:
    services: tuple[Service, ...]


@dataclass(frozen=True)
class _Technicians:
    technicians: tuple[Technician, ...]


class _Folder:
    """The files of one folder, with the problems found in them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problems: list[Problem] = []
        self._mappings: dict[str, Any] = {}

    def read(self, name: str, cls: type[T]) -> T | None:
        """File ``name``.yml as ``cls``; None and problems where it is wrong."""
        file = self._folder / f"{name}.yml"
        found = len(self.problems)
        mapping = self._mappings[name] = load_mapping(file, self.problems)
        if len(self.problems) > found:
            return None
        return pour(cls, mapping, file=file, path="", problems=self.problems)

    def wrong(self, name: str, key: str, what: str, mend: str) -> None:
        """Note a fault under ``key`` of file ``name``.yml, which may be dotted."""
        *path, last = key.split(".")
        line = line_of(functools.reduce(lambda mapping, part: mapping[part], path, self._mappings[name]), last)
        self.problems.append(Problem(f"{self._folder / name}.yml:{line} {key}", what, mend))

    def part_wrong(self, name: str, key: str, part: str, what: str, mend: str) -> None:
        """Note a fault under ``part`` of the mapping under ``key``."""
        line = line_of(self._mappings[name][key], part)
        self.problems.append(Problem(f"{self._folder / name}.yml:{line} {key}.{part}", what, mend))

    def entry_wrong(self, name: str, key: str, position: int, what: str, mend: str) -> None:
        """Note a fault in one entry of the list under ``key``, which may be dotted."""
        entries = functools.reduce(lambda mapping, part: mapping[part], key.split("."), self._mappings[name])
        line = line_of(entries[position], None)
        self.problems.append(Problem(f"{self._folder / name}.yml:{line} {key}[{position}]", what, mend))


def load_business(folder: Path) -> Business:
    """Everything in ``folder``. Raises ConfigurationError with every problem found."""
    files = _Folder(folder)
    company, hours, prices = files.read("company", Company), files.read("hours", Hours), files.read("prices", Prices)
    territories, services = files.read("territories", _Territories), files.read("services", _Services)
    technicians, thresholds = files.read("technicians", _Technicians), files.read("thresholds", Thresholds)
    sla = files.read("sla", Sla)
    phone, dialogue, words = files.read("phone", Phone), files.read("dialogue", Dialogue), files.read("words", Words)
    privacy, retention = files.read("privacy", Privacy), files.read("retention", Retention)
    journeys, payment = files.read("journeys", Journeys), files.read("payment", Payment)
    lexicon = files.read("lexicon", Lexicon)
    if company:
        _check_company(company, files)
    if hours:
        _check_hours(hours, files)
    if territories:
        _check_territories(territories.territories, files)
        _check_travel(territories.travel, territories.territories, files)
    if services and prices:
        _check_prices(services.services, prices, files)
    if services and territories and technicians:
        _check_technicians(technicians.technicians, services.services, territories.territories, files)
    if sla and services:
        _check_skills(sla, services.services, files)
    if sla and thresholds:
        _check_promises(sla, thresholds, files)
    if phone:
        _check_expectations(phone, files)
        _check_listening(phone.listening, files)
        _check_explained(phone, files)
        _check_keys(phone, files)
    if phone and company and services and territories and technicians:
        names = [company.name, *(one.name for one in technicians.technicians), *(one.name for one in territories.territories)]
        _check_key_terms(phone, [*names, *(one.appliance for one in services.services)], files)
    if words:
        _check_words(words, files)
    if privacy:
        _check_privacy(privacy, files)
    if lexicon:
        _check_lexicon(lexicon, files)
    if journeys:
        _check_journeys(journeys, files)
    if files.problems or not (
        company
        and hours
        and prices
        and territories
        and services
        and technicians
        and sla
        and thresholds
        and phone
        and dialogue
        and words
        and privacy
        and retention
        and journeys
        and payment
        and lexicon
    ):
        raise ConfigurationError(files.problems)
    business = Business(
        company=company,
        hours=hours,
        prices=prices,
        territories=territories.territories,
        travel=territories.travel,
        services={service.appliance: service for service in services.services},
        technicians=technicians.technicians,
        sla=sla,
        thresholds=thresholds,
        phone=phone,
        dialogue=dialogue,
        words=words,
        privacy=privacy,
        retention=retention,
        journeys=journeys,
        payment=payment,
        lexicon=lexicon,
    )
    _check_held(business, files)
    if files.problems:
        raise ConfigurationError(files.problems)
    return business


def _check_company(company: Company, files: _Folder) -> None:
    try:
        ZoneInfo(company.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        files.wrong(
            "company", "timezone", f"{company.timezone!r} is no time zone.", "Use an IANA name like America/Los_Angeles."
        )
    if not is_e164(company.phone):
        files.wrong(
            "company", "phone", f"{company.phone!r} is not E.164.", 'Write it quoted with country code: "+15035550142".'
        )


def _check_hours(hours: Hours, files: _Folder) -> None:
    for key, entries in (("office", hours.office), ("visits", hours.visits)):
        for position, entry in enumerate(entries):
            times = [_parsed(local_time, text) for text in (entry.opens, entry.closes)]
            if times[0] is None or times[1] is None:
                files.entry_wrong("hours", key, position, "a time can't be read.", 'Write times quoted in 24 hours: "08:00".')
            elif times[0] >= times[1]:
                files.entry_wrong(
                    "hours", key, position, "it closes before it opens.", "Put `opens` before `closes`, on one day."
                )
    if _parsed(local_time, hours.free_changes_until) is None:
        files.wrong("hours", "free_changes_until", "the time can't be read.", 'Write it quoted in 24 hours: "18:00".')
    for text in hours.closed:
        if text not in hours.holidays and not is_day_of_year(text):
            mend = 'Write month and day, quoted: "12-25", or a name that stands under `holidays`.'
            files.wrong("hours", "closed", f"{text!r} is no day of the year.", mend)
    for name, text in hours.holidays.items():
        if not is_day_of_year(text):
            mend = 'Write month and day, quoted: "12-25", or the place in a month: "4th thursday of november", "last monday of may".'
            files.wrong("hours", "holidays", f"{name}: {text!r} is no day of the year.", mend)


def _check_territories(territories: Iterable[Territory], files: _Folder) -> None:
    for position, territory in enumerate(territories):
        if not territory.prefixes and not territory.zips:
            files.entry_wrong("territories", "territories", position, "it covers nothing.", "Give it prefixes or zips.")
        for text in territory.prefixes:
            if not re.fullmatch(r"\d{1,5}", text):
                files.entry_wrong(
                    "territories", "territories", position, f"{text!r} begins no ZIP code.", 'Quote its digits: "972".'
                )
        for text in territory.zips:
            if not re.fullmatch(r"\d{5}", text):
                files.entry_wrong(
                    "territories", "territories", position, f"{text!r} is no ZIP code.", 'Quote five digits: "97201".'
                )


def _check_travel(travel: Travel, territories: Iterable[Territory], files: _Folder) -> None:
    names, seen = [territory.name for territory in territories], list[set[str]]()
    for position, name in enumerate(names):
        if name in names[:position]:
            files.entry_wrong("territories", "territories", position, f"there is another {name!r}.", "Give each its own name.")
    for position, way in enumerate(travel.ways):
        two = set(way.between)
        for name in sorted(two - set(names)):
            mend = f"Territories of this file: {', '.join(sorted(names))}."
            files.entry_wrong("territories", "travel.ways", position, f"there is no territory {name!r}.", mend)
        if len(way.between) != 2 or len(two) != 2:
            mend = "Name two different ones; within one, within_minutes counts."
            files.entry_wrong("territories", "travel.ways", position, "it lies not between two territories.", mend)
        if two in seen:
            mend = "Leave one of the two lines: a way takes as long back."
            files.entry_wrong("territories", "travel.ways", position, f"{' and '.join(way.between)} stand above too.", mend)
        seen.append(two)


def _check_skills(sla: Sla, services: Iterable[Service], files: _Folder) -> None:
    skills = {service.skill for service in services}
    for skill in sorted(set(sla.urgent) - skills):
        mend = f"Skills that services.yml needs: {', '.join(sorted(skills))}."
        files.wrong("sla", f"urgent.{skill}", f"no service needs the skill {skill!r}.", mend)
    for skill in sorted(skills - set(sla.urgent)):
        mend = "Add a line for it: {within_hours: .., held_windows: ..}."
        files.wrong("sla", "urgent", f"nothing about the skill {skill!r}.", mend)


def _check_promises(sla: Sla, thresholds: Thresholds, files: _Folder) -> None:
    for skill, promise in sla.urgent.items():
        if promise.within_hours * 60 < thresholds.urgent_lead_minutes:
            what = f"an urgent visit begins {thresholds.urgent_lead_minutes} minutes from now at the earliest."
            files.wrong("sla", f"urgent.{skill}", what, "Promise more hours, or lower urgent_lead_minutes in thresholds.yml.")
        if promise.within_hours > thresholds.days_ahead * 24:
            what = f"visits are offered {thresholds.days_ahead} days ahead only."
            files.wrong("sla", f"urgent.{skill}", what, "Promise fewer hours, or raise days_ahead in thresholds.yml.")


def _check_held(business: Business, files: _Folder) -> None:
    """Where everything else is right: that something is left for whoever is in no hurry."""
    every_day = dataclasses.replace(business.hours, closed=())
    working = Working(every_day, timezone.utc, business.travel)
    week = [date(2024, 1, 1) + timedelta(days=number) for number in range(7)]  # any one
    for one in held_back(business, week[0]):
        most = max(sum(room(who, day, one.minutes, one.place, (), working) for who in one.technicians) for day in week)
        if one.visits >= most:
            what = f"no day has more than {most} such visits in {one.place}: all are held, and others are offered none."
            files.wrong(
                "sla", f"urgent.{one.skill}", what, f"Let held_windows be {max(most - 1, 0)}, or have more technicians."
            )


def _check_prices(services: Iterable[Service], prices: Prices, files: _Folder) -> None:
    for service in services:
        usual = prices.usual.get(service.appliance)
        if usual is None:
            files.wrong("prices", "usual", f"nothing about {service.appliance!r}.", "Add a line for it: {low: .., high: ..}.")
        elif usual.low > usual.high:
            files.wrong("prices", "usual", f"{service.appliance!r} has its low above its high.", "Swap the two.")
    for product, span in prices.installed.items():
        if span.low > span.high:
            files.wrong("prices", "installed", f"{product!r} has its low above its high.", "Swap the two.")


def _check_technicians(
    technicians: Iterable[Technician], services: Iterable[Service], territories: Iterable[Territory], files: _Folder
) -> None:
    skills = {service.skill for service in services}
    names = {territory.name for territory in territories}
    for position, who in enumerate(technicians):
        for skill in sorted(set(who.skills) - skills):
            mend = f"Skills that services.yml needs: {', '.join(sorted(skills))}."
            files.entry_wrong("technicians", "technicians", position, f"no service needs the skill {skill!r}.", mend)
        for name in sorted(set(who.territories) - names):
            mend = f"Territories of territories.yml: {', '.join(sorted(names))}."
            files.entry_wrong("technicians", "technicians", position, f"there is no territory {name!r}.", mend)


def _check_expectations(phone: Phone, files: _Folder) -> None:
    for slot, kind in phone.expects.items():
        if kind not in EXPECTATIONS:
            files.wrong("phone", "expects", f"{slot} expects {kind!r}.", f"One of: {', '.join(EXPECTATIONS)}.")
    for name, text in dataclasses.asdict(phone.line).items():
        if not text.strip():
            files.wrong("phone", "line", f"{name} is empty.", "Write what a caller is to hear there.")


def _check_listening(listening: ListeningWords, files: _Folder) -> None:
    for name in (
        "unfinished",
        "finished",
        "questions",
        "beginnings",
        "short_answers",
        "hesitations",
        "backchannels",
        "interruptions",
    ):
        for phrase in getattr(listening, name):
            if not is_plain(phrase):
                mend = "Write words in small letters with one blank between, without punctuation: uh huh."
                files.wrong("phone", f"listening.{name}", f"{phrase!r} would never be heard.", mend)


def _check_explained(phone: Phone, files: _Folder) -> None:
    for slot in phone.listening.explained:
        if phone.expects.get(slot) != "yes_no":
            files.wrong(
                "phone", "listening.explained", f"{slot!r} is no question for a yes.", "Name a slot that `expects` a yes_no."
            )


def _check_keys(phone: Phone, files: _Folder) -> None:
    for name in ("yes_no", "offered", "always"):
        for key, words in getattr(phone.keys, name).items():
            if len(key) != 1 or not key.isdigit():
                files.wrong("phone", f"keys.{name}", f"{key!r} is no single key.", 'Write one digit in quotes: "1".')
            elif not words.strip():
                files.wrong(
                    "phone", f"keys.{name}", f"the key {key} says nothing.", "Write the words that a caller would say instead."
                )
    for slot in phone.keys.offered_for:
        if slot not in phone.expects:
            files.wrong("phone", "keys.offered_for", f"no question asks for {slot!r}.", "Name a slot of `expects`.")


def _check_key_terms(phone: Phone, names: Iterable[str], files: _Folder) -> None:
    for slot, terms in phone.key_terms.items():
        if slot != ALWAYS and slot not in phone.expects:
            files.wrong("phone", "key_terms", f"no question asks for {slot!r}.", f"Name `{ALWAYS}`, or a slot of `expects`.")
        for term in terms:
            if not is_term(term):
                mend = f"Write what is said, in letters and digits, with at most {LONGEST_TERM} of them."
                files.wrong("phone", "key_terms", f"{term!r} can't be listened for.", mend)
    told = dict.fromkeys([*names, *(term for terms in phone.key_terms.values() for term in terms)])
    if len(told) > MOST_TERMS or tokens(told) > MOST_TOKENS:
        what = f"with the company's own names {len(told)} terms, of some {tokens(told)} tokens."
        files.wrong("phone", "key_terms", what, f"At most {MOST_TERMS} and {MOST_TOKENS}: leave out what is recognised anyway.")


def _check_words(words: Words, files: _Folder) -> None:
    if set(words.weekdays) != set(WEEKDAYS):
        files.wrong("words", "weekdays", "not the seven days.", f"Give a name to each of: {', '.join(WEEKDAYS)}.")
    for key, wanted in (("months", 12), ("ordinal_days", 31), ("price_names", 2)):
        if len(getattr(words, key)) != wanted:
            files.wrong("words", key, f"has {len(getattr(words, key))} entries.", f"It needs {wanted}.")
    for part, span in words.parts_of_day.items():
        if len(span) != 2 or any(_parsed(local_time, text) is None for text in span):
            files.wrong("words", "parts_of_day", f"{part} can't be read.", 'Write begin and end: ["12:00", "17:00"].')


def _check_lexicon(lexicon: Lexicon, files: _Folder) -> None:
    for key in ("terms", "streets", "directions", "units"):
        seen = set[str]()
        for written, said in getattr(lexicon, key).items():
            if not written.strip() or not any(character.isalnum() for character in said):
                files.part_wrong("lexicon", key, written, "nothing could be said.", "Write beside each term how it sounds.")
            if _MARKUP.search(said):
                mend = "Write it in plain words: voices read markup out, or obey it."
                files.part_wrong("lexicon", key, written, f"{said!r} holds signs of markup.", mend)
            if written.casefold() in seen:
                mend = "Leave one of the two: large and small letters count as the same."
                files.part_wrong("lexicon", key, written, f"{written!r} stands here twice.", mend)
            seen.add(written.casefold())
    for name, word in dataclasses.asdict(lexicon.signs).items():
        if not word.strip():
            files.part_wrong("lexicon", "signs", name, "is empty.", "Write the word for it.")


def _check_privacy(privacy: Privacy, files: _Folder) -> None:
    if not privacy.card_number.strip():
        files.wrong(
            "privacy", "card_number", "it is empty.", "Write what the assistant is to answer instead: my credit card number."
        )
    for name in sorted(set(privacy.slots) & set(privacy.values)):
        files.wrong("privacy", "values", f"{name} stands under `slots` too.", "Leave it in one of the two.")
    for name, kept in {**privacy.slots, **privacy.values}.items():
        for slot in sorted(set(kept.of) - set(privacy.slots)):
            mend = f"Name slots of this file: {', '.join(privacy.slots)}."
            files.wrong("privacy", "values", f"{name} is made of {slot!r}, which does not stand under `slots`.", mend)


def _check_journeys(journeys: Journeys, files: _Folder) -> None:
    if not journeys.journeys:
        files.wrong("journeys", "journeys", "it names no journey.", "Name one at least: what customers come for most.")
    names: list[str] = []
    beginning: dict[str, str] = {}
    for position, one in enumerate(journeys.journeys):
        for slot in sorted({*one.finds, *one.needs, *one.once} - set(FACTS)):
            mend = f"Facts that there are: {', '.join(FACTS)}."
            files.entry_wrong("journeys", "journeys", position, f"no fact is called {slot!r}.", mend)
        for slot in sorted(set(one.once) - {*one.finds, *one.needs}):
            files.entry_wrong("journeys", "journeys", position, f"{slot!r} stands in `once` alone.", "Name it in `needs`, too.")
        if one.finds and (one.finds != FINDING or "which_visit" not in one.needs):
            what = "`finds` names other facts than those that find a visit, or the journey is about none."
            mend = f"Let it be [{', '.join(FINDING)}], with which_visit in `needs`; or leave it out."
            files.entry_wrong("journeys", "journeys", position, what, mend)
        for slot in sorted(set(one.can_go_without) - set(one.needs).intersection(ABOUT_THE_PERSON)):
            mend = f"Name what it needs of: {', '.join(ABOUT_THE_PERSON)}."
            files.entry_wrong("journeys", "journeys", position, f"it can't go without {slot!r}: that is not asked.", mend)
        if not one.needs:
            files.entry_wrong("journeys", "journeys", position, "it asks for nothing.", "Say in `needs` what has to be known.")
        if one.journey in names:
            files.entry_wrong(
                "journeys", "journeys", position, f"{one.journey!r} stands here twice.", "Give each its own name."
            )
        names.append(one.journey)
        for intent in one.begins:
            if intent in beginning:
                what = f"{intent!r} begins {beginning[intent]!r} already."
                files.entry_wrong("journeys", "journeys", position, what, "An intent begins one journey.")
            beginning.setdefault(intent, one.journey)


def _parsed(read: Callable[[str], T], text: str) -> T | None:
    try:
        return read(text)
    except ValueError:
        return None
