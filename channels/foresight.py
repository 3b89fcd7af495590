"""Understanding what a caller may have said, before they have ended.

Stands between the runner and Rasa's ``MessageProcessor``. A call tells what the next turn may be (throughline/call/turn_taking.py); it is
parsed while the caller's pause is waited for, and the turn, if it comes with these words, finds the parsing done. Nothing else is done
ahead, so nothing has to be undone when the caller goes on.

Always holds: what is found is what parsing would have given: of the conversation only the open question has a part in it
(throughline/nlu/spoken_entities.py), and it is part of the key; what "tomorrow" means is asked again after a few seconds.
"""

from __future__ import annotations

import copy
import time
from collections import OrderedDict
from typing import Any

from rasa.core.channels.channel import UserMessage
from rasa.core.processor import MessageProcessor
from rasa.shared.core.constants import REQUESTED_SLOT
from rasa.shared.core.events import SlotSet
from rasa.shared.core.trackers import DialogueStateTracker

_MOST = 256
_GOOD_FOR_S = 10.0


class Foresight:
    """Stands in for ``MessageProcessor.parse_message``. Used on the turn loop alone."""

    def __init__(self, processor: MessageProcessor) -> None:
        self._processor = processor
        self._parse = processor.parse_message
        self._found: OrderedDict[tuple[str, str | None], tuple[float, dict[str, Any]]] = OrderedDict()
        self.used = 0

    async def look(self, text: str, slot: str | None) -> dict[str, Any]:
        """Parse ``text`` as the answer to the question for ``slot``."""
        key = (text, slot)
        if (known := self._known(key)) is not None:
            return known
        slots = [declared for declared in self._processor.domain.slots if declared.name == REQUESTED_SLOT]
        tracker = DialogueStateTracker.from_events("foresight", [SlotSet(REQUESTED_SLOT, slot)], slots=slots)
        parsed: dict[str, Any] = await self._parse(UserMessage(text), tracker)
        self._found.pop(key, None)
        self._found[key] = time.monotonic(), parsed
        while len(self._found) > _MOST or self._known(next(iter(self._found))) is None:  # words are not kept beyond their use
            self._found.popitem(last=False)
        return parsed

    async def parse_message(
        self, message: UserMessage, tracker: DialogueStateTracker | None = None, only_output_properties: bool = True
    ) -> dict[str, Any]:
        """What Rasa's own gives."""
        slot = tracker.get_slot(REQUESTED_SLOT) if tracker is not None else None
        known = self._known((message.text, slot)) if only_output_properties else None
        if known is not None:
            self.used += 1
            return copy.deepcopy(known)
        parsed: dict[str, Any] = await self._parse(message, tracker, only_output_properties)
        return parsed

    def _known(self, key: tuple[str, str | None]) -> dict[str, Any] | None:
        at_s, parsed = self._found.get(key, (float("-inf"), None))
        return parsed if time.monotonic() - at_s <= _GOOD_FOR_S else None
