"""The shared record: everything said and known, in one SQL database, for every channel and process.

``import throughline.record as record_room; record = record_room.open(url)``. Importing this never imports Rasa.
"""

from throughline.record.entries import CallToken, Handoff, Heard, Outcome, PhoneCall, PlacedCall, Session, StoredEvent
from throughline.record.store import Record, open

__all__ = ["CallToken", "Handoff", "Heard", "Outcome", "PhoneCall", "PlacedCall", "Record", "Session", "StoredEvent", "open"]
