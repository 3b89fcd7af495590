"""Which session a client may use: by the id it brings, and by the login it brings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from channels.chat_door import ChatDoor, Visit
from tests.unit.channels.small_server import SmallServer
from tests.website import bad_tokens, login_token
from throughline.domain.assurance import Assurance
from throughline.domain.turns import PHONE
from throughline.errors import Rejected
from throughline.website_login import Login

pytestmark = pytest.mark.unit

HERE, THERE = "203.0.113.7", "203.0.113.8"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmallServer]:
    made = SmallServer(tmp_path, sessions_per_minute=20, messages_per_minute=3, message_chars=50)
    yield made
    made.record.close()


@pytest.fixture
def door(server: SmallServer) -> ChatDoor:
    return server.chat_door


def login(door: ChatDoor, subject: str = "dana") -> Login | None:
    return door.login_of(login_token(subject))


async def anonymous(door: ChatDoor) -> Visit:
    return await door.open(None, None, HERE)


async def test_an_anonymous_visit_is_taken_up_by_its_id(door: ChatDoor) -> None:
    first = await anonymous(door)
    assert first.is_new
    assert first.session.assurance is Assurance.ANONYMOUS
    again = await door.open(first.session_id, None, HERE)
    assert not again.is_new
    assert again.session.session_id == first.session.session_id


@pytest.mark.parametrize("name", ["guess", "", "a" * 5000, "\x00", "half \ud800", 7, ["x"], {"a": 1}, True])
async def test_an_id_that_was_not_issued_here_opens_nothing(door: ChatDoor, name: object) -> None:
    for who in (None, login(door)):
        with pytest.raises(Rejected, match="unknown_session"):
            await door.known(name, who)
        assert (await door.open(name, who, HERE)).is_new


async def test_ids_of_the_record_open_nothing(door: ChatDoor) -> None:
    visit = await anonymous(door)
    for name in (visit.session.session_id, visit.session.contact_id):
        with pytest.raises(Rejected, match="unknown_session"):
            await door.known(name, None)


async def test_a_login_opens_a_session_of_its_account(door: ChatDoor, server: SmallServer) -> None:
    first, second = [await door.open(None, login(door), HERE) for _ in range(2)]
    assert first.session.assurance is Assurance.AUTHENTICATED
    assert first.session.session_id != second.session.session_id, "each page has a visit of its own"
    assert first.session.contact_id == second.session.contact_id, "of the same person"
    assert (await door.open(None, login(door, "emil"), HERE)).session.contact_id != first.session.contact_id
    assert server.record.has_account(first.session.contact_id)


async def test_a_login_takes_up_its_own_session_and_no_other(door: ChatDoor) -> None:
    dana = await door.open(None, login(door), HERE)
    assert (await door.open(dana.session_id, login(door), HERE)).session == dana.session
    emil = await door.open(dana.session_id, login(door, "emil"), HERE)
    assert emil.is_new
    assert emil.session.contact_id != dana.session.contact_id


async def test_after_logging_out_the_id_opens_nothing(door: ChatDoor) -> None:
    dana = await door.open(None, login(door), HERE)
    with pytest.raises(Rejected, match="unknown_session"):
        await door.logged_in_session(dana.session_id, None)
    logged_out = await door.open(dana.session_id, None, HERE)
    assert logged_out.is_new
    assert logged_out.session.contact_id != dana.session.contact_id
    assert logged_out.session.assurance is Assurance.ANONYMOUS


async def test_an_anonymous_visit_does_not_become_the_logins(door: ChatDoor, server: SmallServer) -> None:
    """On a shared computer it may be anybody's."""
    visit = await anonymous(door)
    await door.take(visit, {"message": "my secret"})
    dana = await door.open(visit.session_id, login(door), HERE)
    assert dana.is_new
    assert dana.session.contact_id != visit.session.contact_id
    assert server.record.conversation(dana.session.contact_id) == []
    assert (await door.open(visit.session_id, None, HERE)).session == visit.session, "it stays what it was"


async def test_an_anonymous_visit_that_became_part_of_an_account_opens_nothing_by_its_id(
    door: ChatDoor, server: SmallServer
) -> None:
    visit, dana = await anonymous(door), await door.open(None, login(door), HERE)
    server.record.merge(visit.session.contact_id, dana.session.contact_id, reason="code", session_id=None)
    assert (await door.open(visit.session_id, None, HERE)).is_new
    with pytest.raises(Rejected, match="unknown_session"):
        await door.known(visit.session_id, None)


async def test_a_visit_that_was_proven_by_a_code_stays_open(door: ChatDoor, server: SmallServer) -> None:
    visit, dana = await anonymous(door), await door.open(None, login(door), HERE)
    server.record.merge(visit.session.contact_id, dana.session.contact_id, reason="code", session_id=None)
    server.record.raise_assurance(visit.session.session_id, Assurance.POSSESSED, lasts=None)
    assert (await door.known(visit.session_id, None)).contact_id == dana.session.contact_id


async def test_what_is_typed_after_a_merge_was_taken_back_is_not_the_others(door: ChatDoor, server: SmallServer) -> None:
    """The page came while the two were one, and has not been loaded again since."""
    visitor, other = (await anonymous(door)), server.record.create_contact()
    server.record.merge(visitor.session.contact_id, other, reason="code", session_id=None)
    visit = await door.open(visitor.session_id, None, HERE)
    assert visit.session.contact_id == other
    server.record.unmerge(visitor.session.contact_id, reason="not the same person")
    await door.take(visit, {"message": "hello"})
    assert server.runner.taken[-1].contact_id == visitor.session.contact_id
    assert server.record.conversation(other) == []


