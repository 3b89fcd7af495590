"""Every response is said by somebody; a slip in a name is found, with where it stands."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from rasa.shared.importers.importer import TrainingDataImporter
from rasa.utils.common import EXPECTED_WARNINGS
from rasa.validator import Validator

from throughline.settings.business import load_business
from throughline.settings.responses import check_intents, check_responses

pytestmark = pytest.mark.unit

BUSINESS = load_business(Path("data/business"))


@pytest.fixture
def domain(tmp_path: Path) -> Path:
    """A copy of the domain to spoil."""
    file = tmp_path / "domain.yml"
    file.write_text(Path("domain.yml").read_text())
    return file


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def spoil(domain: Path, old: str, new: str) -> None:
    text = domain.read_text()
    assert old in text
    domain.write_text(text.replace(old, new, 1))


def test_what_ships_is_right() -> None:
    assert check_responses(Path("domain.yml"), BUSINESS) == []


@pytest.mark.parametrize(
    "name", ["utter_visit_none", "utter_bot", "utter_guess_complain", "utter_done_quote", "utter_silence_2", "utter_link_used"]
)
def test_a_slip_in_a_name_is_found_on_both_sides(domain: Path, name: str) -> None:
    # Said by an action, by a rule, by a family of dialogue.yml, of journeys.yml, by the call, by the chat.
    spoil(domain, f"  {name}:", f"  {name}x:")
    found = check_responses(domain, BUSINESS)
    (unsaid,) = [problem for problem in found if f"responses.{name}x" in problem.where]
    assert unsaid.where.startswith(f"{domain}:{line_of(domain, f'{name}x:')} ")
    assert f"`{name}`" in unsaid.mend
    (missing,) = [problem for problem in found if f"{name} is said" in problem.what]
    assert ".py:" in missing.where or ".yml" in missing.where


def test_an_intent_that_is_not_there_is_found(domain: Path) -> None:
    assert check_intents(domain, BUSINESS) == []
    spoil(domain, "  - goodbye\n", "  - good_bye\n")
    (problem,) = check_intents(domain, BUSINESS)
    assert "whole_intents" in problem.where
    assert "'goodbye'" in problem.what
    assert "`good_bye`" in problem.mend


def test_a_question_of_no_slot_is_found(domain: Path) -> None:
    spoil(domain, "  utter_ask_brand:", "  utter_ask_brnad:")
    assert any("utter_ask_brnad" in problem.where for problem in check_responses(domain, BUSINESS))


def validated(domain: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> list[str]:
    """What `rasa data validate` warns of."""
    importer = TrainingDataImporter.load_from_config("config.yml", str(domain), ["data"])
    with caplog.at_level(logging.WARNING, "rasa"):
        Validator.from_importer(importer).verify_nlu(ignore_warnings=False)
    told = [str(warning.message) for warning in recwarn if issubclass(warning.category, UserWarning)]
    return [text for text in told if not any(re.match(expected, text) for _, expected in EXPECTED_WARNINGS)]


def test_rasas_own_check_warns_of_nothing(caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> None:
    assert validated(Path("domain.yml"), caplog, recwarn) == []
    assert not caplog.records


def test_rasas_own_check_still_finds_what_nobody_says(
    domain: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    spoil(domain, "  utter_visit_none:", "  utter_visit_nome:")
    (warning,) = validated(domain, caplog, recwarn)
    assert "utter_visit_nome" in warning
    assert "not used" in warning
