"""Four strangers are taken for one another in every way that chance finds, and parted again: each has their own, who is erased is gone."""

from __future__ import annotations

import contextlib
import random
from datetime import timedelta

import pytest

from tests.unit.record.somebody import NOW, rows_with
from tests.unit.record.test_record_parting import (
    Stranger,
    booked,
    changed,
    complained,
    foreign,
    passed_on,
    put_back,
    say,
    stranger,
    told_of,
)
from throughline.domain.assurance import CODE, OPERATOR
from throughline.errors import Rejected
from throughline.record import Record

pytestmark = pytest.mark.unit

NAMES = ("Ada-Quist", "Ben-Reyes", "Cleo-Vane", "Dora-Lind")
STEPS = ("say", "say", "fact", "pass", "book", "move", "cancel", "complain", "tell", "put back", "merge", "merge", "part")


class Town:
    """The strangers, and who of them is part of whom."""

    def __init__(self, record: Record, seed: int) -> None:
        self.record = record
        self.chance = random.Random(seed)  # noqa: S311 - which way things go
        self.people = [
            stranger(record, name, f"ZZ-9720{number}", number=f"+1503555010{number}") for number, name in enumerate(NAMES)
        ]
        self._parts: list[str] = []

    async def lives(self, steps: int) -> None:
        """Something happens to somebody, ``steps`` times. Then nobody is part of anybody."""
        for number in range(steps):
            await self._happens(self.chance.choice(self.people), number)
        while self._parts:
            self._part()

    async def _happens(self, one: Stranger, number: int) -> None:
        record, living, mark = self.record, self._living(one), f"{one.name}-{number}-"
        step = self.chance.choice(STEPS)
        if step in ("say", "fact", "pass", "book", "move", "cancel", "complain"):
            one.marks.append(mark)
        if step == "say":
            say(record, living, one.session, f"hello {mark}")
        elif step == "fact":
            say(record, living, one.session, f"it is {mark}", slots={self.chance.choice(("problem", "brand", "since")): mark})
        elif step == "pass":
            await passed_on(record, living, one.session, mark)
        elif step == "book":
            await booked(record, living, one.session, mark, number)
        elif step == "move":
            visits = record.calendar.visits_of(living)
            changed(record, living, one.session, mark, visit=self.chance.choice(visits) if visits else None)
        elif step == "cancel":
            changed(record, living, one.session, mark)
        elif step == "complain":
            complained(record, living, one.session, mark)
        elif step == "tell":
            told_of(record, living, one.session, f"You told us {[fact.value for fact in record.facts(living)]}.")
        elif step == "put back":
            fact = self.chance.choice([fact for fact in record.facts(living) if not fact.slot.startswith("ui_")])
            put_back(record, living, one.session, fact.slot, fact.value, told_in=fact.session_id)
        elif step == "part":
            self._part()
        elif (into := self._living(self.chance.choice(self.people))) != living:
            record.merge(living, into, reason=self.chance.choice((CODE, OPERATOR)), session_id=one.session)
            self._parts.append(living)

    def _part(self) -> None:
        for one in self.chance.sample(self._parts, len(self._parts)):
            with contextlib.suppress(Rejected):  # another merge is on top
                self.record.unmerge(one, reason=OPERATOR)
                self._parts.remove(one)
                return

    def _living(self, one: Stranger) -> str:
        return self.record.session(one.session).contact_id


def told_by(record: Record, one: Stranger) -> dict[str, object]:
    events = record.whole_tracker(one.contact_id).events
    slots = {event["name"]: event["value"] for event in events if event["event"] == "slot"}
    return {name: value for name, value in slots.items() if value is not None and not name.startswith("ui_")}


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_they_were_taken_for(record: Record, seed: int) -> None:
    town = Town(record, seed)
    await town.lives(40)
    for one in town.people:
        shown = record.person(one.contact_id)
        assert [mark for other in town.people if other is not one for mark in foreign(other.marks, shown)] == []
        assert foreign(one.marks, shown) == one.marks
        assert {fact.slot: fact.value for fact in record.facts(one.contact_id)} == told_by(record, one)
    town.chance.shuffle(town.people)
    while len(town.people) > 1:
        gone = town.people.pop()
        record.erase(gone.contact_id, own_words={}, now=NOW + timedelta(days=1))
        for owed in record.owed_deletions():
            record.note_deleted(owed)
        assert rows_with(record, gone.marks) == []
        for one in town.people:
            assert foreign(one.marks, record.person(one.contact_id)) == one.marks
