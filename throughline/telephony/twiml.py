"""What Twilio's webhooks are answered: its markup, built by its SDK, so that no text of ours can be taken for markup.

Pure. Source: twilio.com/docs/voice/twiml (Connect, Stream, Redirect, Say, Dial, Record, Hangup).
"""

from __future__ import annotations

from collections.abc import Iterable

from twilio.twiml.voice_response import Connect, VoiceResponse

from throughline.domain.company import LineWords


def connect(*, media_url: str, token: str, then: str) -> str:
    """Stream the call to ``media_url``; once that is over, ask ``then``."""
    response, stream = VoiceResponse(), Connect()
    stream.stream(url=media_url).parameter(name="token", value=token)
    response.append(stream)
    response.redirect(then, method="POST")
    return str(response)


def put_through(words: LineWords, says: Iterable[str], *, number: str, ring_s: int, then: str) -> str:
    """Say ``says``, ring ``number``, and ask ``then`` how that went. The caller hears the ringing until somebody answers."""
    response = _saying(words, [*says, words.put_through])
    response.dial(number, timeout=ring_s, action=then, method="POST", answer_on_bridge=True)
    return str(response)


def take_message(words: LineWords, says: Iterable[str], *, most_s: int, then: str) -> str:
    """Say ``says`` and record what the caller leaves; Twilio keeps it. Then ask ``then``, also when nothing was left."""
    response = _saying(words, [*says, words.leave_message])
    response.record(max_length=most_s, play_beep=True, action=then, method="POST")
    response.redirect(then, method="POST")  # <Record> asks its action only when something was recorded
    return str(response)


def say_goodbye(words: LineWords, says: Iterable[str]) -> str:
    """Say ``says`` and hang up."""
    response = _saying(words, says)
    response.hangup()
    return str(response)


def hang_up() -> str:
    """End the call."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def _saying(words: LineWords, says: Iterable[str]) -> VoiceResponse:
    response = VoiceResponse()
    for text in says:
        response.say(text, voice=words.voice, language=words.language)
    return response
