"""Another process that works on the same record, for tests: the command line, the action server, a second server.

    python -m tests.unit.record.committer URL CONTACT EVENTS [PAUSE_S]

Commits so many events of the contact one by one; prints the ``seq`` after each.
"""

from __future__ import annotations

import sys
import time

import throughline.record as record_room
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id


def main() -> None:
    """Commit and print."""
    url, contact_id, events, *pause_s = sys.argv[1:]
    record = record_room.open(url)
    for number in range(int(events)):
        event_id = new_event_id()
        data = {"event": "bot", "text": str(number), "timestamp": 1.0, "metadata": {"event_id": event_id}}
        record.append_events(contact_id, [NewEvent(event_id, data, None, None)], expected=None)
        print(number, flush=True)
        if pause_s:
            time.sleep(float(pause_s[0]))


if __name__ == "__main__":
    main()
