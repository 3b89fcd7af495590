"""Sentences of the domain that a channel says by itself, outside any turn (a notice, an apology, the label of a live line).

They go past the gate of said.py, and so they tell nothing: what always holds is that no place in them is filled but ``{words}`` in a label,
with what the chat's door has found may be shown (chat_door.py). The text message with a link, which an action sends (actions/sent_link.py),
is checked here with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from throughline.domain.key_words import HINTS, KEYS_ALONE
from throughline.domain.links import LINK_TEXT, link_words
from throughline.domain.privacy import filled, placeholders
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.errors import ConfigurationError, Problem

FILLER = "utter_filler"  # what a caller hears while an answer takes long; any number of texts

# What channels and calls say by themselves. Whoever writes a domain must have a text for each.
NEEDED = {
    WEB_CHAT: (
        "utter_answer_late",
        "utter_apology",
        "utter_busy",
        "utter_history_customer",
        "utter_link_account",
        "utter_link_expired",
        "utter_link_unavailable",
        "utter_link_unknown",
        "utter_link_used",
        "utter_live_assistant",
        "utter_live_customer",
        "utter_login_expired",
        "utter_login_invalid",
        "utter_not_stored",
        "utter_postponed",
        "utter_too_fast",
        "utter_too_long",
    ),
    PHONE: (
        "utter_apology",
        "utter_apology_person",
        "utter_call_over",
        "utter_call_welcome",
        FILLER,
        KEYS_ALONE,
        *HINTS,
        "utter_silence_1",
        "utter_silence_2",
        "utter_silence_goodbye",
        "utter_too_long",
    ),
}

# The labels of what was said elsewhere: the only ones with a place, for the words.
_LABELS = frozenset({"utter_history_customer", "utter_live_assistant", "utter_live_customer"})
_WORDS = "words"


def check_wording(domain: Any) -> list[Problem]:
    """A problem for each sentence the channels need and the domain lacks, and for each with a place that a channel has nothing for."""
    problems: dict[str, Problem] = {}
    for channel, names in NEEDED.items():
        for name in names:
            try:
                sentence(domain, name, channel)
            except ConfigurationError as error:
                problems.setdefault(name, error.problems[0])
                continue
            for place in sorted(
                placeholders(sentences(domain.responses, name, channel)) - ({_WORDS} if name in _LABELS else set())
            ):
                what = f"has {{{place}}} in it, for which a channel has no value."
                problems.setdefault(name, Problem(f"domain.yml responses.{name}", what, "Write the sentence without it."))
    if link_words(domain.responses) is None:
        what = "is missing, or has no {link} in its text, or a place for which there is no value."
        mend = "Write a text with {link} in it, and no other place but {code}."
        problems.setdefault(LINK_TEXT, Problem(f"domain.yml responses.{LINK_TEXT}", what, mend))
    return list(problems.values())


def sentence(domain: Any, name: str, channel: str, **values: str) -> str:
    """The text of response ``name`` for ``channel``: the channel's own variant first, else the one for every channel.

    ``{key}`` in it becomes ``values[key]``, once: a value is never read as a template. Raises ConfigurationError if the
    domain has no such text.
    """
    texts = sentences(domain.responses, name, channel)
    if not texts:
        mend = f"Add `{name}` with a text under `responses:`."
        raise ConfigurationError([Problem(f"domain.yml responses.{name}", "is missing or has no text.", mend)])
    return str(filled(texts[0], values))


def sentences(responses: Mapping[str, Any], name: str, channel: str) -> list[str]:
    """All texts of response ``name`` for ``channel``: the channel's own variants, where it has none those for every channel."""
    variants = [variant for variant in responses.get(name, ()) if variant.get("text")]
    chosen = [variant for variant in variants if variant.get("channel") == channel] or [
        variant for variant in variants if not variant.get("channel")
    ]
    return [str(variant["text"]) for variant in chosen]
