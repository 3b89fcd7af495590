"""The text message with a link: its address and its words."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from throughline.domain.links import chat_link, is_secret, link_text, link_words

pytestmark = pytest.mark.unit

TOKEN = "Abc_-123"  # noqa: S105 - of nobody
GSM_7 = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""3GPP TS 23.038, the default alphabet: with any other letter a message holds 70 characters instead of 160."""


def test_no_server_sees_the_secret() -> None:
    address = urlsplit(chat_link("https://repairs.example", TOKEN))
    assert (address.netloc, address.path, address.query) == ("repairs.example", "/demo/", "")
    assert address.fragment == f"link={TOKEN}"


def test_the_companys_words_can_be_sent_and_cost_little() -> None:
    words = link_words(YAML(typ="safe").load(Path("domain.yml"))["responses"])
    assert words is not None
    text = link_text(words, link=chat_link("https://repairs.example", "x" * 43), code="4821 3377")
    assert set(text) <= GSM_7
    assert len(text) <= 306, "two parts of a message"
    assert "x " in text, "nothing stands right behind the link that a telephone would take for a part of it"


@pytest.mark.parametrize("text", ["", "Go on in the chat.", "{link} {customer_name}", "Type {code}."])
def test_words_without_the_link_or_with_other_places_are_not_sent(text: str) -> None:
    assert link_words({"utter_link_text": [{"text": text}]}) is None
    assert link_words({}) is None


def test_a_value_is_never_read_as_a_template() -> None:
    assert link_text("{link} {code}", link="{code}", code="1") == "{code} 1"


def test_what_can_be_a_secret() -> None:
    assert is_secret("aZ9_-" * 8)
    assert not any(map(is_secret, ("", "a b", "a" * 129, "é", "a\n", None, 7, ["a"])))
