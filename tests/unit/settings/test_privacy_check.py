"""data/business/privacy.yml and the domain know the same slots and placeholders."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from throughline.errors import ConfigurationError, Problem
from throughline.settings.business import load_business
from throughline.settings.checked_yaml import load_mapping
from throughline.settings.privacy import check_privacy

pytestmark = pytest.mark.unit

SHIPPED = Path("data/business")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy to spoil, with the domain beside it."""
    shutil.copy("domain.yml", tmp_path / "domain.yml")
    return Path(shutil.copytree(SHIPPED, tmp_path / "business"))


def spoil(file: Path, old: str, new: str) -> int:
    """The line on which the change stands."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def faults(folder: Path) -> list[Problem]:
    file = folder.parent / "domain.yml"
    domain: Any = load_mapping(file, [])
    return check_privacy(folder, domain["responses"], domain["slots"], file)


def test_what_ships_fits(folder: Path) -> None:
    assert faults(folder) == []


def test_a_placeholder_that_nobody_classified(folder: Path) -> None:
    spoil(folder.parent / "domain.yml", "Thanks for asking, all is well here.", "All is well at {street}.")
    (problem,) = faults(folder)
    assert "{street}" in problem.what
    line = (folder.parent / "domain.yml").read_text().splitlines()[int(problem.where.split(":")[1].split()[0]) - 1]
    assert line == "  utter_small_talk:"
    assert "`street: {needs: possessed}`" in problem.mend


def test_a_placeholder_in_a_button_and_a_slot_in_a_condition_count_too(folder: Path) -> None:
    domain = folder.parent / "domain.yml"
    spoil(domain, '{title: "Yes, urgent", payload: "it\'s urgent"}', '{title: "{mood}", payload: "yes"}')
    spoil(
        domain,
        '    - text: "Of course, take your time."',
        '    - text: "Of course."\n      condition: [{type: slot, name: ui_guess, value: x}]',
    )
    assert [problem.what.rpartition("told ")[2] for problem in faults(folder)] == ["{mood}.", "{ui_guess}."]


def test_a_slot_that_nobody_classified(folder: Path) -> None:
    added = "slots:\n  street:\n    type: text\n    mappings: []\n  ui_street:\n    type: text\n    mappings: []\n"
    spoil(folder.parent / "domain.yml", "slots:\n", added)
    (problem,) = faults(folder)
    assert problem.where.endswith("slots.street")
    assert "`slots`" in problem.mend


@pytest.mark.parametrize(("section", "name"), [("slots", "street"), ("values", "mood")])
def test_a_name_that_the_domain_does_not_have(folder: Path, section: str, name: str) -> None:
    line = spoil(folder / "privacy.yml", f"\n{section}:\n", f"\n{section}:\n  {name}: {{needs: anonymous}}\n")
    (problem,) = faults(folder)
    assert problem.where == f"{folder / 'privacy.yml'}:{line + 2} {section}.{name}"


def test_what_stands_in_for_a_withheld_sentence_is_there_for_everybody_and_tells_nothing(folder: Path) -> None:
    domain = folder.parent / "domain.yml"
    original = domain.read_text()
    spoil(domain, "  utter_withheld:\n", "  utter_held_back:\n")
    assert [problem.where.split()[-1] for problem in faults(folder)] == ["responses.utter_withheld"]
    domain.write_text(original)
    spoil(domain, "There's more that I know, but I may only show it", "{known}: more I may only show")
    (problem,) = faults(folder)
    assert "placeholder" in problem.what


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("brand: {needs: possessed}", "brand: {needs: posessed}", "slots.brand.needs", "'posessed'"),
        ("brand: {needs: possessed}", "brand: {need: possessed}", "slots.brand.need", "not a known key"),
        ("brand: {needs: possessed}", "brand: {needs: possessed, instead: 5}", "slots.brand.instead", "must be a text"),
        ("of: [pay_day]", "of: [pay_date]", "values", "'pay_date'"),
        ("  fact: {needs", "  brand: {needs", "values", "brand stands under `slots` too"),
        ("other_visits: possessed", "other_visits: everybody", "other_visits", "'everybody'"),
        ("together_minutes: 60", "together_minutes: -1", "together_minutes", "-1"),
    ],
)
def test_a_fault_in_the_file_itself_is_told_with_its_line(folder: Path, old: str, new: str, where: str, what: str) -> None:
    file = folder / "privacy.yml"
    line = spoil(file, old, new)
    with pytest.raises(ConfigurationError) as raised:
        load_business(folder)
    problem = raised.value.problems[0]
    assert where in problem.where
    assert what in f"{problem.where} {problem.what}"
    assert problem.mend
    if where != "values":
        assert problem.where.startswith(f"{file}:{line} ")


def test_without_the_file_nothing_starts(folder: Path) -> None:
    (folder / "privacy.yml").unlink()
    with pytest.raises(ConfigurationError, match="privacy"):
        load_business(folder)
