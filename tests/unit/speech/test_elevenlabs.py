"""What is sent to ElevenLabs to be spoken, and what is not loaded without need (throughline/speech/tts/elevenlabs*.py)."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from throughline.speech.tts.elevenlabs_words import as_words

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Thanks, Dana. See you at 9:30!", "Thanks, Dana. See you at 9:30!"),
        ('Wait.<break time="3.0s" />Go on.', 'Wait. break time="3.0s" / Go on.'),
        ('<phoneme alphabet="ipa" ph="x">Dana</phoneme>', 'phoneme alphabet="ipa" ph="x" Dana /phoneme'),
        ("[whispers] the code is [pause] 4", "whispers the code is pause 4"),
        ("&lt;break time='3s'/&gt;", "lt;break time='3s'/ gt;"),
        ("&#60;break&#x3e;", "#60;break #x3e;"),
        ("＜break time='3s'/＞ ［laughs］", "break time='3s'/ laughs"),
        ("a & b, R&D, 5 % of $90", "a & b, R&D, 5 % of $90"),
        ("two\nlines\tand a\x00null", "two lines and a null"),
        ("José, 🙂 “ok”…", "José, 🙂 “ok”…"),
    ],
)
def test_marks_that_would_be_obeyed_go_and_the_words_stay(text: str, words: str) -> None:
    assert as_words(text) == words


@pytest.mark.parametrize("text", ["", " \n", "…", "<>", "[]", "\x00", "🙂"])
def test_what_has_nothing_to_pronounce_is_nothing_to_say(text: str) -> None:
    assert as_words(text) == ""


def test_no_tag_can_be_made_from_what_is_left() -> None:
    for opened in "<＜﹤[［":
        assert not re.search(r"[<>\[\]]", as_words(f"{opened}{opened}break time='1s'/>]＞"))


LIGHT = """
import sys
from throughline.speech.tts.elevenlabs import ElevenLabsTts
ElevenLabsTts("key", voice_id="voice", model="model", first_audio_timeout_ms=1000)
sys.exit(sum(name.partition(".")[0] in ("elevenlabs", "httpx", "deepgram") for name in sys.modules))
"""


def test_the_sdk_is_not_imported_before_it_is_used() -> None:
    """In a process of its own: what another test has imported stays imported."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", LIGHT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
