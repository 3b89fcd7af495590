"""YAML that remembers its lines, poured into dataclasses.

A dataclass describes what may stand in a mapping: its fields are the keys, their types the types, ``setting(...)`` adds bounds and the
sentence that documents the key. Whatever does not fit becomes a ``Problem`` with file, line and mend; reading never stops at the first.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError

from throughline.errors import Problem

T = TypeVar("T")


def setting(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    factory: Any = dataclasses.MISSING,
) -> Any:
    """A dataclass field that carries its documentation and its bounds (both ends included)."""
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "choices": choices}
    if factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def load_mapping(path: Path, problems: list[Problem]) -> CommentedMap:
    """The mapping in ``path``; an empty one, and a problem, where there is none."""
    try:
        loaded = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(
            Problem(str(path), f"can't be read ({error.strerror}).", "Restore the file, it ships with the project.")
        )
        return CommentedMap()
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problems.append(
            Problem(f"{path}:{line}", f"is not YAML: {error.problem}.", "Check indentation, colons and quotes there.")
        )
        return CommentedMap()
    if isinstance(loaded, CommentedMap):
        return loaded
    problems.append(Problem(f"{path}:1", "holds no mapping.", "Write `key: value` lines."))
    return CommentedMap()


def line_of(mapping: Mapping[Any, Any], key: Any) -> int:
    """The line on which ``key`` stands, counted from 1; the mapping's own first line where the key is missing."""
    marks = getattr(mapping, "lc", None)
    if marks is None:
        return 1
    position = (marks.data or {}).get(key)
    return int(position[0] if position else marks.line or 0) + 1


def pour(cls: type[T], mapping: Mapping[str, Any], *, file: Path, path: str, problems: list[Problem]) -> T | None:
    """An instance of dataclass ``cls`` from ``mapping``; None if something it cannot do without is missing or wrong.

    ``path`` is the dotted key under which the mapping stands, for messages.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    types = typing.get_type_hints(cls)
    _report_unknown(mapping, fields, file, path, problems)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        key = f"{path}.{name}" if path else name
        if name in mapping:
            where = f"{file}:{line_of(mapping, name)} {key}"
            found = len(problems)
            value = _value(types[name], mapping[name], field.metadata, file, key, where, problems)
            if len(problems) == found:
                values[name] = value
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            problems.append(Problem(f"{file}:{line_of(mapping, None)} {key}", "is missing.", _mend(field.metadata)))
    missing = [
        name
        for name, field in fields.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    return None if missing else cls(**values)


def _report_unknown(
    mapping: Mapping[str, Any], fields: Mapping[str, Any], file: Path, path: str, problems: list[Problem]
) -> None:
    for name in mapping:
        if name in fields:
            continue
        near = difflib.get_close_matches(str(name), list(fields), n=1)
        mend = f"Did you mean `{near[0]}`?" if near else f"Known keys here: {', '.join(fields)}."
        key = f"{path}.{name}" if path else str(name)
        problems.append(Problem(f"{file}:{line_of(mapping, name)} {key}", "is not a known key.", mend))


def _mend(metadata: Mapping[str, Any]) -> str:
    parts = [str(metadata.get("doc") or "Set it.")]
    low, high = metadata.get("minimum"), metadata.get("maximum")
    if low is not None or high is not None:
        parts.append(f"Allowed: {'' if low is None else low} to {'' if high is None else high}.")
    if metadata.get("choices"):
        parts.append(f"One of: {', '.join(metadata['choices'])}.")
    return " ".join(parts)


def _value(
    wanted: Any, raw: Any, metadata: Mapping[str, Any], file: Path, key: str, where: str, problems: list[Problem]
) -> Any:
    """``raw`` as type ``wanted``; a problem is added where it does not fit."""
    if isinstance(wanted, types.UnionType):  # something, or None where the key is missing
        wanted = next(one for one in typing.get_args(wanted) if one is not type(None))
    if dataclasses.is_dataclass(wanted):
        if isinstance(raw, Mapping):
            return pour(typing.cast(type, wanted), raw, file=file, path=key, problems=problems)
        problems.append(Problem(where, "must be a mapping.", _mend(metadata)))
        return None
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is tuple:
        if not isinstance(raw, list):
            problems.append(Problem(where, "must be a list.", _mend(metadata)))
            return ()
        return tuple(_value(arguments[0], item, metadata, file, key, where, problems) for item in raw)
    if origin is dict:
        if not isinstance(raw, Mapping):
            problems.append(Problem(where, "must be a mapping.", _mend(metadata)))
            return {}
        return _entries(arguments[1], raw, metadata, file, key, problems)
    if wanted is float and isinstance(raw, int) and not isinstance(raw, bool):
        raw = float(raw)
    if not isinstance(raw, wanted) or (isinstance(raw, bool) and wanted is not bool):
        problems.append(Problem(where, f"must be {_TYPE_WORDS[wanted]}.", _mend(metadata)))
        return None
    low, high, choices = metadata.get("minimum"), metadata.get("maximum"), metadata.get("choices")
    outside = isinstance(raw, (int, float)) and ((low is not None and raw < low) or (high is not None and raw > high))
    if outside or (choices and raw not in choices):
        problems.append(Problem(where, f"is {raw!r}.", _mend(metadata)))
    return str(raw) if wanted is str else raw


def _entries(
    wanted: Any, raw: Mapping[Any, Any], metadata: Mapping[str, Any], file: Path, key: str, problems: list[Problem]
) -> dict[str, Any]:
    """A mapping with free keys, every value as type ``wanted``."""
    entries = {}
    for name, item in raw.items():
        where = f"{file}:{line_of(raw, name)} {key}.{name}"
        entries[str(name)] = _value(wanted, item, metadata, file, f"{key}.{name}", where, problems)
    return entries


_TYPE_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
