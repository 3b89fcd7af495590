"""How the parts are chosen, and the key for one-time codes."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from throughline import bootstrap
from throughline.settings.server import Settings

pytestmark = pytest.mark.unit


def test_the_key_comes_from_the_environment_where_it_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "SECRET_FILE", tmp_path / "secret")
    monkeypatch.setenv("THROUGHLINE_SECRET", "from the environment")
    assert bootstrap.code_secret(Settings()) == b"from the environment"
    assert not (tmp_path / "secret").exists()


def test_else_a_random_one_is_kept_and_only_its_owner_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "var" / "secret"
    monkeypatch.setattr(bootstrap, "SECRET_FILE", file)
    monkeypatch.delenv("THROUGHLINE_SECRET", raising=False)
    key = bootstrap.code_secret(Settings())
    assert len(key) == 32
    assert bootstrap.code_secret(Settings()) == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_without_a_whisper_model_the_demo_recogniser_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for directory in (tmp_path / "none", tmp_path):
        monkeypatch.setenv("THROUGHLINE_WHISPER_DIR", str(directory))
        assert bootstrap.listening(Settings()).demo


def test_the_action_server_never_loads_rasa() -> None:
    code = (
        "import actions.resume, throughline.bootstrap, sys; sys.exit(int('rasa' in sys.modules or 'tensorflow' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
