"""A stranger tries to get at other customers' conversations: how often they read a thing, how often they change one.

    python -m benchmarks.strangers [--each 1000] [--customers 60]

The doors are the real ones: the chat's (every form of the chat and the page's phone go through it), the record behind the phone line
(call tokens, codes, facts) and the record itself, on SQLite. Only Rasa is left out. Each customer has a chat, a call, a code, tokens,
messages, facts and a telephone number; some have accounts, some are merged into others, some were merged and parted again. The stranger
brings everything a stranger could have seen, overheard or made up, each kind a thousand times: ids of sessions, contacts, messages
and events, tokens and codes that were used, have run out or were voided, other people's logins, numbers and ZIP codes. The limits on
wrong codes are turned off, so that nothing is refused only for coming too often.

First every customer does with what is theirs what the stranger will try: where one cannot, the rest would prove nothing. A read is any
answer that leads to another customer. For the writes every row that was there before is compared with what it is
afterwards, and no new row may name another customer. Exits 1 if there is a single one, or where a customer could not.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import random
import secrets
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.town import LONG_AGO, UNLIMITED, ZIP_CODE, Customer, Owners, Town
from channels.chat_door import Visit
from tests.unit.channels.small_server import SmallServer
from tests.website import bad_tokens, login_token
from throughline.domain.assurance import PROVEN_NUMBER, Assurance
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.errors import Rejected
from throughline.record import Record
from throughline.record.schema import metadata

WRONG_ZIP_CODE = "97202"

Attempt = Callable[[Any], Awaitable[Any]]


class Stranger:
    """Tries. An attempt raises Rejected, or returns what it found, in which no customer may be."""

    def __init__(self, town: Town) -> None:
        self.town, self.record, self.door = town, town.record, town.server.chat_door
        self._addresses = itertools.count(10**6)
        self.call = self.record.open_session(town.mine, PHONE, assurance=Assurance.CLAIMED).session_id
        account = self.record.contact_of_account("a stranger's", proof="login")
        self.logged_in = self.record.open_session(account, WEB_CHAT).session_id
        self.chat = self.record.open_session(town.mine, WEB_CHAT)
        self.token = self.record.issue_chat_token(self.chat.session_id)
        self.mine = {town.mine, account, *(contact for contact, *_ in town.parted)}

    def kinds(self) -> dict[str, tuple[list[Any], Attempt]]:
        """For each kind of attempt what it is made with, in turn, and how."""
        people, town = self.town.people, self.town
        sessions = [one for person in people for one in person.sessions]
        tokens = [one for person in people for one in person.chat_tokens]
        logins = [login_token(f"stranger-{number}") for number in range(5)]
        ids = [person.contact_id for person in people] + town.aliases
        messages = [one for person in people for one in person.messages]
        return {
            "session ids as the chat's secret": (sessions, self.takes_up),
            "contact ids as the chat's secret": (ids, self.takes_up),
            "secrets of chats that are over": (tokens, self.takes_up),
            "secrets one letter off": ([self._off(one) for one in tokens], self.takes_up),
            "another's login with a secret": (list(itertools.product(tokens, logins)), self.takes_up_logged_in),
            "logins made up": (list(itertools.product(tokens, bad_tokens().values())), self.takes_up_logged_in),
            "history by somebody's ids": (sessions + ids + tokens, self.looks_back),
            "message ids of others": (messages, self.sends_again),
            "call tokens of others": ([pair for person in people for pair in person.call_tokens], self.calls),
            "codes used, expired, voided": ([one for person in people for one in person.dead_codes], self.says_code),
            "codes of accounts, from another account": (
                [code for person in people for code in person.account_codes],
                self.says_code_logged_in,
            ),
            "codes guessed": ([f"{secrets.randbelow(10**8):08d}" for _ in range(1000)], self.says_code),
            "facts of people whose number it is not": ([ZIP_CODE], self.says_fact),
            "numbers of others, with a wrong fact": ([person.number for person in people], self.calls_as),
            "references of others, with a wrong ZIP code": ([person.reference for person in people], self.finds_visit),
            "references guessed, with the right ZIP code": (references_of_nobody(people), self.guesses_visit),
            "merges for a number alone": (list(itertools.product(ids, ("caller_id", "attested"))), self.merges),
            "what was heard of others' utterances": ([one for person in people for one in person.events], self.hears),
            "pages that are parted again": ([token for *_, token in town.parted], self.comes_back),
            "codes from before the parting": ([code for _, _, codes, _ in town.parted for code in codes], self.says_code),
            "sessions that are parted again": ([session for _, session, *_ in town.parted], self.asks_session),
        }

    def _off(self, token: str) -> str:
        at = random.randrange(len(token))  # noqa: S311 - which letter is no secret
        return token[:at] + ("a" if token[at] != "a" else "b") + token[at + 1 :]

    async def takes_up(self, session_id: str) -> Any:
        """By the id alone."""
        return (await self.door.open(session_id, None, f"192.0.2.{next(self._addresses)}")).session.contact_id

    async def takes_up_logged_in(self, named: tuple[str, str]) -> Any:
        """With a login, in which the customer's id may be."""
        session = await self.door.logged_in_session(*named)
        return session.contact_id

    async def looks_back(self, session_id: str) -> Any:
        """The REST form's way to the history."""
        session = await self.door.logged_in_session(session_id, None)
        return await self.record.call(self.record.conversation, session.contact_id)

    async def sends_again(self, message_id: str) -> Any:
        """Words under another's message id: whatever comes back is what was said to the stranger."""
        visit = Visit(self.chat, self.token, None)
        await self.door.take(visit, {"message": "hello", "message_id": message_id[:64]})
        return await self.record.call(self.record.reply_to, f"{self.chat.session_id}:{message_id[:64]}")

    async def calls(self, token: tuple[str, str]) -> Any:
        """A socket that brings another's token."""
        found = await self.record.call(self.record.redeem_call_token, token[0], call_sid=token[1])
        return found.contact_id

    async def says_code(self, code: str) -> Any:
        """In a call."""
        return await self.record.call(self.record.redeem_code, code, session_id=self.call, limits=UNLIMITED)

    async def says_code_logged_in(self, code: str) -> Any:
        """In the chat of an account."""
        return await self.record.call(self.record.redeem_code, code, session_id=self.logged_in, limits=UNLIMITED)

    async def says_fact(self, value: str) -> Any:
        """A ZIP code that is right for every customer, from a number that is nobody's."""
        return await self._match(self.call, "+15125550199", value)

    async def calls_as(self, number: str) -> Any:
        """A call that gives a customer's number for its own, and a ZIP code that is wrong: the call stays what it began as."""
        record, call_sid = self.record, f"CA{next(self._addresses):032d}"
        contact = await record.call(record.create_contact)
        self.mine.add(contact)
        token = await record.call(record.announce_call, call_sid, caller=number, attestation="", ttl_s=60)
        found = await record.call(record.redeem_call_token, token, call_sid=call_sid)
        detail = {"caller": number}
        opening = record.call(record.open_session, contact, PHONE, assurance=Assurance.CLAIMED, detail=detail, caller=number)
        session = await opening
        await record.call(record.add_address, contact, "phone", number, proof="caller_id")
        try:
            await self._match(session.session_id, number, WRONG_ZIP_CODE)
        except Rejected:
            session = await record.call(record.session, session.session_id)
            return found.contact_id, session.contact_id, await record.call(record.conversation, session.contact_id)
        return "still trusted"

    async def finds_visit(self, reference: str) -> Any:
        """An overheard reference."""
        return await self._find(reference, WRONG_ZIP_CODE)

    async def guesses_visit(self, reference: str) -> Any:
        """Where the stranger knows in which street customers live."""
        return await self._find(reference, ZIP_CODE)

    async def _find(self, reference: str, postcode: str) -> Any:
        visit = await self.record.call(self.record.calendar.find, reference)
        match = self.record.match_visit
        try:
            await self.record.call(match, self.chat.session_id, visit, postcode=postcode, limits=UNLIMITED, lasts=None)
        except Rejected:
            if await self.record.call(self.record.found_visits, self.chat.session_id, together=timedelta(hours=1)):
                return "still trusted"
            raise
        return "still trusted"

    async def _match(self, session_id: str, number: str, value: str) -> str:
        known, matching = self.record.callers_known, self.record.match_fact
        among = await self.record.call(known, number, proofs=PROVEN_NUMBER, since=LONG_AGO)
        return await self.record.call(matching, session_id, among, slot="postcode", value=value, limits=UNLIMITED)

    async def merges(self, into: tuple[str, str]) -> Any:
        """What an action would ask for that believed a number."""
        await self.record.call(self.record.merge, self.town.mine, into[0], reason=into[1], session_id=self.call)
        return into[0]

    async def hears(self, event_id: str) -> Any:
        """A mark that names another's utterance."""
        heard = self.record.record_heard
        await self.record.call(heard, event_id, session_id=self.call, text_heard="", complete=False)
        return event_id

    async def comes_back(self, token: str) -> Any:
        """A page that was a customer's for a while: it leads to its own contact, and shows nothing of the other's."""
        session = await self.door.known(token, None)
        return session.contact_id, await self.record.call(self.record.conversation, session.contact_id)

    async def asks_session(self, session_id: str) -> Any:
        """What every channel asks of a session."""
        session = await self.record.call(self.record.session, session_id)
        return session.contact_id if session.assurance is Assurance.ANONYMOUS else "still trusted"


