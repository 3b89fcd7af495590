"""Fetches a Whisper model into a directory: what ``throughline fetch-whisper NAME DIR`` does.

The only place in the speech rooms that goes to the network, and only when a person asks. All files come from one commit of the
model's repository (the newest one, or the one named ``NAME@REVISION``), noted in ``fetched.json``; a fetch that was cut off goes
on where it stopped; the weights' SHA-256 is compared with what the model hub says. The hub's address can be changed with the
environment variable HF_ENDPOINT (huggingface_hub's own), which is how a company mirrors it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from throughline.errors import Rejected, Unavailable
from throughline.speech.stt.whisper import missing_files

# CTranslate2 conversions of OpenAI's models, from small to large. English is what this line speaks: prefer the .en ones.
MODELS = {
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "base.en": "Systran/faster-whisper-base.en",
    "small.en": "Systran/faster-whisper-small.en",
    "medium.en": "Systran/faster-whisper-medium.en",
    "tiny": "Systran/faster-whisper-tiny",
    "base": "Systran/faster-whisper-base",
    "small": "Systran/faster-whisper-small",
    "medium": "Systran/faster-whisper-medium",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "large-v3": "Systran/faster-whisper-large-v3",
}
FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.json", "vocabulary.txt")
NOTE = "fetched.json"
MOST_BYTES = 4_000_000_000
_TIMEOUT_S = 10


def fetch_whisper(name: str, directory: Path, *, endpoint: str | None = None, most_bytes: int = MOST_BYTES) -> None:
    """Fetch model ``name`` (one of MODELS, or ``owner/repository``; both may carry ``@revision``) into ``directory``.

    Shows its progress on the terminal. Raises Rejected (``unknown_model``, ``too_large``, ``no_space``, ``not_a_whisper_model``,
    ``damaged``) or Unavailable (the hub cannot be reached), both saying what to do.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError as error:
        raise Unavailable("huggingface_hub is not installed: install the package faster-whisper.") from error
    model, _, revision = name.partition("@")
    repository = MODELS.get(model, model)
    if "/" not in repository:
        raise Rejected("unknown_model", f"{model!r} is none of {', '.join(MODELS)}, and no owner/repository.")
    try:
        info = huggingface_hub.HfApi(endpoint=endpoint, token=False).model_info(
            repository, revision=revision or None, files_metadata=True, timeout=_TIMEOUT_S
        )
        wanted = [sibling for sibling in info.siblings or () if sibling.rfilename in FILES]
        _check_size(sum(sibling.size or 0 for sibling in wanted), directory, most_bytes)
        huggingface_hub.snapshot_download(
            repository,
            revision=info.sha,
            local_dir=directory,
            allow_patterns=list(FILES),
            endpoint=endpoint,
            token=False,
            etag_timeout=_TIMEOUT_S,
            max_workers=2,
        )
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
        raise Rejected("unknown_model", f"the hub has no model {name!r}.") from error
    except OSError as error:  # requests' errors and huggingface_hub's are all OSErrors
        raise Unavailable(_how_else(name, directory, error)) from error
    _check_files(directory, wanted)
    note = {"repository": repository, "revision": info.sha}
    (directory / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def _check_size(size_bytes: int, directory: Path, most_bytes: int) -> None:
    if size_bytes > most_bytes:
        raise Rejected(
            "too_large", f"the model has {size_bytes / 1e9:.1f} GB, more than {most_bytes / 1e9:.1f}: take a smaller one."
        )
    directory.mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(directory).free
    if size_bytes > free_bytes:
        raise Rejected(
            "no_space", f"{directory} has room for {free_bytes / 1e9:.1f} GB, the model needs {size_bytes / 1e9:.1f}."
        )


def _check_files(directory: Path, wanted: list[Any]) -> None:
    if missing := missing_files(directory):
        what = f"{', '.join(missing)} missing: it must be a model for faster-whisper (CTranslate2 format)."
        raise Rejected("not_a_whisper_model", what)
    for sibling in wanted:
        if sibling.lfs and _sha256(directory / sibling.rfilename) != sibling.lfs.sha256:
            (directory / sibling.rfilename).unlink()
            raise Rejected("damaged", f"{sibling.rfilename} did not arrive whole and was deleted: fetch it again.")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _how_else(name: str, directory: Path, error: OSError) -> str:
    return (
        f"the model hub cannot be reached ({type(error).__name__}). Try again, which goes on where this stopped; or set HF_ENDPOINT "
        f"to a mirror; or run `throughline fetch-whisper {name} DIR` on a machine that is online and copy DIR to {directory}."
    )
