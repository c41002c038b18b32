"""Times, numbers and kinds of things in words, in the time zone of the organisation."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import Flask, g

from boots_pipeline.counting import counted

_STAGES = {"waiting": "waiting to start", "connecting": "connecting", "finished": "finishing"}


def moment(value: datetime | None) -> str:
    """When, as a person would write it: near times by their distance, others by their date."""
    if value is None:
        return "never"
    now = datetime.now(UTC)
    since = (now - value).total_seconds()
    if 0 <= since < 90:
        return "just now"
    if 0 <= since < 3600:
        return f"{round(since / 60)} minutes ago"
    if -3600 < since < 0:
        return f"in {max(1, round(-since / 60))} min"
    return _by_date(value)


def _by_date(value: datetime) -> str:
    zone = _zone()
    local, today = value.astimezone(zone), datetime.now(zone).date()
    day = {today: "today", today - timedelta(days=1): "yesterday", today + timedelta(days=1): "tomorrow"}.get(
        local.date(), f"{local.day} {local:%b %Y}"
    )
    return f"{day} at {local:%H:%M}"


def day(value: datetime | None) -> str:
    """The date alone."""
    if value is None:
        return "an unknown date"
    local = value.astimezone(_zone())
    return f"{local.day} {local:%b %Y}"


def clock(value: datetime) -> str:
    """A point in time by the clock: `14:05` today, `tomorrow at 02:10`."""
    words = _by_date(value)
    return words.removeprefix("today at ")


def iso(value: datetime) -> str:
    """For programs: ISO 8601, UTC."""
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def duration(seconds: float) -> str:
    """About how long."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600)} h"


def stage(name: str) -> str:
    """What a sync is doing."""
    return _STAGES.get(name, name.replace("_", " "))


def relevance(score: float | None) -> str:
    """A score in words and percent; the words are what matters."""
    if score is None:
        return "relevance unknown"
    word = "very relevant" if score >= 0.7 else "relevant" if score >= 0.45 else "somewhat relevant"
    return f"{word} ({max(0, round(score * 100))}%)"


def add_filters(app: Flask) -> None:
    """Let the templates speak so too."""
    for name, filter_ in (("moment", moment), ("day", day), ("counted", counted), ("iso", iso)):
        app.add_template_filter(filter_, name)


def _zone() -> tzinfo:
    person = g.get("person")
    try:
        return ZoneInfo(person.time_zone) if person else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