def references_of_nobody(people: Sequence[Customer]) -> list[str]:
    """A thousand references that no customer has been told."""
    told = {person.reference for person in people}
    drawn = (f"{100_000 + secrets.randbelow(900_000)}" for _ in range(1000))
    return [reference for reference in drawn if reference not in told]


class Keeper:
    """Knows every row of before."""

    def __init__(self, record: Record, mine: set[str]) -> None:
        self._record = record
        self._before = self._rows()
        self._theirs = set(self._of_others(mine))

    def changes(self, mine: set[str]) -> list[str]:
        """What has changed: rows of before that are gone or different, and new ones of a customer's."""
        found, mine_now = [], mine | self._sessions_of(mine)
        for table, rows in self._rows().items():
            before = self._before[table]
            found += [f"{table}: {key} is gone" for key in before.keys() - rows.keys()]
            for key, row in rows.items():
                if key not in before and _names(row, self._theirs):
                    found.append(f"{table}: {key} is new")
                elif key in before and before[key] != row and not _names(row, mine_now):
                    found.append(f"{table}: {key} has changed")
        return found

    def _rows(self) -> dict[str, dict[tuple[Any, ...], Any]]:
        with self._record._database.reading() as connection:
            return {
                table.name: {
                    tuple(row[column.name] for column in table.primary_key): dict(row)
                    for row in connection.execute(sa.select(table)).mappings()
                }
                for table in metadata.sorted_tables
            }

    def _of_others(self, mine: set[str]) -> Iterator[str]:
        """The ids by which a row says whose it is."""
        mine_now = mine | self._sessions_of(mine)
        for table, column in (("contacts", "contact_id"), ("sessions", "session_id"), ("events", "event_id")):
            yield from (row[column] for row in self._before[table].values() if not _names(row, mine_now))

    def _sessions_of(self, mine: set[str]) -> set[str]:
        return {row["session_id"] for row in self._before["sessions"].values() if row["contact_id"] in mine}


