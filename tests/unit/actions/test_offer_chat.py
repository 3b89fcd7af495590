"""From the phone to the chat: a text message with a link where one can be sent, else a code that is spoken."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import structlog
from ruamel.yaml import YAML

from actions.offer_chat import OfferChat
from tests.unit.actions.conftest import Conversation, Done
from throughline.bootstrap import Application
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.errors import Rejected, Unavailable
from throughline.record.links import MOST_TO_AN_ADDRESS
from throughline.settings.server import ActionSettings

pytestmark = pytest.mark.unit

NUMBER = "+15035550170"
DOMAIN = {"responses": YAML(typ="safe").load(Path("domain.yml"))["responses"]}


@dataclass
class Phones:
    """Text messages that were taken. ``fault`` is raised instead; with ``stalls`` there is no answer."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    fault: Exception | None = None
    stalls: bool = False

    async def send_text(self, to: str, text: str) -> None:
        if self.stalls:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        self.sent.append((to, text))

    @property
    def token(self) -> str:
        """Of the latest link."""
        found = re.search(r"http://localhost:5005/demo/#link=([A-Za-z0-9_-]{43})(?: |$)", self.sent[-1][1])
        assert found, self.sent[-1]
        return found.group(1)


@pytest.fixture
def phones(use: Callable[..., Application]) -> Phones:
    texts = Phones()
    use(texts=texts)
    return texts


def calling(app: Application, **detail: str) -> Conversation:
    """Somebody on the telephone line."""
    contact = app.record.create_contact()
    session = app.record.open_session(contact, PHONE, detail={"call_sid": "CA1", "caller": NUMBER, **detail})
    return Conversation(contact, session.session_id, channel=PHONE)


async def asks(talk: Conversation) -> Done:
    return await talk.hears("text me a link", "move_to_chat").do(OfferChat(), DOMAIN)


async def test_a_caller_is_sent_a_link_that_opens_the_conversation(app: Application, phones: Phones) -> None:
    caller = calling(app)
    done = await asks(caller)
    assert done.said == ["utter_link_sent"]
    ((to, text),) = phones.sent
    assert to == NUMBER
    assert "{" not in text
    assert phones.token not in str(done.values) + str(done.events), "the link is told to the telephone alone"
    page = app.record.open_session(app.record.create_contact(), WEB_CHAT).session_id
    assert app.record.open_link(phones.token, session_id=page).contact_id == caller.contact_id


async def test_the_message_also_has_a_code_for_another_device(app: Application, phones: Phones) -> None:
    caller = calling(app)
    await asks(caller)
    code = re.search(r"\b(\d{4}) (\d{4})\b", phones.sent[0][1])
    assert code
    page = app.record.open_session(app.record.create_contact(), WEB_CHAT).session_id
    limits = app.settings.codes.limits()
    assert app.record.redeem_code("".join(code.groups()), session_id=page, limits=limits) == caller.contact_id


async def test_the_open_question_stays_open(app: Application, phones: Phones) -> None:
    done = await asks(calling(app).asks("brand"))
    assert done.kinds() == ["active_loop", "followup"]


async def test_who_asks_again_at_once_is_told_the_code(app: Application, phones: Phones) -> None:
    """The message may not have arrived: landlines of some countries are only found out later."""
    caller = calling(app)
    await asks(caller)
    told = {"utter_action": "utter_link_sent", "session_id": caller.session_id}
    caller.events.append({"event": "bot", "text": "I've sent you ...", "metadata": told})
    assert (await asks(caller)).said == ["utter_offer_chat"]
    assert len(phones.sent) == 1
    another = calling(app)
    another.events = list(caller.events)
    assert (await asks(another)).said == ["utter_link_sent"], "what an earlier call was told is another matter"


@pytest.mark.parametrize("fault", [Unavailable("Twilio answers 500"), Rejected("not_textable", "code 21610")])
async def test_where_none_is_taken_the_code_is_told_in_the_same_breath(
    app: Application, phones: Phones, fault: Exception
) -> None:
    phones.fault = fault
    with structlog.testing.capture_logs() as logged:
        done = await asks(calling(app))
    assert done.said == ["utter_offer_chat"]
    assert re.fullmatch(r"\d{4} \d{4}", done.values[0]["code"])
    assert any(line["event"] == "link.not_sent" for line in logged)
    assert NUMBER not in str(logged)


async def test_a_company_that_does_not_answer_holds_nobody_up(
    app: Application, phones: Phones, use: Callable[..., Application]
) -> None:
    phones.stalls = True
    use(texts=phones, settings=replace(app.settings, actions=ActionSettings(connector_timeout_ms=1000)))
    assert (await asks(calling(app))).said == ["utter_offer_chat"]


@pytest.mark.parametrize("caller", ["", "anonymous", "+1", "+1503555017O"])
async def test_without_a_number_the_code_is_told(app: Application, phones: Phones, caller: str) -> None:
    assert (await asks(calling(app, caller=caller))).said == ["utter_offer_chat"]
    assert phones.sent == []


async def test_a_number_that_is_known_to_be_false_gets_nothing(app: Application, phones: Phones) -> None:
    assert (await asks(calling(app, attestation="TN-Validation-Failed-A"))).said == ["utter_offer_chat"]
    assert phones.sent == []
    assert (await asks(calling(app, attestation="TN-Validation-Passed-C"))).said == ["utter_link_sent"]


async def test_the_page_and_the_chat_are_told_the_code(app: Application, phones: Phones, talk: Conversation) -> None:
    contact = app.record.create_contact()
    page = app.record.open_session(contact, PHONE, detail={"origin": "page", "call_sid": "p1"})
    assert (await asks(Conversation(contact, page.session_id, channel=PHONE))).said == ["utter_offer_chat"]
    assert (await asks(talk)).said == ["utter_offer_chat"]
    assert phones.sent == []


async def test_where_no_text_messages_are_sent_the_code_is_told(app: Application) -> None:
    assert (await asks(calling(app))).said == ["utter_offer_chat"]


async def test_nobody_is_flooded(app: Application, phones: Phones) -> None:
    said = [(await asks(calling(app))).said for _ in range(MOST_TO_AN_ADDRESS + 1)]
    assert said == [["utter_link_sent"]] * MOST_TO_AN_ADDRESS + [["utter_offer_chat"]]


@pytest.mark.parametrize("text", ["Go on in the chat.", "{customer_name}, go on here {link}", ""])
async def test_words_that_can_not_be_sent_are_not(app: Application, phones: Phones, text: str) -> None:
    caller = calling(app).know(customer_name="Dana Reyes").hears("text me a link", "move_to_chat")
    done = await caller.do(OfferChat(), {"responses": {"utter_link_text": [{"text": text}]}})
    assert done.said == ["utter_offer_chat"]
    assert phones.sent == []
