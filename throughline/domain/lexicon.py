"""How the voice is given what it would say wrongly: names, addresses, numbers, prices. Poured from data/business/lexicon.yml.

Applied just before speech is made, to everything that is spoken, the customer's own words in it included. What is shown, recorded and
counted as heard stays as it is written. It only ever makes words and digits of what it finds: nothing in it is a markup.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from throughline.domain.documented import doc
from throughline.domain.said_digits import digits, phone_number

_EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]*@[A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}(?![\w-])")
_PHONE = re.compile(r"(?<![\w+])(?:\+?1[ .-]?)?\(?([2-9]\d{2})\)?[ .-]?(\d{3})[ .-]?(\d{4})(?!\w)")
_MONEY = re.compile(r"\$ ?(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{2}))?(?!\d)")
_CLOCK = re.compile(r"(?<![\d:])([01]?\d|2[0-3]):([0-5]\d)(?![\d:])")
_HALF_OF_DAY = re.compile(r"(?<=\d) ?[ap]m(?!\w)", re.I)
_LONG_NUMBER = r"(?<![\w.,$-])(\d{5,})(?:-(\d{4}))?(?![\w-]|[.,]\d)"
_CODE = re.compile(r"(?<![\w-])(?=[A-Z0-9-]*[A-Z])(?=[A-Z0-9-]*\d[A-Z0-9-]*\d)[A-Z0-9]+(?:-[A-Z0-9]+)*(?![\w-])")
_SHORTEST_CODE = 4
_EMAIL_SIGNS = {"@": "at", ".": "dot", "-": "dash", "_": "underscore", "+": "plus"}


@dataclass(frozen=True)
class Signs:
    """Words for what is written with a sign."""

    at: str = field(metadata=doc("@ in an e-mail address."))
    dot: str = field(metadata=doc("A full stop in an e-mail address."))
    dash: str = field(metadata=doc("A hyphen in an e-mail address."))
    underscore: str = field(metadata=doc("An underscore in an e-mail address."))
    plus: str = field(metadata=doc("A plus sign in an e-mail address."))
    oh: str = field(metadata=doc("The zero of 10:05."))
    dollar: str = field(metadata=doc("After one of the currency."))
    dollars: str = field(metadata=doc("After more than one."))
    cent: str = field(metadata=doc("After one hundredth of it."))
    cents: str = field(metadata=doc("After more than one hundredth."))


@dataclass(frozen=True)
class Lexicon:
    """data/business/lexicon.yml. A key of each mapping stands for itself as a whole word, in any case."""

    terms: dict[str, str] = field(metadata=doc("For each word or name how it is written for the voice."))
    streets: dict[str, str] = field(metadata=doc("Short forms at the end of a street's name, behind a house number."))
    directions: dict[str, str] = field(metadata=doc("Short forms between a house number and a street's name."))
    units: dict[str, str] = field(metadata=doc("Short forms before the number of a flat or an office."))
    signs: Signs = field(metadata=doc("Words for what is written with a sign."))

    def spoken(self, text: str) -> str:
        """``text`` as a voice is to be given it."""
        for shape, say in self._shapes:
            text = shape.sub(say, text)
        return text

    @functools.cached_property
    def _shapes(self) -> tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]:
        """What is looked for, in its order, with what becomes of it. Terms come last, and no term is looked for in another."""
        amount = "|".join(map(re.escape, (self.signs.dollars, self.signs.cents)))
        long_number = re.compile(rf"{_LONG_NUMBER}(?! (?:{amount})(?!\w))")  # of an amount not each digit counts
        shapes: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
            (_EMAIL, self._email),
            (_PHONE, lambda found: phone_number("+1" + "".join(found.groups())).spoken),
            (_MONEY, self._money),
            (_CLOCK, self._clock),
            (_HALF_OF_DAY, lambda found: found.group().upper()),  # "am" is a verb
            (long_number, lambda found: ", ".join(digits(part).spoken for part in found.groups() if part)),
            (_CODE, _code),
        ]
        if self.streets:
            ways = f"(?:{_any_of(self.directions)}\\.? )?" if self.directions else ""
            street = re.compile(rf"(?<![\w.,])(\d+[a-z]?) ({ways}(?:[\w'-]+ ){{1,2}})({_any_of(self.streets)})(?!\w)\.?", re.I)
            shapes.append((street, self._street))
        if self.units:
            unit = re.compile(rf"(?<!\w)({_any_of(self.units)})\.? ?([a-z]?)(\d+)([a-z]?)(?!\w)", re.I)
            shapes.append((unit, self._unit))
        if self.terms:
            terms = re.compile(rf"(?<!\w){_any_of(self.terms)}(?!\w)", re.I)
            shapes.append((terms, lambda found: _of(self.terms, found.group())))
        return tuple(shapes)

    def _email(self, found: re.Match[str]) -> str:
        words = {sign: getattr(self.signs, name) for sign, name in _EMAIL_SIGNS.items()}
        return " ".join(words.get(part, part) for part in map(str, re.split(r"([@._+-])", found.group())) if part)

    def _money(self, found: re.Match[str]) -> str:
        whole, hundredths = int(found.group(1).replace(",", "")), int(found.group(2) or 0)
        said = f"{whole} {self.signs.dollar if whole == 1 else self.signs.dollars}"
        return f"{said} {hundredths} {self.signs.cent if hundredths == 1 else self.signs.cents}" if hundredths else said

    def _clock(self, found: re.Match[str]) -> str:
        hour, minute = int(found.group(1)), int(found.group(2))
        if not minute:
            return str(hour)
        return f"{hour} {self.signs.oh} {minute}" if minute < 10 else f"{hour} {minute}"

    def _street(self, found: re.Match[str]) -> str:
        number, name, kind = found.groups()
        first, _, rest = name.partition(" ")
        way = _of(self.directions, first.rstrip(".")) if rest else ""
        return f"{number} {f'{way} {rest}' if way else name}{_of(self.streets, kind)}"

    def _unit(self, found: re.Match[str]) -> str:
        kind, before, number, after = found.groups()
        return " ".join(part for part in (_of(self.units, kind), before, number, after) if part)


def _any_of(words: Mapping[str, str]) -> str:
    """A pattern for any of ``words``, the longest first."""
    return f"(?:{'|'.join(re.escape(word) for word in sorted(words, key=len, reverse=True))})"


def _of(words: Mapping[str, str], found: str) -> str:
    """What stands for ``found`` in ``words``, in any case; empty for what does not."""
    return words.get(found) or next((said for word, said in words.items() if word.casefold() == found.casefold()), "")


def _code(found: re.Match[str]) -> str:
    """``TL-48B`` letter by letter; what is as short as 5G, or is only one letter with a number (A 12), stays."""
    code = found.group().replace("-", "")
    if len(code) < _SHORTEST_CODE:
        return found.group()
    return " ".join(code).replace("A ", "A, ")  # else a voice takes it for the article
