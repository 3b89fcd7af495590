"""The names of the files with which pocketsphinx listens: ``pocketsphinx_models`` writes them, ``pocketsphinx_ear`` reads them.

Apart from both, because every call starts an ear in a process of its own, and loading what makes the models took half of that start.
"""

from __future__ import annotations

from pathlib import Path

DICTIONARY = "words.dict"
GRAMMARS = Path(__file__).parent / "grammars"
DIGITS_GRAMMAR = GRAMMARS / "digits.jsgf"


def language_model_file(kind: str) -> str:
    """The name of the file with the language model for an expectation's kind."""
    return f"{kind}.arpa"
