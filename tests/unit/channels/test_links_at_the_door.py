"""A page that was opened by a link of ours: in which visit the conversation goes on, and what never comes along."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from channels.chat_door import ChatDoor, Visit
from tests.unit.channels.small_server import SmallServer
from tests.website import login_token
from throughline.domain.assurance import LINK, Assurance
from throughline.domain.turns import PHONE
from throughline.errors import Rejected, Unavailable
from throughline.record import Record, Session

pytestmark = pytest.mark.unit

HERE, NUMBER = "203.0.113.7", "+15035550170"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmallServer]:
    made = SmallServer(tmp_path)
    yield made
    made.record.close()


@pytest.fixture
def door(server: SmallServer) -> ChatDoor:
    return server.chat_door


@pytest.fixture
def record(server: SmallServer) -> Record:
    return server.record


@pytest.fixture
def call(server: SmallServer) -> Session:
    """A call in which something was said already."""
    session = server.record.open_session(server.record.create_contact(), PHONE, detail={"caller": NUMBER})
    server.runner.say(session.contact_id, session.session_id, {"event": "user", "text": "my dryer is loud"}, PHONE)
    return session


def sent(record: Record, call: Session, **when: datetime) -> str:
    return record.issue_link(call.contact_id, call.session_id, kind="phone", address=NUMBER, ttl_s=900, **when)


async def opened(door: ChatDoor, visit: Visit, link: object) -> tuple[Visit, bool]:
    return await door.open_link(await door.visit_for_link(visit, link, HERE), link)


async def anonymous(door: ChatDoor) -> Visit:
    return await door.open(None, None, HERE)


async def logged_in(door: ChatDoor, subject: str = "dana") -> Visit:
    return await door.open(None, door.login_of(login_token(subject)), HERE)


def said(record: Record, contact: str) -> list[str]:
    return [str(event.data["text"]) for event in record.conversation(contact) if event.type_name in ("user", "bot")]


async def test_a_visit_in_which_nobody_has_said_anything_goes_on_with_the_call(
    door: ChatDoor, record: Record, call: Session
) -> None:
    page = await anonymous(door)
    visit, begins = await opened(door, page, sent(record, call))
    assert begins, "the page shows the call from its start"
    assert visit.session_id == page.session_id
    assert visit.session.contact_id == call.contact_id
    assert visit.session.assurance is Assurance.POSSESSED
    assert [one.reason for one in record.merges_of(call.contact_id)] == [LINK]
    assert said(record, call.contact_id) == ["my dryer is loud", "Welcome back."]
    assert [(one.value, one.proof) for one in record.addresses_of(call.contact_id)] == [(NUMBER, LINK)]
    assert record.session(call.session_id).assurance is Assurance.ANONYMOUS, "who speaks there has shown nothing"


async def test_it_is_believed_for_as_long_as_after_a_code(door: ChatDoor, server: SmallServer, call: Session) -> None:
    visit, _ = await opened(door, await anonymous(door), sent(server.record, call))
    hours = server.app.settings.identity.chat_hours
    for later, level in ((hours - 1, Assurance.POSSESSED), (hours + 1, Assurance.CLAIMED)):
        now = datetime.now(timezone.utc) + timedelta(hours=later)
        assert server.record.session(visit.session.session_id, now=now).assurance is level


async def test_what_was_said_in_this_browser_before_stays_where_it_is(door: ChatDoor, record: Record, call: Session) -> None:
    """A link may be sent on: nobody gets at a stranger's conversation by making them open one."""
    page = await anonymous(door)
    await door.take(page, {"message": "I'm Maria, 97201"})
    visit, begins = await opened(door, page, sent(record, call))
    assert begins
    assert visit.session_id != page.session_id
    assert visit.session.contact_id == call.contact_id
    before = record.session(page.session.session_id)
    assert (before.contact_id, before.assurance) == (page.session.contact_id, Assurance.ANONYMOUS)
    assert said(record, before.contact_id)[0] == "I'm Maria, 97201"
    assert "Maria" not in "".join(said(record, call.contact_id))
    together = record.standing(call.session_id, together=timedelta(hours=1)).together
    assert together == {call.session_id, visit.session.session_id}


async def test_what_was_said_by_the_page_in_a_call_was_said_too(door: ChatDoor, server: SmallServer, call: Session) -> None:
    page = await anonymous(door)
    spoken = server.record.open_session(page.session.contact_id, PHONE, detail={"chat_session_id": page.session.session_id})
    server.runner.say(page.session.contact_id, spoken.session_id, {"event": "user", "text": "I'm Maria"}, PHONE)
    visit, _ = await opened(door, page, sent(server.record, call))
    assert visit.session_id != page.session_id


