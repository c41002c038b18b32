"""Times, numbers and scores in words."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from flask import Flask, g

from boots_pipeline.counting import counted
from oauth_app.session import Person
from oauth_app.wording import day, duration, moment, relevance


@pytest.mark.parametrize(
    ("seconds_ago", "words"),
    [(5, "just now"), (95, "2 minutes ago"), (1800, "30 minutes ago"), (3500, "58 minutes ago")],
)
def test_near_times(app: Flask, seconds_ago: int, words: str) -> None:
    with app.test_request_context("/"):
        assert moment(datetime.now(UTC) - timedelta(seconds=seconds_ago)) == words


@pytest.mark.parametrize(
    ("zone", "words", "date"),
    [
        ("UTC", "31 Dec 2020 at 23:30", "31 Dec 2020"),
        ("Asia/Tokyo", "1 Jan 2021 at 08:30", "1 Jan 2021"),
        ("Nowhere/At All", "31 Dec 2020 at 23:30", "31 Dec 2020"),
    ],
)
def test_far_times_are_in_the_time_zone_of_the_organisation(app: Flask, zone: str, words: str, date: str) -> None:
    with app.test_request_context("/"):
        g.person = Person(uuid4(), "a@b.example", uuid4(), "slug", "Name", zone, "admin")
        when = datetime(2020, 12, 31, 23, 30, tzinfo=UTC)
        assert (moment(when), day(when)) == (words, date)


def test_tomorrow(app: Flask) -> None:
    with app.test_request_context("/"):
        assert moment(datetime.now(UTC) + timedelta(days=1)).startswith("tomorrow at ")
        assert moment(None) == "never"


def test_numbers_and_scores() -> None:
    assert counted(1, "companies") == "1 company"
    assert counted(1204, "contacts") == "1,204 contacts"
    assert [duration(seconds) for seconds in (0.2, 59, 90, 7200)] == ["1 s", "59 s", "2 min", "2 h"]
    assert [relevance(score) for score in (0.82, 0.5, -0.1, None)] == [
        "very relevant (82%)",
        "relevant (50%)",
        "somewhat relevant (0%)",
        "relevance unknown",
    ]
