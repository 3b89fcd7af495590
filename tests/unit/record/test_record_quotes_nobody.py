"""What the record says when something goes wrong, and what is logged of it, quotes nothing that was written or looked for."""

from __future__ import annotations

import traceback

import pytest
import sqlalchemy as sa

from throughline import log
from throughline.errors import ThroughlineError, Unavailable
from throughline.record import Record, schema
from throughline.record.identity import utc_now

pytestmark = pytest.mark.unit

WORDS = "Dana Reyes, +15035550177"


def told(record: Record, statement: object, *values: object) -> str:
    """All that can be logged of what a statement leads to: the error, what it came from, and the way."""
    try:
        with record._database.writing() as connection:
            connection.execute(statement, *values)
    except (ThroughlineError, sa.exc.SQLAlchemyError) as error:
        return str(error) + "".join(traceback.format_exception(error)) + log.told(error)
    raise AssertionError("nothing went wrong")


def test_a_key_that_is_there_already(record: Record) -> None:
    contact = record.create_contact()
    record.add_address(contact, "phone", WORDS, proof="typed")
    at = utc_now()
    row = {"contact_id": contact, "kind": "phone", "value": WORDS, "proof": "typed", "created_at": at, "proved_at": at}
    text = told(record, schema.addresses.insert(), row)
    assert "IntegrityError" in text and "addresses" in text
    assert WORDS not in text


def test_a_row_that_is_not_there(record: Record) -> None:
    at = utc_now()
    row = {"contact_id": WORDS, "kind": "phone", "value": "x", "proof": "typed", "created_at": at, "proved_at": at}
    text = told(record, schema.addresses.insert(), row)
    assert "IntegrityError" in text
    assert WORDS not in text


@pytest.mark.parametrize(
    "statement",
    [
        sa.text("SELECT * FROM there_is_no_such_table WHERE name = :words"),
        sa.text("INSERT INTO contacts (contact_id, no_such_column) VALUES (:words, :words)"),
        sa.text("UPDATE events SET id = no_such_function(:words)"),
    ],
)
def test_a_statement_that_cannot_be_done(record: Record, statement: object) -> None:
    text = told(record, statement, {"words": WORDS})
    assert "the database did not do its work" in text
    assert WORDS not in text


def test_a_value_that_cannot_be_read(record: Record) -> None:
    statement = sa.text("SELECT CAST(:words AS integer)")
    if record.url.startswith("sqlite"):  # reads anything
        with record._database.reading() as connection:
            assert connection.execute(statement, {"words": WORDS}).scalar() == 0
        return
    text = told(record, statement, {"words": WORDS})
    assert "InvalidTextRepresentation (22P02)" in text
    assert WORDS not in text


def test_a_database_that_is_not_there_says_where_it_was_looked_for() -> None:
    from throughline.record.database import Database

    database = Database("postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(Unavailable, match=r"connection to server at .127\.0\.0\.1., port 9 failed"), database.reading():
        pass
