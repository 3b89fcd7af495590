"""What is said on the phone, known before anybody calls: the domain's sentences as a call's wording, and their speech made ahead.

A call gets the wording of the domain that is loaded when it begins. In the background of a server the speech of all fixed pieces is made,
one after the other, while nobody is on the line; each start, or each new model, makes only what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from channels.wording import FILLER, NEEDED, sentences
from throughline import log
from throughline.bootstrap import Application, Voice
from throughline.domain.company import Business
from throughline.domain.knowledge import Topic
from throughline.domain.links import LINK_TEXT
from throughline.domain.phone_wording import PhoneWording, phone_wording
from throughline.domain.privacy import placeholders
from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.domain.turns import PHONE, WEB_CHAT

_log = log.get_logger("channels")

LOOK_EVERY_S = 60.0  # for what a call or a voice that was away has kept from being made, and for what a new model says
_BETWEEN_S = 0.05
_NEVER_SPOKEN = frozenset(NEEDED[WEB_CHAT]) - frozenset(NEEDED[PHONE]) | {LINK_TEXT}


def script(responses: Mapping[str, Any], business: Business, topics: Iterable[Topic]) -> PhoneWording:
    """The wording of a domain's ``responses``, and of the answers to ``topics``, whose texts are the company's own, too."""
    texts = [*_phone_texts(responses), *(topic.spoken for topic in topics)]
    fillers = [text for text in sentences(responses, FILLER, PHONE) if not placeholders(text)]
    return phone_wording(texts, fillers=fillers, opening_chars=business.phone.opening_chars, lexicon=business.lexicon)


def _phone_texts(responses: Mapping[str, Any]) -> Iterator[str]:
    """Every text a caller may hear: of each response those for the phone, where it has none those for every channel."""
    for name, variants in responses.items():
        found = sentences(responses, name, PHONE)
        of_phone = any(variant.get("channel") == PHONE for variant in variants)
        if of_phone or name not in _NEVER_SPOKEN:
            yield from found


def formats(voice: Voice) -> Sequence[AudioFormat]:
    """The formats for which speech is made ahead: the telephone's, and our own page's where it costs nothing."""
    return (TELEPHONE,) if voice.paid else (TELEPHONE, WIDEBAND)


class VoiceScript:
    """The loaded domain's wording, and its speech. ``busy``: whether somebody is on the line."""

    def __init__(self, app: Application, voice: Voice, domain_of: Callable[[], Any], busy: Callable[[], bool]) -> None:
        self._app = app
        self._voice = voice
        self._domain_of = domain_of
        self._busy = busy
        self._domain: Any = None
        self._wording = PhoneWording()
        self._made: set[tuple[str, AudioFormat]] = (
            set()
        )  # by this server, each once: what is not kept must not cost again and again

    def wording(self) -> PhoneWording:
        """The wording now; worked out once for each domain."""
        domain = self._domain_of()
        if domain is not self._domain:
            self._domain, self._wording = domain, script(domain.responses, self._app.business, self._app.knowledge.values())
            if self._voice.kept is not None:
                self._voice.kept.keep(self._wording.to_keep)
        return self._wording

    async def make_ahead(self) -> None:
        """Make what speech is missing, each piece once, as long as nobody is on the line. Raises Unavailable where the voice fails. What is
        left is made when it is called again."""
        kept, texts = self._voice.kept, self.wording().to_keep
        if kept is None or not self._app.settings.speech.make_ahead:
            return
        made = 0
        for audio in formats(self._voice):
            left = [text for text in texts if (text, audio) not in self._made]
            for text in await kept.missing(left, audio):
                await asyncio.sleep(_BETWEEN_S)
                if self._busy():
                    return  # calls go first: a voice, like a machine, does only so much at once
                await kept.make(text, audio)
                self._made.add((text, audio))
                made += 1
        if made:
            _log.info("speech.made_ahead", sentences=made)
