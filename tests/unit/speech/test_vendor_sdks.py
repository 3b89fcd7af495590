"""The vendors' SDKs beside Rasa's version of websockets (throughline/speech/vendor_sdks.py)."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

IMPORTS = """
from throughline.speech import vendor_sdks
vendor_sdks.prepare(), vendor_sdks.prepare()
from deepgram import AsyncDeepgramClient
from elevenlabs.client import AsyncElevenLabs
client = AsyncDeepgramClient(api_key="none")
client.listen.v1, client.listen.v2
AsyncElevenLabs(api_key="none").text_to_speech
"""


def test_the_sdks_can_be_imported_and_made() -> None:
    """In a process of its own: what another test has imported doesn't help."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", IMPORTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_stands_in_can_not_be_used() -> None:
    from throughline.speech import vendor_sdks

    vendor_sdks.prepare()
    from websockets.sync.client import connect

    with pytest.raises(RuntimeError, match=r"websockets 10\.4"):
        connect("wss://example.com")
