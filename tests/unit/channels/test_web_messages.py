"""What crosses the chat's socket: a customer's words in, what a widget can draw out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import web_messages
from throughline.errors import Rejected

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("My washer leaks", "My washer leaks"),
        ("/restart", "restart"),
        ("  /session_start", "session_start"),
        ("//intent{}", "intent{}"),
        ("/ /restart", "restart"),
        ("\u00a0/restart", "restart"),
        ("\u200b/restart", "restart"),
        ('/affirm{"a": "b"}', 'affirm{"a": "b"}'),
        ("/\u2003/\u2003/restart", "restart"),
        ("and/or", "and/or"),
        ("two\nlines", "two\nlines"),
        ("bell\x07 and null\x00", "bell  and null"),
    ],
)
def test_words_are_never_a_command(typed: str, words: str) -> None:
    assert web_messages.words_of({"message": typed}, most_chars=100) == words


@given(st.text(max_size=200))
def test_no_text_at_all_is_left_as_a_command(typed: str) -> None:
    words = web_messages.plain_words(typed)
    assert not words.strip().startswith("/")


@pytest.mark.parametrize(
    "message", [None, 7, [], "text", {}, {"message": None}, {"message": ["a"]}, {"message": "  "}, {"message": "/"}]
)
def test_a_message_without_words_is_none(message: object) -> None:
    assert web_messages.words_of(message, most_chars=100) is None


def test_a_message_too_long_is_refused() -> None:
    with pytest.raises(Rejected, match="too_long"):
        web_messages.words_of({"message": "a" * 101}, most_chars=100)


@pytest.mark.parametrize(
    "address",
    [
        "https://a.example/x",
        "http://a.example",
        "mailto:a@b.example",
        "tel:+15035550142",
        "tel:+15035550142,,48213377",
        "tel:911",
        "/demo/",
    ],
)
def test_safe_addresses_stay(address: str) -> None:
    assert web_messages.safe_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\x00script:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//evil.example",
        "/\\evil.example",
        "file:///etc/passwd",
        "tel:*21*5035550142%23",
        "tel:+15035550142;ext=1",
        "tel:+15035550142,,48213377#",
        "relative",
        "",
        None,
        7,
        "http://[bad",
    ],
)
def test_other_addresses_go(address: object) -> None:
    assert web_messages.safe_address(address) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see [prices](https://a.example/p)", "see [prices](https://a.example/p)"),
        ("[call](tel:+15035550142,,48213377)", "[call](tel:+15035550142,,48213377)"),
        ("[call](tel:*21*5035550142%23)", "call"),
        ("see [prices](javascript:alert(1))", "see prices)"),
        ("![x](javascript:alert)", "x"),
        ("<javascript:alert(1)>", "javascript:alert(1)"),
        ("[a]: javascript:alert(1)", "a"),
        ("[b](<javascript:x>)", "b"),
    ],
)
def test_links_in_a_text_are_cleaned(text: str, shown: str) -> None:
    assert web_messages.safe_text(text) == shown


def test_a_text_becomes_exactly_a_text() -> None:
    assert web_messages.widget_messages({"text": "Hi", "data": {"elements": None, "custom": {"a": 1}}}) == [{"text": "Hi"}]


def test_buttons_become_quick_replies_without_commands_and_unsafe_links() -> None:
    buttons = [
        {"title": "Yes", "payload": "yes"},
        {"title": "Restart", "payload": "/restart"},
        {"title": "Bad", "payload": "javascript:alert(1)"},
        {"title": "Call", "payload": "tel:+15035550142"},
        {"title": "", "payload": "x"},
    ]
    (message,) = web_messages.widget_messages({"text": "Sure?", "data": {"buttons": buttons}})
    assert [reply["title"] for reply in message["quick_replies"]] == ["Yes", "Call"]
    assert set(message) == {"text", "quick_replies"}
    said, link = message["quick_replies"]
    assert said == {"content_type": "text", "title": "Yes", "payload": "yes"}
    # Rasa's widget makes a link of it by its payload, rasa-webchat by its type.
    assert link == {
        "content_type": "text",
        "title": "Call",
        "payload": "tel:+15035550142",
        "type": "web_url",
        "url": "tel:+15035550142",
    }


@pytest.mark.parametrize("payload", ["http://[bad", "tel:*06#", "javascript:alert(1)", "data:text/html,x", "ftp://a.example"])
def test_a_choice_that_would_lead_somewhere_unsafe_is_left_out(payload: str) -> None:
    message = {"text": "Sure?", "data": {"buttons": [{"title": "x", "payload": payload}]}}
    shown = web_messages.widget_messages(message)
    assert [reply.get("url") for reply in shown[0].get("quick_replies", [])] in ([], [None])


@pytest.mark.parametrize(
    "data", [{}, {"text": None}, {"text": ""}, {"text": " "}, {"text": None, "data": {"image": "javascript:x"}}]
)
def test_nothing_is_sent_that_would_brick_a_widget(data: dict[str, object]) -> None:
    assert web_messages.widget_messages(data) == []


@given(
    st.dictionaries(st.sampled_from(["text", "data"]), st.one_of(st.none(), st.text(), st.dictionaries(st.text(), st.text())))
)
def test_every_message_has_a_shape_that_widgets_draw(data: dict[str, object]) -> None:
    if isinstance(data.get("data"), str):
        data["data"] = {"image": data["data"]}
    data["data"] = {key: value for key, value in (data.get("data") or {}).items() if key == "image"}  # type: ignore[union-attr]
    for message in web_messages.widget_messages(data):
        assert set(message) in ({"text"}, {"text", "quick_replies"}, {"attachment"})
        assert message.get("text", "x")


def test_a_customers_markdown_is_shown_not_obeyed() -> None:
    assert web_messages.literal("[x](javascript:a) <b>") == r"\[x\]\(javascript:a\) \<b\>"
