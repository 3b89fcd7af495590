"""What customers come for: what begins a journey, what it needs to know, how it ends. Poured from data/business/journeys.yml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from throughline.domain.documented import doc
from throughline.domain.facts import ABOUT_THE_PERSON, FINDING


@dataclass(frozen=True)
class Journey:
    """One thing that customers come for."""

    journey: str = field(metadata=doc("Its name, one word."))
    named: str = field(metadata=doc("What it is called when it is taken up again: your repair."))
    begins: tuple[str, ...] = field(metadata=doc("Intents that begin it."))
    needs: tuple[str, ...] = field(metadata=doc("Facts, in the order in which they are asked for."))
    once: tuple[str, ...] = field(metadata=doc("Those of them that are asked anew the next time."))
    ends: str = field(metadata=doc("The action that ends it, such as action_open_case."))
    case: str = field(default="", metadata=doc("The kind of case that is opened in the CRM."))
    person: bool = field(default=False, metadata=doc("Whether a person is asked to see to it."))
    finds: tuple[str, ...] = field(
        default=(), metadata=doc("Facts that find a visit of another conversation, asked for first where this one has none.")
    )
    can_go_without: tuple[str, ...] = field(
        default=(), metadata=doc("Those of them that a customer may rather not tell: phone_number, customer_name, postcode.")
    )

    @property
    def slots(self) -> frozenset[str]:
        """What may be told in it: what it needs, and who the customer is. The ZIP code of a visit that is looked for is that visit's."""
        return frozenset((*self.needs, *(slot for slot in ABOUT_THE_PERSON if f"visit_{slot}" not in self.needs)))

    @property
    def looking(self) -> Journey:
        """The same journey where its visit has to be found first."""
        return replace(self, needs=(*self.finds, *self.needs), finds=())

    @property
    def is_looking(self) -> bool:
        """Whether it is one whose visit has to be found first."""
        return set(FINDING) <= set(self.needs)


@dataclass(frozen=True)
class Journeys:
    """All of them, in the file's order."""

    journeys: tuple[Journey, ...] = field(metadata=doc("What customers come for."))

    @property
    def usual(self) -> Journey:
        """The one that is meant where nothing else is said."""
        return self.journeys[0]

    def named(self, name: object) -> Journey | None:
        """The one of that name."""
        return next((one for one in self.journeys if one.journey == name), None)

    def begun_by(self, intent: str) -> Journey | None:
        """The one that ``intent`` begins."""
        return next((one for one in self.journeys if intent in one.begins), None)

    @property
    def ends(self) -> frozenset[str]:
        """The actions that end one."""
        return frozenset(one.ends for one in self.journeys)

    def stale(self, done: Sequence[str]) -> frozenset[str]:
        """The facts that held for journeys that are over."""
        return frozenset(slot for name in done if (one := self.named(name)) for slot in one.once)
