"""Reads and checks data/business: what the company is, as opposed to how the server runs.

Every file is read, every fault is reported at once with file, line and mend, so that whoever edits these files mends them in one go.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
    Technician,
    Territory,
    Thresholds,
    local_time,
)
from throughline.domain.facts import FACTS
from throughline.domain.journeys import Journeys
from throughline.domain.key_terms import ALWAYS, LONGEST_TERM, MOST_TERMS, MOST_TOKENS, is_term, tokens
from throughline.domain.privacy import Privacy
from throughline.domain.retention import Retention
from throughline.domain.tel_link import is_e164
from throughline.domain.turns import EXPECTATIONS
from throughline.domain.words import Words
from throughline.errors import ConfigurationError, Problem
from throughline.settings.checked_yaml import line_of, load_mapping, pour

__all__ = ["Business", "load_business"]

T = TypeVar("T")


@dataclass(frozen=True)
class _Territories:
    territories: tuple[Territory, ...]


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
        """Note a fault under top-level ``key`` of file ``name``.yml."""
        line = line_of(self._mappings[name], key)
        self.problems.append(Problem(f"{self._folder / name}.yml:{line} {key}", what, mend))

    def entry_wrong(self, name: str, key: str, position: int, what: str, mend: str) -> None:
        """Note a fault in one entry of the list under ``key``."""
        line = line_of(self._mappings[name][key][position], None)
        self.problems.append(Problem(f"{self._folder / name}.yml:{line} {key}[{position}]", what, mend))


def load_business(folder: Path) -> Business:
    """Everything in ``folder``. Raises ConfigurationError with every problem found."""
    files = _Folder(folder)
    company, hours, prices = files.read("company", Company), files.read("hours", Hours), files.read("prices", Prices)
    territories, services = files.read("territories", _Territories), files.read("services", _Services)
    technicians, thresholds = files.read("technicians", _Technicians), files.read("thresholds", Thresholds)
    phone, dialogue, words = files.read("phone", Phone), files.read("dialogue", Dialogue), files.read("words", Words)
    privacy, retention = files.read("privacy", Privacy), files.read("retention", Retention)
    journeys, payment = files.read("journeys", Journeys), files.read("payment", Payment)
    if company:
        _check_company(company, files)
    if hours:
        _check_hours(hours, files)
    if territories:
        _check_territories(territories.territories, files)
    if services and prices:
        _check_prices(services.services, prices, files)
    if services and territories and technicians:
        _check_technicians(technicians.technicians, services.services, territories.territories, files)
    if phone:
        _check_expectations(phone, files)
    if phone and company and services and territories and technicians:
        names = [company.name, *(one.name for one in technicians.technicians), *(one.name for one in territories.territories)]
        _check_key_terms(phone, [*names, *(one.appliance for one in services.services)], files)
    if words:
        _check_words(words, files)
    if privacy:
        _check_privacy(privacy, files)
    if journeys:
        _check_journeys(journeys, files)
    if files.problems or not (
        company
        and hours
        and prices
        and territories
        and services
        and technicians
        and thresholds
        and phone
        and dialogue
        and words
        and privacy
        and retention
        and journeys
        and payment
    ):
        raise ConfigurationError(files.problems)
    return Business(
        company=company,
        hours=hours,
        prices=prices,
        territories=territories.territories,
        services={service.appliance: service for service in services.services},
        technicians=technicians.technicians,
        thresholds=thresholds,
        phone=phone,
        dialogue=dialogue,
        words=words,
        privacy=privacy,
        retention=retention,
        journeys=journeys,
        payment=payment,
    )


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
        if not re.fullmatch(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", text):
            files.wrong("hours", "closed", f"{text!r} is no day of the year.", 'Write month and day, quoted: "12-25".')


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


def _check_privacy(privacy: Privacy, files: _Folder) -> None:
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
        for slot in sorted({*one.needs, *one.once} - set(FACTS)):
            mend = f"Facts that there are: {', '.join(FACTS)}."
            files.entry_wrong("journeys", "journeys", position, f"no fact is called {slot!r}.", mend)
        for slot in sorted(set(one.once) - set(one.needs)):
            files.entry_wrong("journeys", "journeys", position, f"{slot!r} stands in `once` alone.", "Name it in `needs`, too.")
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
