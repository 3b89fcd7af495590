"""The company's real facts: what the domain's rules are given in production."""

from __future__ import annotations

from pathlib import Path

import pytest

from throughline.domain.company import Business
from throughline.settings.business import load_business


@pytest.fixture(scope="session")
def business() -> Business:
    """Harbor Appliance & Heating."""
    return load_business(Path("data/business"))