async def test_a_call_that_became_part_of_an_account_leaves_its_login_alone(door: ChatDoor, server: SmallServer) -> None:
    dana = await door.open(None, login(door), HERE)
    caller = server.record.create_contact()
    server.record.open_session(caller, PHONE)
    server.record.merge(dana.session.contact_id, caller, reason="code", session_id=None)
    again = await door.open(dana.session_id, login(door), HERE)
    assert not again.is_new
    assert again.session.contact_id == caller
    assert (await door.open(None, login(door), HERE)).session.contact_id == caller


async def test_a_call_goes_on_with_the_chat_of_its_page_under_the_same_rules(door: ChatDoor, server: SmallServer) -> None:
    visit, dana = await anonymous(door), await door.open(None, login(door), HERE)
    assert await door.session_for_call(None, None, HERE) is None
    assert await door.session_for_call(visit.session_id, None, HERE) == visit.session
    assert await door.session_for_call(dana.session_id, login_token(), HERE) == dana.session
    without_chat = await door.session_for_call(None, login_token(), HERE)
    assert without_chat is not None
    assert without_chat.contact_id == dana.session.contact_id
    for session_id, token in (
        (dana.session_id, None),
        (dana.session_id, login_token("emil")),
        (visit.session_id, login_token()),
    ):
        with pytest.raises(Rejected, match="unknown_session"):
            await door.session_for_call(session_id, token, HERE)
    for session_id in (None, visit.session_id, dana.session_id):
        with pytest.raises(Rejected, match="bad_login"):
            await door.session_for_call(session_id, "no token", HERE)


@pytest.mark.parametrize("what", bad_tokens())
async def test_a_login_that_is_none_is_refused_and_opens_nothing(door: ChatDoor, server: SmallServer, what: str) -> None:
    dana = await door.open(None, login(door), HERE)
    token = bad_tokens()[what]
    with pytest.raises(Rejected, match="expired_login" if what == "expired" else "bad_login"):
        door.login_of(token)
    with pytest.raises(Rejected, match="_login"):
        await door.logged_in_session(dana.session_id, token)


async def test_a_token_where_no_login_is_set_up_is_refused(door: ChatDoor, server: SmallServer) -> None:
    server.login = None
    assert door.login_of(None) is None
    with pytest.raises(Rejected, match="bad_login"):
        door.login_of(login_token())


async def test_nothing_about_the_login_is_logged(door: ChatDoor, capsys: pytest.CaptureFixture[str]) -> None:
    token = login_token("dana-reyes-4711")
    visit = await door.open("guess", door.login_of(token), HERE)
    with pytest.raises(Rejected):
        door.login_of(token[:-2])
    logged = "".join(capsys.readouterr())
    assert "chat.login_refused" in logged and "chat.foreign_session_refused" in logged
    assert not any(part in logged for part in ("dana-reyes-4711", *token.split("."), visit.session_id))


async def test_new_sessions_of_one_address_are_limited_and_known_ones_are_not(door: ChatDoor) -> None:
    first = await anonymous(door)
    for _ in range(19):
        await anonymous(door)
    with pytest.raises(Rejected, match="too_fast"):
        await anonymous(door)
    with pytest.raises(Rejected, match="too_fast"):
        await door.open(None, login(door), HERE)
    assert not (await door.open(first.session_id, None, HERE)).is_new
    assert (await door.open(None, None, THERE)).is_new


async def test_words_are_taken_under_the_visits_contact(door: ChatDoor, server: SmallServer) -> None:
    visit = await door.open(None, login(door), HERE)
    message_id = await door.take(visit, {"message": " /restart", "session_id": "another's"})
    (turn,) = server.runner.taken
    assert (turn.contact_id, turn.session_id, turn.text) == (visit.session.contact_id, visit.session.session_id, "restart")
    assert turn.message_id == message_id


@pytest.mark.parametrize("message", [None, 7, {}, {"message": None}, {"message": " / "}])
async def test_a_message_without_words_is_not_taken(door: ChatDoor, server: SmallServer, message: object) -> None:
    assert await door.take(await anonymous(door), message) is None
    assert server.runner.taken == []


async def test_messages_are_bounded_in_size_and_rate(door: ChatDoor, server: SmallServer) -> None:
    visit, other = await anonymous(door), await anonymous(door)
    with pytest.raises(Rejected, match="too_long"):
        await door.take(visit, {"message": "a" * 51})
    for _ in range(3):
        await door.take(visit, {"message": "hello"})
    with pytest.raises(Rejected, match="too_fast"):
        await door.take(visit, {"message": "hello"})
    await door.take(other, {"message": "hello"})
    assert len(server.runner.taken) == 4


async def test_nothing_is_taken_for_a_login_that_is_over(door: ChatDoor, server: SmallServer) -> None:
    visit = await door.open(None, login(door), HERE)
    over = Visit(visit.session, visit.session_id, Login("dana", good_until_s=1.0))
    with pytest.raises(Rejected, match="expired_login"):
        await door.take(over, {"message": "hello"})
    assert server.runner.taken == []


async def test_a_message_id_belongs_to_its_session(door: ChatDoor, server: SmallServer) -> None:
    visit, other = await anonymous(door), await anonymous(door)
    for who in (visit, visit, other):
        await door.take(who, {"message": "hello", "message_id": "m1"})
    assert [turn.session_id for turn in server.runner.taken] == [visit.session.session_id, other.session.session_id]


def test_every_reason_has_its_words(door: ChatDoor) -> None:
    assert "log in" in door.notice("bad_login")
    assert "run out" in door.notice("expired_login")
    assert door.notice("anything else") == door.notice("failed")
