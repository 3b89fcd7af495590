"""How a call behaves: every threshold of listening, speaking and waiting, with its unit in its name.

Values come from ``endpoints.yml`` (throughline/settings/server.py checks their ranges), those of fillers from data/business/phone.yml;
the defaults are for a telephone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CallSettings:
    """Thresholds of one call."""

    end_of_turn_ms: int = 1000
    """Pause that ends the caller's turn, where nothing tells whether they are done."""
    end_of_turn_told_ms: int = 720
    """The same where the recogniser takes them to be done."""
    end_of_turn_whole_ms: int = 860
    """The same where they have said all that was asked for."""
    end_of_turn_short_ms: int = 380
    """The same where both is so."""
    end_of_turn_long_ms: int = 1300
    """The same where they stopped in the middle: "my number is four seven", "it's um"."""
    flush_ahead_ms: int = 100
    """So long before such a pause is over the recogniser is asked for its last word."""
    speaks_on_ms: int = 60
    """A sound of this length is somebody who speaks on: their turn isn't over, whatever was reported."""
    noise_ms: int = 2500
    """A sound that goes on for longer without a new word is a noise."""
    rehearse_ahead_ms: int = 200
    """So long before such a pause is over the turn is rehearsed, and the voice begins with its answer."""
    lost_final_ms: int = 3000
    """An interim transcript not followed by another for so long makes the engine say what it has."""
    barge_in_words: int = 2
    """Words of a transcript that interrupt the assistant."""
    barge_in_speech_ms: int = 500
    """Loud speech that interrupts the assistant with a transcript of any length."""
    barge_in_hold_ms: int = 160
    """A sound of this length makes the assistant pause, until it is clear whether it is an interruption. 0: it never pauses."""
    barge_in_verdict_ms: int = 350
    """Quiet of this length after such a sound, and no word reported: it was none, and the assistant goes on."""
    barge_in_held_ms: int = 1500
    """The assistant pauses no longer than this for a sound that brings no words."""
    resume_back_ms: int = 240
    """It goes on from so far before where it was cut: the word that was cut is said whole."""
    speech_level_dbfs: float = -40.0
    """Level above which a frame counts as speech for ``barge_in_speech_ms``; 0 is full scale."""

    silence_ms: int = 8000
    """Silence before each step of utter_silence_1, utter_silence_2, utter_silence_goodbye."""
    silence_typing_ms: int = 30_000
    """The same once somebody has typed into the page: writing takes longer than saying."""
    keypad_pause_ms: int = 2500
    """Pause that ends a number typed on the keypad."""
    keypad_whole_pause_ms: int = 700
    """The same once it has as many digits as were asked for."""
    keypad_max_digits: int = 20
    """Digits that end a number at once."""
    typed_max_chars: int = 500
    """Longest text the page may send as a turn; a longer one is answered by utter_too_long."""
    waiting_max: int = 16
    """Typed and keyed turns that may wait for the one under way; a page that sends more breaks the protocol."""

    lead_ms: int = 200
    """How far ahead of real time audio is sent. What is ahead must be cleared when the caller interrupts."""
    speech_ahead_ms: int = 4000
    """How much speech is made before it is sent."""
    speech_timeout_ms: int = 5000
    """How long a speech engine may take to open, or for its next piece of audio."""
    mark_grace_ms: int = 2000
    """How long a mark may be late before its audio is taken to have played."""

    asks_rating: bool = False
    """Callers are asked how it was when the dialogue has ended the call."""
    rating_wait_ms: int = 6000
    """How long their answer is waited for."""

    filler_after_ms: int = 1000
    """A turn that takes longer is bridged by a filler, such as "One moment."."""
    filler_again_ms: int = 5000
    """How long after one filler the next may come in the same turn."""

    max_call_ms: int = 30 * 60_000
    """Longest call. It ends with utter_call_over."""
    ending_grace_ms: int = 30_000
    """How long a call may take to end once it has been decided that it ends."""
    turn_timeout_ms: int = 10_000
    """How long a turn may take before the caller hears an apology."""
    handshake_timeout_ms: int = 10_000
    """How long the other side has to send ``start``, and how long admitting the call may take."""
    send_timeout_ms: int = 5000
    """How long the socket may refuse a message before the call is given up."""
    close_timeout_ms: int = 5000
    """How long each part may take to stop when the call is over."""
