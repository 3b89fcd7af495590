"""How much the record takes. Checked at its edge, before anything is written; what is too long is ``Rejected("too_long")``, what no
database can hold as text ``Rejected("not_text")``.

These bounds protect the database from a fault or an attack. What a channel accepts from a customer is far below them.
"""

from __future__ import annotations

import json
from typing import Any

from throughline.errors import Rejected
from throughline.record.schema import ID_CHARS, WORD_CHARS

TEXT_CHARS = 16_000  # one message, one note, one heard utterance
JSON_CHARS = 512_000  # one event, one packet, one outcome


def check_ids(**values: str | None) -> None:
    """Ids, keys, addresses and reasons. Raises Rejected."""
    _check(values, ID_CHARS)


def check_words(**values: str | None) -> None:
    """Names of kinds, channels, origins. Raises Rejected."""
    _check(values, WORD_CHARS)


def check_texts(**values: str | None) -> None:
    """What people say and read. Raises Rejected."""
    _check(values, TEXT_CHARS)


def check_json(**values: Any) -> None:
    """Free-form data: its size as JSON. Raises Rejected, also for what JSON cannot hold."""
    for name, value in values.items():
        try:
            size = len(json.dumps(value, ensure_ascii=False))
        except (TypeError, ValueError) as error:
            raise Rejected("not_json", f"{name}: {error}") from error
        if size > JSON_CHARS:
            raise Rejected("too_long", f"{name} has {size} characters of JSON, {JSON_CHARS} are allowed")


def _check(values: dict[str, str | None], allowed: int) -> None:
    for name, value in values.items():
        if value is None:
            continue
        if "\x00" in value or not _is_utf8(value):
            raise Rejected("not_text", name)
        if len(value) > allowed:
            raise Rejected("too_long", f"{name} has {len(value)} characters, {allowed} are allowed")


def _is_utf8(value: str) -> bool:
    """False for a string with half of a surrogate pair in it, which JSON can bring and no database takes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
