"""Whether this process is alive, and whether Boots can do its work: for whoever watches it, without a session.

The web process reaches its own database and nothing else. So the queue is asked through a function there, and of
Dagster it is known when its daemon last made the sensor tick, which the sensor writes down there.
"""

import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue

from oauth_app.services import services
from oauth_app.wording import iso

health = Blueprint("health", __name__)

_SECONDS = 2  # for the connection, and again for each of two questions
_UNSEEN = timedelta(minutes=1)  # it says that it is there every 15 s


@health.get("/healthz")
def healthz() -> ResponseReturnValue:
    """200 as long as this process answers; it asks nobody."""
    return jsonify(status="ok")


@health.get("/readyz")
def readyz() -> ResponseReturnValue:
    """200 when database, queue and Dagster's daemon are there; otherwise 503, with which of them is not."""
    asking: _Asking = current_app.extensions.setdefault("boots-ready", _Asking())
    parts = asking.parts()
    ready = all(state == "ok" for state in parts.values())
    return jsonify(status="ready" if ready else "not ready", **parts), 200 if ready else 503


class _Asking:
    """One asks at a time: who has no session cannot make us open many connections. Who waits is told what was found
    since he came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._found: dict[str, str] = {}

    def parts(self) -> dict[str, str]:
        came_at = time.monotonic()
        with self._lock:
            if self._asked_at < came_at:
                self._asked_at = time.monotonic()
                self._found = _parts()
            return self._found


def _parts() -> dict[str, str]:
    """On a connection of its own: a pool whose every connection is busy says nothing about the database."""
    parts = {"database": "down", "queue": "unknown", "dagster": "unknown"}
    try:
        with psycopg.connect(
            services().settings.required("web_database_url"),
            autocommit=True,
            connect_timeout=_SECONDS,
            tcp_user_timeout=_SECONDS * 1000,
            options=f"-c statement_timeout={_SECONDS}s",
            application_name="boots-ready",
        ) as connection:
            parts["database"] = "ok"
            parts["queue"] = "ok" if _answer(connection, "select private.queue_answers()") else "down"
            parts["dagster"] = _of_daemon(_answer(connection, "select private.last_seen('dagster')"))
    except psycopg.Error:
        pass  # it went away meanwhile: what was not asked stays unknown
    return parts


def _answer(connection: psycopg.Connection[tuple[object, ...]], question: str) -> object:
    try:
        row = connection.execute(question.encode()).fetchone()
    except psycopg.Error:
        return None
    return row[0] if row else None


def _of_daemon(seen: object) -> str:
    if not isinstance(seen, datetime):
        return "never seen"
    if datetime.now(UTC) - seen > _UNSEEN:
        return f"last seen {iso(seen)}"
    return "ok"
