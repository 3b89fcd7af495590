"""The demo site's own scripts that need no browser: samples, resampling, jitter buffer, media protocol, a call's states, words.

The tests are JavaScript, in ``*.test.js`` beside this file, and run under Node's own test runner.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def node() -> str:
    """Node.js: the machine's, or the one installed with the project's tools."""
    found = shutil.which("node") or shutil.which("node", path=ROOT / ".tools" / "bin")
    assert found, "Node.js is missing. `make install` brings it."
    return found


def test_the_sites_scripts_keep_their_word() -> None:
    files = sorted(str(path) for path in HERE.glob("*.test.js"))
    run = subprocess.run(
        [node(), "--test", "--test-reporter=tap", *files], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    passed = re.search(r"^# pass (\d+)$", run.stdout, re.MULTILINE)
    assert passed and int(passed.group(1)) >= len(files), "no test ran"
