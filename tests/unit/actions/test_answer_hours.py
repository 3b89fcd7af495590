"""When the office is open: in general, on a day that is named, at a time of it. It is Monday, 23 November 2026, ten in the morning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from actions.answer_hours import AnswerHours
from tests.unit.actions.conftest import Conversation
from throughline.bootstrap import Application
from throughline.nlu.spoken_grammar import find

pytestmark = pytest.mark.unit

LOCAL = datetime(2026, 11, 23, 10)  # noqa: DTZ001  NOW on the customer's wall clock
ASK = AnswerHours()


async def asked(talk: Conversation, text: str) -> list[dict[str, str]]:
    """What is said to ``text``, as the grammar reads it."""
    talk.hears(text, "ask_hours")
    talk.message["entities"] = [
        {"entity": item.kind, "value": item.value, "start": item.start, "end": item.end, "role": item.role}
        for item in find(text, LOCAL)
    ]
    return (await talk.do(ASK)).values


@pytest.mark.parametrize(
    ("text", "response", "day"),
    [
        ("are you open on christmas day", "utter_hours_day_closed", "Christmas Day (Friday, December 25)"),
        ("r u open thanksgiving?", "utter_hours_day", "Thanksgiving (Thursday, November 26)"),
        ("are you working on Memorial Day", "utter_hours_day", "Memorial Day (Monday, May 31)"),
        ("are you closed on the fourth of july", "utter_hours_day_closed", "Fourth of July (Sunday, July 4)"),
        ("are you there this saturday", "utter_hours_day", "Saturday, November 28"),
        ("open on december twenty fourth", "utter_hours_day", "Thursday, December 24"),
        ("are you open on sundays", "utter_hours_day_closed", "Sunday, November 29"),
        ("are you open today", "utter_hours_today", "Monday, November 23 (today)"),
    ],
)
async def test_a_day_that_is_named(talk: Conversation, text: str, response: str, day: str) -> None:
    (said,) = await asked(talk, text)
    assert said["response"] == response
    assert said["asked_day"] == day


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("tomorrow at 7pm", "utter_hours_time_closed"),
        ("is somebody there tomorrow at five thirty pm", "utter_hours_time_open"),
        ("can i reach you on saturday at two pm", "utter_hours_time_closed"),  # closed from then on
        ("is anybody there at noon", "utter_hours_time_open"),
        ("are you open at 8 pm on christmas", "utter_hours_day_closed"),
    ],
)
async def test_a_time_of_a_day(talk: Conversation, text: str, response: str) -> None:
    (said,) = await asked(talk, text)
    assert said["response"] == response


async def test_spoken_for_the_phone(talk: Conversation) -> None:
    (said,) = await asked(talk, "are you open tomorrow at seven pm")
    assert said["asked_day_spoken"] == "Tuesday, that's tomorrow"
    assert said["asked_time_spoken"] == "7 pm"
    assert said["hours_spoken"] == "from 7 30 am to 6 pm"


async def test_two_days_are_answered_one_by_one(talk: Conversation) -> None:
    said = await asked(talk, "are you open saturday or sunday")
    assert [one["response"] for one in said] == ["utter_hours_day", "utter_hours_day_closed"]


@pytest.mark.parametrize("text", ["what are your hours", "were you open yesterday"])
async def test_otherwise_the_whole_week(talk: Conversation, text: str) -> None:
    (said,) = await asked(talk, text)
    assert said["response"] == "utter_hours"


async def test_a_holiday_that_the_company_closes_on(
    talk: Conversation, use: Callable[..., Application], app: Application
) -> None:
    hours = replace(app.business.hours, closed=(*app.business.hours.closed, "Thanksgiving"))
    use(business=replace(app.business, hours=hours))
    (said,) = await asked(talk, "are you open on thanksgiving")
    assert said["response"] == "utter_hours_day_closed"
    assert said["opens"] == "Friday, November 27 at 7:30 am"
