"""What people write in data/knowledge is read as they mean it, and every fault is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from throughline.errors import ConfigurationError
from throughline.settings.knowledge import load_knowledge

pytestmark = pytest.mark.unit

PAGE = """# Payment

## How you pay

You pay after the repair,
by card.

We take no cash.

By phone: You pay after the repair,
by card.

Asked as:
- do you take cards
- can I pay cash
- when do I pay
"""


def written(folder: Path, text: str, name: str = "payment.md") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def faults(folder: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        load_knowledge(folder)
    return [str(problem).replace(f"{folder}/", "") for problem in error.value.problems]


def test_a_topic_is_read(tmp_path: Path) -> None:
    [topic] = load_knowledge(written(tmp_path, PAGE))
    assert topic.name == "payment.md#How you pay"
    assert (topic.title, topic.heading) == ("Payment", "How you pay")
    assert topic.answer == "You pay after the repair, by card.\n\nWe take no cash."
    assert topic.spoken == "You pay after the repair, by card."
    assert topic.asked_as == ("do you take cards", "can I pay cash", "when do I pay")


def test_the_companys_own_pages_are_in_order() -> None:
    assert len(load_knowledge()) > 30


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (PAGE.replace("# Payment\n", "Hello\n"), "payment.md:1: stands before the first topic."),
        (PAGE.replace("# Payment\n\n", ""), "payment.md:1: has no title."),
        (PAGE.replace("You pay after the repair,\nby card.\n\nWe take no cash.\n", "", 1), "payment.md:3: has no answer."),
        (PAGE.replace("By phone: You pay after the repair,\nby card.\n", ""), "payment.md:3: says nothing to a caller."),
        (PAGE.replace("By phone: You", "By phone: " + "You " * 80), "payment.md:3: takes"),
        (PAGE.replace("- when do I pay\n", ""), "payment.md:3: has 2 questions"),
        (PAGE.replace("- when do I", "when do I"), "payment.md:16: is no question of the list"),
        (PAGE.replace("\nAsked as:", "\nAnd more.\n\nAsked as:"), "payment.md:13: stands behind `By phone:`"),
        (PAGE + PAGE.partition("\n\n")[2], "payment.md#How you pay: stands twice."),
    ],
)
def test_a_fault_is_told_with_its_place_and_its_mend(tmp_path: Path, text: str, fault: str) -> None:
    told = faults(written(tmp_path, text))
    assert any(one.startswith(fault) and "Mend: " in one for one in told), told


def test_a_question_leads_to_one_topic(tmp_path: Path) -> None:
    written(tmp_path, PAGE)
    written(tmp_path, PAGE.replace("How you pay", "Cards").replace("can I pay", "may I pay"), "cards.md")
    assert faults(tmp_path) == [
        f"payment.md#How you pay: asks {question!r}, as cards.md#Cards does. Mend: Leave it to one of the two."
        for question in ("do you take cards", "when do I pay")
    ]


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    written(tmp_path, "")
    written(tmp_path, "# Pets\n\n## Dogs\n", "pets.md")
    (tmp_path / "latin.md").write_bytes(b"# Caf\xe9\n")
    assert len(faults(tmp_path)) == 5


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    assert "holds no topic" in faults(tmp_path)[0]
