"""Sentences that a channel says by itself."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from channels.wording import NEEDED, check_wording, sentence
from throughline.errors import ConfigurationError

pytestmark = pytest.mark.unit

DOMAIN = SimpleNamespace(
    responses={
        "utter_busy": [{"text": "Busy."}, {"text": "All lines are busy.", "channel": "phone"}],
        "utter_live": [{"text": "On the phone: {text} {other}"}],
        "utter_empty": [{"custom": {}}],
    }
)

LINK = {"utter_link_text": [{"text": "Go on here {link}"}]}


def test_the_channels_own_variant_comes_first() -> None:
    assert sentence(DOMAIN, "utter_busy", "phone") == "All lines are busy."
    assert sentence(DOMAIN, "utter_busy", "web_chat") == "Busy."


def test_a_value_is_never_read_as_a_template() -> None:
    assert sentence(DOMAIN, "utter_live", "web_chat", text="{other} }{", other="b") == "On the phone: {other} }{ b"


def test_a_place_that_no_channel_fills_is_told_at_start() -> None:
    needed = {name: [{"text": "x"}] for names in NEEDED.values() for name in names} | LINK
    label = {"utter_live_customer": [{"text": "By phone: {words}"}]}
    assert check_wording(SimpleNamespace(responses=needed | label)) == []
    for name, text in (
        ("utter_apology", "Sorry {name}"),
        ("utter_busy", "{words}"),
        ("utter_live_customer", "{words}, {name}"),
        ("utter_link_text", "{link} for {name}"),
    ):
        (problem,) = check_wording(SimpleNamespace(responses=needed | {name: [{"text": text}]}))
        assert problem.where == f"domain.yml responses.{name}"
        assert "{" in problem.what


def test_an_unknown_placeholder_stays() -> None:
    assert sentence(DOMAIN, "utter_live", "web_chat", text="a") == "On the phone: a {other}"


@pytest.mark.parametrize("name", ["utter_missing", "utter_empty"])
def test_a_missing_sentence_says_where_to_add_it(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"domain.yml responses.{name}"):
        sentence(DOMAIN, name, "phone")


def test_every_sentence_the_channels_need_and_the_domain_lacks_is_named_once() -> None:
    needed = {name for names in NEEDED.values() for name in names} | set(LINK)
    assert {problem.where for problem in check_wording(SimpleNamespace(responses={}))} == {
        f"domain.yml responses.{name}" for name in needed
    }
    whole = {name: [{"text": "x"}] for name in needed} | LINK
    assert check_wording(SimpleNamespace(responses=whole)) == []
    spoken_only = {**whole, "utter_apology": [{"text": "x", "channel": "phone"}]}
    assert [problem.where for problem in check_wording(SimpleNamespace(responses=spoken_only))] == [
        "domain.yml responses.utter_apology"
    ]
