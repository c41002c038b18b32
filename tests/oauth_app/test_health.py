"""Alive, and ready: each for itself, without a session, in bounded time, and with no secret in it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from flask import Flask

from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.queue import SyncQueue
from tests.outside import free_port

ALL_WELL = {"status": "ready", "database": "ok", "queue": "ok", "dagster": "ok"}


@pytest.fixture
def queue(urls: DatabaseUrls) -> Iterator[SyncQueue]:
    database = Database(urls.worker, application="test-worker")
    yield SyncQueue(database)
    database.close()


@pytest.fixture(autouse=True)
def unseen(owner: psycopg.Connection) -> None:
    owner.execute("delete from private.heartbeats")


def ready(app: Flask) -> tuple[int, dict[str, str]]:
    answer = app.test_client().get("/readyz")
    return answer.status_code, answer.get_json()


def test_ready_when_all_three_are_there(app: Flask, queue: SyncQueue, owner: psycopg.Connection) -> None:
    assert ready(app) == (503, {**ALL_WELL, "status": "not ready", "dagster": "never seen"})
    queue.note_alive()
    assert ready(app) == (200, ALL_WELL)
    owner.execute("update private.heartbeats set seen_at = '2026-11-24 08:00:00+00'")
    assert ready(app) == (503, {**ALL_WELL, "status": "not ready", "dagster": "last seen 2026-11-24T08:00:00Z"})


def test_a_queue_that_does_not_answer_is_named(app: Flask, queue: SyncQueue, owner: psycopg.Connection) -> None:
    queue.note_alive()
    owner.execute("alter table pgmq.q_ingestion_queue rename to away")
    try:
        assert ready(app) == (503, {**ALL_WELL, "status": "not ready", "queue": "down"})
    finally:
        owner.execute("alter table pgmq.away rename to q_ingestion_queue")


def test_a_locked_queue_costs_two_seconds_and_no_more(app: Flask, queue: SyncQueue, urls: DatabaseUrls) -> None:
    queue.note_alive()
    with psycopg.connect(urls.owner) as holding:
        holding.execute("lock table pgmq.q_ingestion_queue in access exclusive mode")
        began = time.monotonic()
        assert ready(app)[1]["queue"] == "down"
        assert time.monotonic() - began < 4


def test_many_who_ask_at_once_take_one_connection(
    app: Flask, queue: SyncQueue, urls: DatabaseUrls, owner: psycopg.Connection
) -> None:
    queue.note_alive()
    asked = "select count(*) as n from pg_stat_activity where application_name = 'boots-ready'"
    with ThreadPoolExecutor(6) as people, psycopg.connect(urls.owner) as holding:
        holding.execute("lock table pgmq.q_ingestion_queue in access exclusive mode")
        answers = [people.submit(ready, app) for _ in range(6)]
        met = []
        for _ in range(15):
            met.append(owner.execute(asked).fetchone()["n"])
            time.sleep(0.02)
        holding.rollback()
    assert max(met) == 1
    assert [answer.result() for answer in answers] == [(200, ALL_WELL)] * 6


def test_a_database_that_is_away_is_named_and_its_address_is_not(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    boots = app.extensions["boots"]
    url = f"postgresql://boots_web:swordfish@127.0.0.1:{free_port()}/boots"
    away = replace(boots, settings=boots.settings.model_copy(update={"web_database_url": url}))
    monkeypatch.setitem(app.extensions, "boots", away)
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json() == {"status": "not ready", "database": "down", "queue": "unknown", "dagster": "unknown"}
    assert "swordfish" not in answer.text
    # Alive it is all the same.
    assert app.test_client().get("/healthz").get_json() == {"status": "ok"}


def test_being_there_is_written_every_15_seconds_at_most(queue: SyncQueue, owner: psycopg.Connection) -> None:
    """A sensor ticks every 5 s for years: one row, and a new version of it four times a minute."""

    def version() -> dict[str, object]:
        return owner.execute("select xmin::text, seen_at from private.heartbeats").fetchone()

    queue.note_alive()
    first = version()
    queue.note_alive()
    assert version() == first
    owner.execute("update private.heartbeats set seen_at = seen_at - interval '16 seconds'")
    queue.note_alive()
    assert version()["seen_at"] >= first["seen_at"]
