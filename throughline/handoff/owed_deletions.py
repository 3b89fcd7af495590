"""Does away with what other companies keep of people who were erased here: messages they left on the telephone, recordings of their calls.

Stands between the record, which notes by that company's id alone what is owed, and the telephone company. What always holds: what could
not be deleted stays noted, and is tried again by whoever calls this next; to delete it twice has no second effect.
"""

from __future__ import annotations

from throughline.errors import Unavailable
from throughline.record import Record
from throughline.record.entries import Owed
from throughline.record.erasing import RECORDING
from throughline.telephony.protocol import Recordings

_GIVE_UP_AFTER = 3
"""Failures in a row: the company is down, or the account is wrong."""


async def delete_owed(record: Record, recordings: Recordings) -> tuple[int, list[Owed]]:
    """Delete all of it, the longest owed first; how much was, and what is left. Raises Unavailable where the record does not answer."""
    deleted, failed = 0, 0
    owed = await record.call(record.owed_deletions)
    left: list[Owed] = []
    for position, one in enumerate(owed):
        try:
            if one.kind == RECORDING:
                await recordings.delete_recording(one.reference)
            else:
                await recordings.delete_recordings_of(one.reference)
        except Unavailable:
            left.append(one)
            failed += 1
            if failed == _GIVE_UP_AFTER:
                return deleted, [*left, *owed[position + 1 :]]
            continue
        failed = 0
        await record.call(record.note_deleted, one)
        deleted += 1
    return deleted, left