def _names(row: dict[str, Any], ids: set[str]) -> bool:
    return any(isinstance(value, str) and value in ids for value in row.values())


async def run(each: int, customers: int, console: Console) -> bool:
    """Try everything, and print what came of it. Whether nothing was read and nothing written."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        server = SmallServer(Path(folder), messages_per_minute=600, sessions_per_minute=6000)
        town = Town(server, customers)
        if not await _owners_can(town, console):
            return False
        stranger = Stranger(town)
        keeper = Keeper(server.record, stranger.mine)
        others = {one.contact_id for one in town.people} | set(town.aliases)
        table, reads, tried = Table("what a stranger brings", "attempts", "refused", "reads"), 0, 0
        kinds = stranger.kinds()
        with Progress(console=console) as progress:
            task = progress.add_task("trying", total=each * len(kinds))
            for name, (things, attempt) in kinds.items():
                refused = read = 0
                for thing in itertools.islice(itertools.cycle(things), each):
                    try:
                        found = str(await attempt(thing))
                    except Rejected:
                        refused += 1
                    else:
                        read += any(one in found for one in others) or "still trusted" in found
                    progress.advance(task)
                table.add_row(name, f"{each:,}", f"{refused:,}", f"{read:,}")
                reads, tried = reads + read, tried + each
        writes = keeper.changes(stranger.mine)
        server.record.close()
    console.print(table)
    for change in writes[:20]:
        console.print(f"[red]{change}[/]")
    console.print(f"{tried:,} attempts on {customers} customers: {reads} reads, {len(writes)} writes.")
    return not reads and not writes


async def _owners_can(town: Town, console: Console) -> bool:
    """Whether the customers themselves get everywhere: else the doors are shut to everybody, and a stranger's failing says nothing."""
    failures = await Owners(town).failures()
    for way, failed in failures.items():
        shown = f"[bold red]{len(failed)} customers could not" if failed else "every customer could"
        console.print(f"{way}: {shown}")
    return not any(failures.values())


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 nothing read and nothing written, 1 something was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=1000, help="attempts of each kind (default 1000)")
    parser.add_argument("--customers", type=int, default=60, help="customers (default 60)")
    options = parser.parse_args(arguments)
    return 0 if asyncio.run(run(options.each, options.customers, Console())) else 1


if __name__ == "__main__":
    sys.exit(main())
