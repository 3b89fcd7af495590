"""One running product for all end-to-end tests, and the voice of their customers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack
from tests.e2e.vendor_line import VendorLine, vendor_line
from tests.e2e.voice import Voice
from throughline import record as record_room
from throughline.record import Record


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The running product."""
    running = Stack(tmp_path_factory.mktemp("stack"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def record(stack: Stack) -> Record:
    """The running product's record."""
    return record_room.open(stack.database_url, secret=stack.secret)


@pytest.fixture(scope="session")
def nova(tmp_path_factory: pytest.TempPathFactory, voice: Voice) -> Iterator[VendorLine]:
    """A telephone number whose calls Deepgram's Nova hears."""
    yield from vendor_line(tmp_path_factory.mktemp("nova"), voice, "nova-3")


@pytest.fixture(scope="session")
def flux(tmp_path_factory: pytest.TempPathFactory, voice: Voice) -> Iterator[VendorLine]:
    """A telephone number whose calls Deepgram's Flux hears."""
    yield from vendor_line(tmp_path_factory.mktemp("flux"), voice, "flux-general-en")


@pytest.fixture(scope="session")
def voice() -> Voice:
    """A customer's voice."""
    return Voice()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots go."""
    return Path("var/pictures")
