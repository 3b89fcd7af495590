"""What conversations lead to: hand-offs to another channel or a person, and outcomes such as a booking.

What always holds: every write carries an idempotency key, and the same key has one effect and gives the same id back. What is left for a
hand-off after it was opened, a spoken message, is added to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from throughline.record.database import OnDatabase
from throughline.record.entries import Handoff, Outcome
from throughline.record.identity import aliases_of, living, utc_now
from throughline.record.limits import check_ids, check_json, check_words
from throughline.record.schema import handoffs, outcomes

RECORDING = "recording"
"""In a packet: where the message is that was left for it. Erasing and retention have it deleted there."""


class Outcomes(OnDatabase):
    """Hand-offs and outcomes."""

    def open_handoff(
        self,
        contact_id: str,
        session_id: str | None,
        *,
        kind: str,
        reason: str,
        packet: Mapping[str, Any],
        idempotency_key: str,
        recording: str = "",
    ) -> str:
        """Pass a conversation on; the hand-off's id. ``recording`` is the address of a message that was left for it: it stands in the
        packet under that name, also of a hand-off that was open before. Raises Rejected("unknown_contact"|"too_long")."""
        check_words(kind=kind)
        check_ids(reason=reason, idempotency_key=idempotency_key)
        whole = {**packet, RECORDING: recording} if recording else dict(packet)
        check_json(packet=whole)
        values = {"kind": kind, "reason": reason, "packet": whole, "idempotency_key": idempotency_key}
        with self._database.writing() as connection:
            handoff_id, is_new = self._write_once(connection, handoffs, "handoff_id", "h_", contact_id, session_id, values)
            if recording and not is_new:
                _add_recording(connection, handoff_id, recording)
        return handoff_id

    def handoffs(self, contact_id: str) -> list[Handoff]:
        """Every hand-off of the person, oldest first. Raises Rejected("unknown_contact")."""
        return [
            Handoff(row.handoff_id, row.contact_id, row.session_id, row.kind, row.reason, row.packet, row.created_at)
            for row in self._rows_of(handoffs, contact_id, handoffs.c.handoff_id)
        ]

    def record_outcome(
        self, contact_id: str, session_id: str | None, *, kind: str, data: Mapping[str, Any], idempotency_key: str
    ) -> str:
        """Note what the conversation led to; the outcome's id. Raises Rejected("unknown_contact"|"too_long")."""
        check_words(kind=kind)
        check_ids(idempotency_key=idempotency_key)
        check_json(data=dict(data))
        values = {"kind": kind, "data": dict(data), "idempotency_key": idempotency_key}
        with self._database.writing() as connection:
            return self._write_once(connection, outcomes, "outcome_id", "o_", contact_id, session_id, values)[0]

    def outcomes(self, contact_id: str) -> list[Outcome]:
        """Every outcome of the person, oldest first. Raises Rejected("unknown_contact")."""
        return [
            Outcome(row.outcome_id, row.contact_id, row.session_id, row.kind, row.data, row.created_at)
            for row in self._rows_of(outcomes, contact_id, outcomes.c.outcome_id)
        ]

    def _write_once(
        self,
        connection: Any,
        table: Any,
        id_column: str,
        prefix: str,
        contact_id: str,
        session_id: str | None,
        values: Mapping[str, Any],
    ) -> tuple[str, bool]:
        """The id of the row of this key, and whether it is new."""
        row = {
            id_column: prefix + secrets.token_urlsafe(16),
            "contact_id": living(connection, contact_id),
            "session_id": session_id,
            "created_at": utc_now(),
            **values,
        }
        is_new = self._database.insert_unless_there(connection, table, row)
        query = sa.select(table.c[id_column]).where(table.c.idempotency_key == values["idempotency_key"])
        return str(connection.execute(query).scalar_one()), is_new

    def _rows_of(self, table: Any, contact_id: str, id_column: Any) -> list[Any]:
        with self._database.reading() as connection:
            mine = table.c.contact_id.in_(aliases_of(connection, contact_id))
            return list(connection.execute(sa.select(table).where(mine).order_by(table.c.created_at, id_column)).all())


def _add_recording(connection: Any, handoff_id: str, recording: str) -> None:
    """Note one more message that was left; one that is noted already changes nothing."""
    this = handoffs.c.handoff_id == handoff_id
    packet = connection.execute(sa.select(handoffs.c.packet).where(this).with_for_update()).scalar_one()
    noted = str(packet.get(RECORDING) or "").split()
    if recording not in noted:
        whole = {**packet, RECORDING: " ".join([*noted, recording])}
        check_json(packet=whole)
        connection.execute(handoffs.update().where(this).values(packet=whole))
