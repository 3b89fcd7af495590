"""Stories held on each channel, moved to the other one in the middle, and how the two are compared. Every conversation is held on a record
in which nothing has happened yet, so that all find the same days free.

What must hold of a moved conversation, beside the same words on one channel: it greets with what is known and puts the very question that
was open; after each later message the same is asked, known and said; nothing is asked that is known; it leads to the same, once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TypeVar
from zoneinfo import ZoneInfo

from rasa.shared.core.domain import Domain

from channels.turns import APOLOGY, CALLED
from tests.e2e.held import ASKS, OTHER, BlankRecord, Conversation, Held, Moved, Standing, in_words, place
from tests.e2e.story_words import StoryWords
from tests.e2e.talk import Assistant
from throughline.domain import recap
from throughline.domain.turns import PHONE, WEB_CHAT

H = TypeVar("H", bound=Held)

_CODE = re.compile(r"\b\d(?:[ ,]*\d){7}\b")
_RESUMED = {"ui_visit": "utter_resume_booked", "ui_handed_over": "utter_resume_person"}
"""How the greeting tells what a conversation has led to, by the slot that notes it."""

_TO_STRANGERS = ("utter_call_welcome", "utter_call_claimed")
_TAIL = 20  # answers at most behind a story's own words


@dataclass(frozen=True)
class Fault:
    """Something that does not hold. ``kind`` is one of KINDS."""

    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}\n    {self.what}"


KINDS = ("not one", "greeting", "otherwise", "asked again", "lost or doubled", "apologised", "channels differ")

BY_OUR_CALL = "it begins in a call that we place: before its yes there is nothing to move, and the yes is the move"
CALL_OVER = "the call has ended by then: nobody asks for a code in it"
NO_SUCH_CALL = "the same words on the phone end the call before: there is no call to compare it with"


@dataclass
class Tried:
    """A story with its moves: those that were made, each with what does not hold of it; those that were not, each with the reason;
    what does not hold of the story as it was held on each channel; and how often the clock had gone on meanwhile to where other visits are
    free, so that it was held once more."""

    story: StoryWords
    moved: list[tuple[Moved, list[Fault]]] = field(default_factory=list)
    not_moved: list[tuple[str, str]] = field(default_factory=list)
    unmoved: list[Fault] = field(default_factory=list)
    held_again: int = 0

    @property
    def faults(self) -> list[Fault]:
        """All of them."""
        return [*self.unmoved, *(fault for _, faults in self.moved for fault in faults)]


_SPEED = "ui_speed"
_SAID_AGAIN = "what was said last"
_SAYS_AGAIN = frozenset({"utter_said_again", "utter_what_next_again", "utter_resume_open_again"})


class Stage:
    """Holds conversations with one assistant, each on a blank record. ``answers``: what is said to questions that are still open after a
    story's own words; None to stop there."""

    def __init__(self, assistant: Assistant, answers: Mapping[str, str] | None = None) -> None:
        self._assistant = assistant
        self._answers = answers or {}
        self._blank = BlankRecord(assistant)
        self.domain: Domain = assistant.agent.domain
        self._questions = _questions(self.domain)

    async def hold(self, story: StoryWords, channel: str) -> Held:
        """The whole story on one channel."""
        conversation, standing = await self._opened(story, channel)
        held = Held(story, channel, standings=[standing])
        for text in self._words_of(story, held):
            held.standings.append(await conversation.says(text))
            held.words += (text,)
        return await self._ended(conversation, held)

    async def move(self, unmoved: Held, channel: str, after: int) -> Moved:
        """The words of a story that was held before, from ``channel`` to the other one after so many of them."""
        story = unmoved.story
        conversation, standing = await self._opened(story, channel)
        moved = Moved(story, channel, words=unmoved.words, standings=[standing], after=after)
        for text in unmoved.words[:after]:
            moved.standings.append(await conversation.says(text))
        moved.asking = await conversation.asks_for_a_code()
        found = _CODE.search(moved.asking.words)
        if found is None:
            moved.broken = f"no code was given: {moved.asking.words}"
            return moved
        moved.greeting = await conversation.gives("".join(re.findall(r"\d", found[0])))
        moved.broken = conversation.broken()
        if moved.broken:
            moved.broken += f": {moved.greeting.words}"
            return moved
        for text in unmoved.words[after:]:
            moved.standings.append(await conversation.says(text))
        moved.broken = conversation.broken()
        await self._ended(conversation, moved)
        return moved

    async def try_moves(self, story: StoryWords, places: Callable[[Sequence[int]], Sequence[int]] = list) -> Tried:
        """Move a story from each channel to the other after so many of its messages as ``places`` chooses."""
        tried = Tried(story)
        if CALLED in story.opening:
            tried.not_moved.append((story.name, BY_OUR_CALL))
            return tried
        unmoved = {channel: await self.hold(story, channel) for channel in OTHER}
        tried.unmoved += self.unmoved_faults(unmoved)
        from_its_beginning = bool(story.before or story.opening)  # before that nothing was said
        for channel, other in OTHER.items():
            for after in places(range(0 if from_its_beginning else 1, len(story.words) + 1)):
                reason = _why_not(unmoved, channel, after)
                if reason:
                    tried.not_moved.append((f"{story.name!r}, from {channel} after {place(story.words[:after])}", reason))
                    continue
                moved = await self.move(unmoved[other], channel, after)
                faults = self.faults(moved, unmoved[other])
                if faults and not _alike(again := await self.hold(story, other), unmoved[other]):
                    tried.held_again += 1
                    unmoved[other] = again
                    faults = self.faults(moved, again)
                tried.moved.append((moved, faults))
        return tried

    def _apologies(self, conversation: Sequence[tuple[str, Standing]], where: str) -> list[Fault]:
        """The messages to which there was no better answer than that something is wrong on our side."""
        sorry = {str(variant["text"]) for variant in self.domain.responses[APOLOGY]}
        return [
            Fault("apologised", where, f"to {text!r}: {standing.words}")
            for text, standing in conversation
            if any(apology in standing.words for apology in sorry)
        ]

    async def _opened(self, story: StoryWords, channel: str) -> tuple[Conversation, Standing]:
        self._blank.restore()
        conversation = Conversation(self._assistant)
        standing = await conversation.begins(channel)
        for text in story.before:
            standing = await conversation.says(text)
        if story.opening:
            standing = await conversation.finds(story.opening)
        return conversation, standing

    def _words_of(self, story: StoryWords, held: Held) -> Iterator[str]:
        """The story's own words, then answers while a question is open that has one; none once a call has ended."""
        for text in story.words:
            yield text
            if held.is_over:
                return
        answered: set[str] = set()
        while len(answered) < _TAIL and (asked := held.standings[-1].asked) in self._answers and asked not in answered:
            assert asked is not None
            answered.add(asked)
            yield self._answers[asked]

    async def _ended(self, conversation: Conversation, held: H) -> H:
        held.ending = await conversation.ending()
        held.asked_again = conversation.asked_again() + self.known_and_asked(held.all_standings())
        return held

    # ---- comparing

    def known_and_asked(self, standings: Sequence[Standing]) -> list[str]:
        """The slots for which a question was put in words though they have a value."""
        put = [(self._questions[name], one.facts) for one in standings for name in one.said if name in self._questions]
        return [slot for slot, facts in put if slot in facts]

    def faults(self, moved: Moved, unmoved: Held) -> list[Fault]:
        """What does not hold of a moved conversation beside the same words on the channel that it was moved to."""
        if moved.broken:
            return [Fault("not one", str(moved), moved.broken)]
        said = [(ASKS[moved.channel], moved.asking), ("the code", moved.greeting)]
        return [
            *self._apologies(said, str(moved)),
            *self._at_the_move(moved),
            *_afterwards(moved, unmoved),
            *_in_the_end(moved, unmoved),
        ]

    def unmoved_faults(self, unmoved: Mapping[str, Held]) -> list[Fault]:
        """What does not hold of a story that was held on each channel without a move."""
        chat, phone = unmoved[WEB_CHAT], unmoved[PHONE]
        found = [
            Fault("asked again", f"{held.story.name!r}, on {held.channel} alone", f"asked for {slot!r}, which was known")
            for held in (chat, phone)
            for slot in held.asked_again
        ]
        for held in (chat, phone):
            said = list(zip(held.words, held.standings[1:], strict=True))
            found += self._apologies(said, f"{held.story.name!r}, on {held.channel} alone")
        for number, (there, here) in enumerate(zip(chat.standings, phone.standings, strict=False)):
            if (there.question, there.facts) != (here.question, here.facts):
                where = f"{chat.story.name!r}, after {place(chat.words[:number])}"
                return [*found, Fault("channels differ", where, f"from chat to phone: {_difference(there, here)}")]
        if chat.words == phone.words and chat.ending != phone.ending:
            return [
                *found,
                Fault("channels differ", f"{chat.story.name!r}, in the end", f"{chat.ending}, by phone {phone.ending}"),
            ]
        return found

    def _at_the_move(self, moved: Moved) -> Iterator[Fault]:
        before, asking, greeting = moved.standings[moved.after], moved.asking, moved.greeting
        if (asking.question, asking.facts) != (before.question, before.facts):
            yield Fault("otherwise", str(moved), f"to {ASKS[moved.channel]!r} {_difference(before, asking)}")
        if (greeting.question, greeting.facts) != (before.question, before.facts):
            yield Fault("greeting", str(moved), f"the code was answered by {greeting.words!r}: {_difference(before, greeting)}")
        put = [self._questions[name] for name in greeting.said if name in self._questions]
        wanted = [before.asked] if before.asked else []
        if put != wanted:
            yield Fault("greeting", str(moved), f"open was {wanted}, asked was {put}: {greeting.words!r}")
        resumed = next((response for slot, response in _RESUMED.items() if slot in before.noted and not before.form), None)
        if resumed is not None:
            if resumed not in greeting.said:
                yield Fault("greeting", str(moved), f"it had led to something, told was {greeting.words!r}")
            return
        known = self._known(before, OTHER[moved.channel])
        if known is not None and known not in greeting.words:
            yield Fault("greeting", str(moved), f"known was {known!r}, told was {greeting.words!r}")
        if greeting.said[-1] in _TO_STRANGERS:
            yield Fault("greeting", str(moved), f"who has given the code is greeted as a stranger: {greeting.words!r}")

    def _known(self, before: Standing, channel: str) -> str | None:
        """What the greeting is to say of the facts, beside the name that it begins with: in a journey, of those that it needs."""
        business = self._assistant.app.business
        journey = business.journeys.named(before.journey) if before.form else None
        facts = {slot: value for slot, value in before.facts.items() if journey is None or slot in journey.needs}
        today = datetime.now(timezone.utc).astimezone(ZoneInfo(business.company.timezone)).date()
        said = recap.in_one_breath(recap.told(facts), business.words, today, without=("customer_name",))
        if said is None:
            return None
        return said.spoken if channel == PHONE else said.shown


