"""Reads the grammar of expected answers (grammars/*.jsgf) and lists the sentences it allows.

The part of JSGF 1.0 that a list of phrases needs: rules, alternatives ``a | b``, groups ``( )``, options ``[ ]``, comments; no
weights, tags, imports or repetition. ``@name`` stands for a list given by the caller. Source: W3C note "JSpeech Grammar Format",
5 June 2000.
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

    def sentences(self, rule: str, lists: Mapping[str, Sequence[str]] | None = None) -> list[str]:
        """Every sentence ``rule`` allows, each once, in the order of the grammar. Raises ValueError for a faulty rule."""
        found = _Expansion(self.rules, lists or {}).of_rule(rule)
        return list(dict.fromkeys(" ".join(words) for words in found if words))


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


class _Expansion:
    """Expands rules by recursive descent: alternatives hold sequences, sequences hold items."""

    def __init__(self, rules: Mapping[str, Sequence[str]], lists: Mapping[str, Sequence[str]]) -> None:
        self._rules = rules
        self._lists = lists
        self._known: dict[str, list[_Words]] = {}
        self._open: list[str] = []

    def of_rule(self, name: str) -> list[_Words]:
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

    def _alternatives(self, tokens: Iterator[str], closing: str, rule: str) -> list[_Words]:
        """Up to the token ``closing``, which is taken."""
        found: list[_Words] = []
        sequence: list[_Words] = [()]
        for token in tokens:
            if token == closing:
                return found + sequence
            if token == "|":  # noqa: S105 - a token of the grammar
                found += sequence
                sequence = [()]
            else:
                items = self._item(token, tokens, rule)
                sequence = [before + after for before in sequence for after in items]
        raise ValueError(f"the rule <{rule}> leaves a bracket open")

    def _item(self, token: str, tokens: Iterator[str], rule: str) -> list[_Words]:
        if token == "(":  # noqa: S105 - a token of the grammar
            return self._alternatives(tokens, ")", rule)
        if token == "[":  # noqa: S105 - a token of the grammar
            return [(), *self._alternatives(tokens, "]", rule)]
        if token in (")", "]"):
            raise ValueError(f"the rule <{rule}> closes a bracket it did not open")
        if token.startswith("<"):
            return self.of_rule(token[1:-1])
        if token.startswith("@"):
            return [tuple(entry.split()) for entry in self._lists.get(token[1:], ())]
        return [(token,)]