async def test_a_page_of_that_conversation_goes_on_in_it(door: ChatDoor, server: SmallServer, call: Session) -> None:
    page = await anonymous(door)
    await door.take(page, {"message": "hello"})
    server.record.merge(call.contact_id, page.session.contact_id, reason="code", session_id=call.session_id)
    visit, begins = await opened(door, page, sent(server.record, call))
    assert not begins
    assert visit.session_id == page.session_id
    assert len(server.record.merges_of(page.session.contact_id)) == 1
    assert said(server.record, page.session.contact_id)[-1] == "Welcome back."


async def test_the_page_may_bring_it_again_and_nobody_else(door: ChatDoor, record: Record, call: Session) -> None:
    link, page = sent(record, call), await anonymous(door)
    await opened(door, page, link)
    visit, begins = await opened(door, page, link)
    assert not begins
    assert visit.session.contact_id == call.contact_id
    other = await anonymous(door)
    with pytest.raises(Rejected, match="used_link"):
        await opened(door, other, link)
    assert record.session(other.session.session_id).assurance is Assurance.ANONYMOUS


@pytest.mark.parametrize("link", [None, 7, ["x"], {"a": 1}, "", "a" * 5000, "guess", "gu ess", "\x00", "half \ud800", True])
async def test_what_is_no_link_opens_nothing(door: ChatDoor, call: Session, link: object) -> None:
    with pytest.raises(Rejected, match="unknown_link"):
        await opened(door, await anonymous(door), link)


async def test_a_link_that_is_refused_moves_nobody(door: ChatDoor, server: SmallServer, call: Session) -> None:
    page = await anonymous(door)
    await door.take(page, {"message": "I'm Maria, 97201"})
    long_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    before = server.record.conversation(page.session.contact_id)
    for link, reason in ((sent(server.record, call, now=long_ago), "expired_link"), ("x" * 43, "unknown_link")):
        with pytest.raises(Rejected, match=reason):
            await opened(door, page, link)
    assert server.record.conversation(page.session.contact_id) == before


async def test_somebody_who_is_logged_in_opens_links_of_their_own_conversation_alone(
    door: ChatDoor, server: SmallServer, call: Session
) -> None:
    dana, emil, link = await logged_in(door), await logged_in(door, "emil"), sent(server.record, call)
    with pytest.raises(Rejected, match="account_link"):
        await opened(door, dana, link)
    assert server.record.merges_of(dana.session.contact_id) == []
    server.record.merge(call.contact_id, dana.session.contact_id, reason="code", session_id=call.session_id)
    with pytest.raises(Rejected, match="account_link"):
        await opened(door, emil, link)
    visit, _ = await opened(door, dana, link)
    assert visit.session_id == dana.session_id
    assert visit.session.assurance is Assurance.AUTHENTICATED
    assert said(server.record, dana.session.contact_id)[-1] == "Welcome back."


async def test_a_link_into_an_account_opens_a_visit_that_can_be_taken_up_again(
    door: ChatDoor, record: Record, call: Session
) -> None:
    dana = await logged_in(door)
    record.merge(call.contact_id, dana.session.contact_id, reason="code", session_id=call.session_id)
    visit, _ = await opened(door, await anonymous(door), sent(record, call))
    assert (await door.known(visit.session_id, None)).contact_id == dana.session.contact_id


async def test_what_fails_half_way_is_made_whole_by_bringing_it_again(
    door: ChatDoor, server: SmallServer, call: Session
) -> None:
    page, link = await anonymous(door), sent(server.record, call)
    server.runner.error = Unavailable("the conversation is busy")
    with pytest.raises(Unavailable):
        await opened(door, page, link)
    server.runner.error = None
    visit, begins = await opened(door, page, link)
    assert begins
    assert visit.session.contact_id == call.contact_id


async def test_somebody_who_is_erased_at_this_moment_is_not_brought_back(
    door: ChatDoor, server: SmallServer, call: Session
) -> None:
    page, link = await anonymous(door), sent(server.record, call)
    server.runner.error = Rejected("unknown_contact")
    with pytest.raises(Rejected, match="unknown_link"):
        await opened(door, page, link)


async def test_every_refusal_has_its_words_and_the_link_is_not_logged(
    door: ChatDoor, record: Record, call: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    link = sent(record, call)
    await opened(door, await anonymous(door), link)
    with pytest.raises(Rejected):
        await opened(door, await anonymous(door), link)
    assert link not in "".join(capsys.readouterr())
    reasons = ("account_link", "expired_link", "unknown_link", "used_link", "link_unavailable")
    assert len({door.notice(reason) for reason in reasons} - {door.notice("anything else")}) == len(reasons)
