"""The grammar of expected answers, and the reader of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from throughline.domain.turns import EXPECTATIONS
from throughline.speech.stt import grammar, pocketsphinx_models

pytestmark = pytest.mark.unit

SPOKEN = grammar.parse(Path(pocketsphinx_models.__file__).with_name("grammars").joinpath("spoken.jsgf").read_text())


def sentences(definition: str, **lists: list[str]) -> dict[str, float]:
    return grammar.parse(f"#JSGF V1.0; grammar g; public <top> = {definition};").sentences("top", lists)


class TestReading:
    @pytest.mark.parametrize(
        ("definition", "allowed"),
        [
            ("yes | no", ["yes", "no"]),
            ("( yes | yeah ) please", ["yes please", "yeah please"]),
            ("yes [please]", ["yes", "yes please"]),
            ("[a | b] c", ["c", "a c", "b c"]),
            ("it's /* a comment */ fine // another\n", ["it's fine"]),
            ("a | a", ["a"]),
            ("[a]", ["a"]),
        ],
    )
    def test_lists_every_sentence_once(self, definition: str, allowed: list[str]) -> None:
        assert list(sentences(definition)) == allowed

    def test_alternatives_are_equally_likely_however_much_they_hold(self) -> None:
        assert sentences("today | ( may | june ) [the] first") == pytest.approx(
            {"today": 0.5, "may first": 0.125, "may the first": 0.125, "june first": 0.125, "june the first": 0.125}
        )

    def test_rules_are_put_in_their_places(self) -> None:
        rules = grammar.parse("grammar g; <day> = monday | friday; public <date> = on <day>;")
        assert rules.public == ("date",)
        assert rules.sentences("date") == {"on monday": 0.5, "on friday": 0.5}

    def test_lists_are_filled_in(self) -> None:
        assert sentences("i'm @first_name", first_name=["dana", "mary ann"]) == {"i'm dana": 0.5, "i'm mary ann": 0.5}

    @pytest.mark.parametrize("definition", ["<missing>", "( a", "[ a", "a )", "a ]", "<top> a"])
    def test_faulty_rules_are_refused(self, definition: str) -> None:
        with pytest.raises(ValueError, match="rule"):
            sentences(definition)

    def test_a_grammar_without_a_public_rule_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no public rule"):
            grammar.parse("grammar g; <a> = b;")


class TestExpectedAnswers:
    def test_every_kind_of_expectation_but_free_speech_has_a_rule(self) -> None:
        assert set(SPOKEN.public) == set(EXPECTATIONS) - {"free"}

    @pytest.mark.parametrize(
        ("kind", "answer"),
        [
            ("yes_no", "yes please"),
            ("yes_no", "no thank you"),
            ("date", "since yesterday"),
            ("date", "thursday morning"),
            ("date", "november twenty fourth"),
            ("time", "two in the afternoon"),
            ("time", "ten am"),
            ("choice", "the first one"),
            ("choice", "thursday at nine"),
            ("name", "my name is dana"),
        ],
    )
    def test_knows_how_people_answer(self, kind: str, answer: str) -> None:
        assert answer in SPOKEN.sentences(kind, {"first_name": ["dana"]})
