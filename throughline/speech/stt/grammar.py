"""Reads the grammar of expected answers (grammars/spoken.jsgf) and lists the sentences it allows, each with its probability.

The part of JSGF 1.0 that a list of phrases needs: rules, alternatives ``a | b``, groups ``( )``, options ``[ ]``, comments; no
weights, tags, imports or repetition. Alternatives are equally likely and an option is taken half the time, so that a rule with
many forms of one thing (dates) does not crowd out another (weekdays). ``@name`` stands for a list given by the caller. Source:
W3C note "JSpeech Grammar Format", 5 June 2000.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_RULE = re.compile(r"(public\s+)?<([\w.]+)>\s*=\s*([^;]*);")
_TOKEN = re.compile(r"<[\w.]+>|@\w+|[\w']+|[()\[\]|]")


@dataclass(frozen=True)
class Grammar:
    """``rules``: name -> its definition's tokens. ``public``: the rules that are meant to be asked for."""

    rules: Mapping[str, Sequence[str]]
    public: tuple[str, ...]

    def sentences(self, rule: str, lists: Mapping[str, Sequence[str]] | None = None) -> dict[str, float]:
        """Every sentence ``rule`` allows, with its probability. Raises ValueError for a faulty rule."""
        found = _Expansion(self.rules, lists or {}).of_rule(rule)
        return {" ".join(words): share for words, share in found.items() if words}


def parse(text: str) -> Grammar:
    """The grammar in ``text``. Raises ValueError for text that has no public rule."""
    rules: dict[str, Sequence[str]] = {}
    public = []
    for match in _RULE.finditer(_COMMENT.sub(" ", text)):
        is_public, name, definition = match.groups()
        rules[name] = _TOKEN.findall(definition)
        if is_public:
            public.append(name)
    if not public:
        raise ValueError("the grammar has no public rule")
    return Grammar(rules, tuple(public))


_Words = tuple[str, ...]
_Phrases = dict[_Words, float]  # what may be said in a place, with the probability of each


class _Expansion:
    """Expands rules by recursive descent: alternatives hold sequences, sequences hold items."""

    def __init__(self, rules: Mapping[str, Sequence[str]], lists: Mapping[str, Sequence[str]]) -> None:
        self._rules = rules
        self._lists = lists
        self._known: dict[str, _Phrases] = {}
        self._open: list[str] = []

    def of_rule(self, name: str) -> _Phrases:
        if name in self._known:
            return self._known[name]
        if name not in self._rules:
            raise ValueError(f"the grammar has no rule <{name}>")
        if name in self._open:
            raise ValueError(f"the rule <{name}> stands in itself")
        self._open.append(name)
        tokens = iter([*self._rules[name], ")"])
        expanded = self._alternatives(tokens, ")", name)
        if next(tokens, None) is not None:
            raise ValueError(f"the rule <{name}> closes a bracket it did not open")
        self._open.pop()
        self._known[name] = expanded
        return expanded

    def _alternatives(self, tokens: Iterator[str], closing: str, rule: str) -> _Phrases:
        """Up to the token ``closing``, which is taken."""
        found: list[_Phrases] = []
        sequence: _Phrases = {(): 1.0}
        for token in tokens:
            if token == closing:
                return _either([*found, sequence])
            if token == "|":  # noqa: S105 - a token of the grammar
                found.append(sequence)
                sequence = {(): 1.0}
            else:
                sequence = _both(sequence, self._item(token, tokens, rule))
        raise ValueError(f"the rule <{rule}> leaves a bracket open")

    def _item(self, token: str, tokens: Iterator[str], rule: str) -> _Phrases:
        if token == "(":  # noqa: S105 - a token of the grammar
            return self._alternatives(tokens, ")", rule)
        if token == "[":  # noqa: S105 - a token of the grammar
            return _either([{(): 1.0}, self._alternatives(tokens, "]", rule)])
        if token in (")", "]"):
            raise ValueError(f"the rule <{rule}> closes a bracket it did not open")
        if token.startswith("<"):
            return self.of_rule(token[1:-1])
        if token.startswith("@"):
            return _either([{tuple(entry.split()): 1.0} for entry in self._lists.get(token[1:], ())])
        return {(token,): 1.0}


def _either(choices: Sequence[_Phrases]) -> _Phrases:
    merged: _Phrases = {}
    for phrases in choices:
        for words, share in phrases.items():
            merged[words] = merged.get(words, 0.0) + share / len(choices)
    return merged


def _both(first: _Phrases, second: _Phrases) -> _Phrases:
    joined: _Phrases = {}
    for before, share_before in first.items():
        for after, share_after in second.items():
            joined[before + after] = joined.get(before + after, 0.0) + share_before * share_after
    return joined
