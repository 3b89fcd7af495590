"""What the telephone company is told to do with a call: our addresses, the company's words and the operator's settings in its language.

Used by the webhooks (twilio_webhooks.py) and by a call that ends (phone_line.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from throughline.bootstrap import Application
from throughline.domain import scheduling
from throughline.telephony import twiml

WEBHOOKS = ("voice", "answered", "resume", "dialled", "recorded", "status", "fallback")
"""What the telephone company asks, each below ``/webhooks/phone/``."""

PAGE_CALL_PATH = "/webhooks/phone/page-call"
MEDIA_PATH = "/webhooks/phone/media"
RESUME_PATH = "/webhooks/phone/resume"
DIALLED_PATH = "/webhooks/phone/dialled"
RECORDED_PATH = "/webhooks/phone/recorded"


class LineAnswers:
    """The answers of one application."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.words = app.business.phone.line
        self.public_url = app.settings.public_url()

    @property
    def media_url(self) -> str:
        """Where a call's audio goes: the public address as a websocket's."""
        return self.public_url.replace("http", "ws", 1) + MEDIA_PATH

    def connect(self, token: str, step: int) -> str:
        """Bring the call here, for the ``step``-th time."""
        return twiml.connect(media_url=self.media_url, token=token, then=f"{self.public_url}{RESUME_PATH}?step={step}")

    def person_answers(self, now: datetime) -> bool:
        """Whether there is a person's telephone to put a call through to, and somebody at it."""
        business = self._app.business
        zone = ZoneInfo(business.company.timezone)
        return bool(self._app.settings.twilio.transfer_to) and scheduling.is_open(now, business.hours, zone)

    def put_through(self, says: Sequence[str] = ()) -> str:
        """Ring the person's telephone."""
        settings = self._app.settings.twilio
        then = self.public_url + DIALLED_PATH
        return twiml.put_through(self.words, says, number=settings.transfer_to, ring_s=settings.ring_s, then=then)

    def take_message(self, says: Sequence[str]) -> str:
        """Have the caller leave a message with the telephone company."""
        then = self.public_url + RECORDED_PATH
        return twiml.take_message(self.words, says, most_s=self._app.business.phone.message_s, then=then)

    def call_back(self, says: Sequence[str]) -> str:
        """Tell the caller that somebody calls back, and hang up."""
        return twiml.say_goodbye(self.words, [*says, self.words.call_back])

    def message_taken(self) -> str:
        """Thank for the message, and hang up."""
        return twiml.say_goodbye(self.words, [self.words.message_taken])

    def hang_up(self) -> str:
        """Just end the call."""
        return twiml.hang_up()