def _why_not(unmoved: Mapping[str, Held], channel: str, after: int) -> str:
    """Why a story can't be moved there, or not be compared; empty where it can."""
    if any(standing.over for standing in unmoved[channel].standings[: after + 1]):
        return CALL_OVER
    return NO_SUCH_CALL if after > len(unmoved[OTHER[channel]].words) else ""


def _alike(one: Held, other: Held) -> bool:
    """Whether two times the same words on the same channel led to the same."""
    return list(map(_comparable, one.standings)) == list(map(_comparable, other.standings)) and one.ending == other.ending


def _afterwards(moved: Moved, unmoved: Held) -> Iterator[Fault]:
    for number in range(moved.after + 1, len(moved.standings)):
        here, there = moved.standings[number], unmoved.standings[number]
        if _comparable(here) != _comparable(there):
            message = f"message {number}, {moved.words[number - 1]!r}, was answered by {here.words!r}, on one channel by {there.words!r}"
            yield Fault("otherwise", str(moved), f"{message}: {_difference(there, here)}")
            return  # what comes after follows from it


def _in_the_end(moved: Moved, unmoved: Held) -> Iterator[Fault]:
    for slot in moved.asked_again:
        yield Fault("asked again", str(moved), f"asked for {slot!r}, which was known")
    assert moved.ending is not None
    assert unmoved.ending is not None
    for part in ("visits", "cases", "handoffs", "outcomes"):
        here, there = getattr(moved.ending, part), getattr(unmoved.ending, part)
        if here != there:
            yield Fault("lost or doubled", str(moved), f"{part}: lost {dict(there - here)}, too many {dict(here - there)}")
    if moved.ending.facts != unmoved.ending.facts:
        yield Fault(
            "lost or doubled",
            str(moved),
            f"facts: {in_words(moved.ending.facts)}, on one channel {in_words(unmoved.ending.facts)}",
        )


