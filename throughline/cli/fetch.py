"""``throughline fetch-whisper``: a better ear for the phone line."""

from __future__ import annotations

from pathlib import Path

from throughline.settings.server import load_settings
from throughline.speech.stt.fetch_whisper import fetch_whisper as fetch


def fetch_whisper(name: str, directory: Path | None) -> int:
    """Download model ``name`` into ``directory`` (default: where the line looks for it). Raises Unavailable or Rejected."""
    target = directory or load_settings().whisper_dir()
    fetch(name, target)
    print(f"Whisper {name} is in {target}. The phone line uses it from its next start.")
    return 0
