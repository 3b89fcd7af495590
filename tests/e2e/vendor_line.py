"""The running product at its vendors: a Twilio number, Deepgram and ElevenLabs, each a local server that speaks the vendor's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import story
from tests.e2e.stack import COMPANY_NUMBER, Stack
from tests.e2e.voice import Voice
from throughline import record as record_room
from throughline.domain.transcripts import TELEPHONE
from throughline.record import Record, Session
from throughline.simulate.deepgram import DeepgramServer
from throughline.simulate.elevenlabs import ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.simulate.twilio import Party, PlacedCall, TwilioApi, TwilioLine

DEEPGRAM_KEY, ELEVENLABS_KEY = "deepgram-key-of-the-tests", "elevenlabs-key-of-the-tests"
PERSON = "+15035550188"
RESTS_S = 1
MOST_CALLS = 8


@dataclass
class VendorLine:
    """What a test needs of it."""

    stack: Stack
    deepgram: DeepgramServer
    elevenlabs: ElevenLabsServer
    twilio: TwilioLine
    api: TwilioApi
    voice: Voice
    record: Record

    def call(self, from_: str) -> PlacedCall:
        """Somebody calls the number."""
        return self.twilio.call(from_=from_, to=COMPANY_NUMBER, stir="TN-Validation-Passed-A")

    async def recording(self, text: str) -> bytes:
        """``text`` in the customer's voice, which Deepgram will understand."""
        audio = await self.voice.audio(text, TELEPHONE)
        self.deepgram.teach(text, TELEPHONE, audio)
        return audio

    def session(self, call: PlacedCall) -> Session:
        """The visit that the call led to."""
        session = self.record.phone_call(call.sid).session
        assert session is not None
        return session

    def heard_from(self, call: PlacedCall) -> list[str]:
        """What the customer said in the call, as the dialogue got it."""
        session = self.session(call)
        events = story.events_of(self.record, session.contact_id, "user")
        return [str(event.data["text"]) for event in events if event.session_id == session.session_id]

    @property
    def log(self) -> str:
        """Everything the server has logged."""
        return (self.stack.folder / "rasa.log").read_text(errors="replace")


def vendor_line(folder: Path, voice: Voice, model: str) -> Iterator[VendorLine]:
    """Start it, with Deepgram's ``model``, and stop it."""
    stack = Stack(
        folder,
        settings={
            "speech": {"retry_after_s": RESTS_S, "stall_timeout_ms": 1500, "deepgram": {"model": model}},
            "twilio": {"transfer_to": PERSON, "text_from": COMPANY_NUMBER},
            "phone": {"turn_timeout_ms": 3000, "max_calls": MOST_CALLS},
        },
        always_open=True,
    )
    twilio = stack.line()
    twilio.parties[PERSON] = Party("completed")
    with (
        in_thread(DeepgramServer(key=DEEPGRAM_KEY)) as deepgram,
        in_thread(ElevenLabsServer(key=ELEVENLABS_KEY)) as elevenlabs,
        in_thread(TwilioApi(twilio, numbers={COMPANY_NUMBER: {}})) as api,
    ):
        stack.environment = {
            "DEEPGRAM_API_KEY": DEEPGRAM_KEY,
            "DEEPGRAM_URL": deepgram.url,
            "ELEVENLABS_API_KEY": ELEVENLABS_KEY,
            "ELEVENLABS_URL": elevenlabs.url,
            "TWILIO_API_URL": api.url,
        }
        stack.start()
        record = record_room.open(stack.database_url, secret=stack.secret)
        try:
            yield VendorLine(stack, deepgram, elevenlabs, twilio, api, voice, record)
        finally:
            stack.stop()
