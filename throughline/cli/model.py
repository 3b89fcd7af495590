"""The trained model: made when its inputs have changed, reused otherwise.

A model is named by the hash of everything it is made of, so `rasa run` (which takes the newest) and this file never disagree
for long.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from throughline.errors import ConfigurationError, Problem

MODELS = Path("models")
_INPUTS = ("domain.yml", "config.yml", "requirements.lock")
_INPUT_FOLDERS = ("data/nlu", "data/rules", "data/stories", "data/knowledge", "throughline/nlu")
_KEPT = 3  # older models are removed: each is tens of megabytes


def model_path() -> Path:
    """Where the model of the present inputs is, or will be."""
    return MODELS / f"{inputs_hash()}.tar.gz"


def inputs_hash() -> str:
    """16 hex digits over the names and contents of all that goes into a model."""
    paths = [Path(name) for name in _INPUTS]
    for folder in _INPUT_FOLDERS:
        paths += sorted(path for path in Path(folder).rglob("*") if path.suffix in (".yml", ".md", ".py"))
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.as_posix()}:{len(content)}:".encode() + content)
    return digest.hexdigest()[:16]


def train(console: Console | None = None) -> Path:
    """The model of the present inputs, trained if it is not there. Raises ConfigurationError where training fails."""
    console = console or Console()
    model = model_path()
    if model.exists():
        os.utime(model)  # `rasa run` takes the newest
        console.print(f"[green]✓[/] model {model.name} is up to date")
        return model
    log_file = Path("var/train.log")
    log_file.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    name = model.name.removesuffix(".tar.gz")
    command = [sys.executable, "-m", "rasa", "train", "--fixed-model-name", name, "--out", str(MODELS)]
    with log_file.open("w") as log, console.status("training the model (about a minute) ...") as status:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=quiet_environment())  # noqa: S603 - our own command
        while process.poll() is None:
            status.update(f"training the model ... {time.monotonic() - began:.0f} s, {_last_step(log_file)}")
            time.sleep(0.5)
    if process.returncode != 0 or not model.exists():
        tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-15:])
        mend = f"Mend what is named there; the whole log is {log_file}."
        raise ConfigurationError([Problem("rasa train", f"failed:\n{tail}\n", mend)])
    console.print(f"[green]✓[/] model {model.name} trained in {time.monotonic() - began:.0f} s")
    for old in sorted(MODELS.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        old.unlink()
    return model


def quiet_environment(**extra: str) -> dict[str, str]:
    """The environment for Rasa's processes: without TensorFlow's and SQLAlchemy's noise, without telemetry, one thread per
    model."""
    return {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
        "RASA_TELEMETRY_ENABLED": "false",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONUNBUFFERED": "1",
        **extra,
    }


def _last_step(log_file: Path) -> str:
    """What training is at, from its log."""
    lines = [line for line in log_file.read_text(errors="replace").splitlines() if "INFO" in line]
    return lines[-1].split(" - ")[-1][:80] if lines else "starting"