def _comparable(standing: Standing) -> tuple[object, ...]:
    # How fast to speak is a caller's wish alone; and what is said again is what was said last, which is the greeting after a move.
    noted = standing.noted - {_SPEED}
    said = tuple(_SAID_AGAIN if name in _SAYS_AGAIN else name for name in standing.said)
    return standing.question, standing.journey, standing.facts, noted, said, standing.over


def _difference(there: Standing, here: Standing) -> str:
    """In what ``here`` differs from ``there``."""
    parts = {
        "question": (there.question, here.question),
        "facts": (in_words(there.facts), in_words(here.facts)),
        "noted": (sorted(there.noted), sorted(here.noted)),
        "said": (there.said, here.said),
        "call over": (there.over, here.over),
    }
    return "; ".join(f"{name} {was} became {now}" for name, (was, now) in parts.items() if was != now)


def _questions(domain: Domain) -> dict[str, str]:
    """The slot that each response asks for that is a form's question, or the same once more in plainer words."""
    named = {}
    for form, definition in domain.forms.items():
        for slot in definition.get("required_slots", ()):
            for name in (f"utter_ask_{slot}", f"utter_ask_{form}_{slot}", f"utter_again_{slot}"):
                named[name] = slot
    return {name: slot for name, slot in named.items() if name in domain.responses}
