"""Whatever dies, and when: the next claim goes on, and what is kept in the end is what would have been kept anyway."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from boots_pipeline.errors import DatabaseError
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.providers.base import Document
from boots_pipeline.providers.hubspot import HUBSPOT, HubSpot
from boots_pipeline.resources import mcp_gateway
from boots_pipeline.resources.database import Database
from tests.conftest import Connected

TOTAL = 120


def until(holds: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def assert_as_if_nothing_had_happened(connected: Connected) -> None:
    """Everything is there once, and a listing from the beginning finds nothing to add or to change."""
    assert connected.kept() == connected.truth()
    job = connected.job()
    assert (job["status"], job["items_seen"], job["items_expected"]) == ("completed", TOTAL, TOTAL)
    assert job["documents_added"] == job["documents_embedded"] == TOTAL
    assert connected.waiting() == 0
    again = connected.sync("full")
    assert (again.kept.added, again.kept.changed, again.kept.removed, again.kept.embedded) == (0, 0, 0, 0)


def test_a_killed_worker_is_followed_by_another(
    connected: Connected, urls: DatabaseUrls, vault_keys: str, small_pages: None
) -> None:
    connected.outside.fault(kind="slow", tool="search_crm_objects", seconds=0.1, times=None)
    environment = os.environ | {"WORKER_DATABASE_URL": urls.worker, "VAULT_KEYS": vault_keys}
    worker = subprocess.Popen([sys.executable, "-m", "tests.ingestion.killed_worker"], env=environment)
    try:
        until(lambda: connected.job()["items_seen"] >= 40, "four batches")
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
    seen = connected.job()["items_seen"]
    assert connected.job()["status"] == "running"
    assert seen == sum(len(ids) for ids in connected.kept().values()) < TOTAL
    assert connected.queue.read(10) == []  # its lease lasts, and the message with it
    connected.outside.control("DELETE", "faults")
    connected.outside.control("DELETE", "calls")
    connected.wake()
    job = connected.take()
    assert job.attempt == 1  # the batches were progress: the count began anew
    assert connected.run(job).status == "completed"
    # Only what was left was asked for: a page of each stream more, at most, to learn that it is at its end.
    assert len(connected.calls("search_crm_objects")) <= (TOTAL - seen) / 10 + 3
    assert_as_if_nothing_had_happened(connected)


def test_a_listing_that_was_read_is_not_read_again(connected: Connected) -> None:
    connected.owner.execute("alter table sync_streams add constraint broken check (stream <> 'contacts') not valid")
    with pytest.raises(DatabaseError):
        connected.sync()
    connected.owner.execute("alter table sync_streams drop constraint broken")
    connected.outside.control("DELETE", "calls")
    connected.wake()
    assert connected.run(connected.take()).status == "completed"
    assert {call["arguments"]["objectType"] for call in connected.calls("search_crm_objects")} == {"deals"}
    assert_as_if_nothing_had_happened(connected)


def test_a_zombie_writes_nothing(connected: Connected) -> None:
    zombie = connected.take()
    connected.wake()
    heir = connected.take()
    assert heir.lease_token != zombie.lease_token
    outcome = connected.run(zombie)
    assert (outcome.status, outcome.error_class) == ("cancelled", "cancelled")
    assert connected.documents() == {}
    assert connected.job()["status"] == "running"
    assert connected.run(heir).status == "completed"
    before = (connected.documents(), connected.job(), connected.source())
    assert connected.run(zombie).status == "cancelled"
    assert (connected.documents(), connected.job(), connected.source()) == before


def test_a_disconnect_stops_a_running_sync_within_a_batch(
    connected: Connected, web_database: Database, small_pages: None
) -> None:
    connected.outside.fault(kind="slow", tool="search_crm_objects", seconds=0.1, times=None)
    with ThreadPoolExecutor(1) as pool:
        syncing = pool.submit(connected.sync)
        until(lambda: connected.job()["items_seen"] >= 40, "batches in the middle of a stream")
        with web_database.user(
            connected.organisation.admin, org_id=connected.organisation.id, as_authenticated=False
        ) as transaction:
            transaction.execute("select private.disconnect_source(%s, 'hubspot')", [connected.organisation.id])
        left = connected.documents()
        outcome = syncing.result(20)
    assert (outcome.status, outcome.error_class) == ("cancelled", "cancelled")
    assert connected.documents() == left
    assert len(left) < TOTAL
    assert (connected.job()["status"], connected.job()["lease_token"]) == ("cancelled", None)
    assert connected.job()["finished_at"] is not None
    assert connected.source()["status"] == "revoked"
    assert connected.waiting() == 0


def test_what_a_cancelled_sync_left_is_cleared_away(connected: Connected, small_pages: None) -> None:
    connected.outside.fault(kind="status", status=429, retry_after=600, after=3)
    assert connected.sync().status == "queued"
    assert connected.owner.execute("select count(*) as n from ingestion_seen").fetchone()["n"] > 0
    connected.owner.execute("select private.cancel_live_sync(%s, %s)", [connected.organisation.id, connected.id])
    connected.sync("full")
    assert connected.owner.execute("select count(*) as n from ingestion_seen").fetchone()["n"] == 0


def test_a_stop_gives_the_job_back_at_once(connected: Connected, small_pages: None) -> None:
    connected.outside.fault(kind="slow", tool="search_crm_objects", seconds=0.2, times=None)
    job = connected.take()

    async def stopped() -> None:
        running = asyncio.create_task(connected.engine.run(job, HUBSPOT))
        await asyncio.to_thread(until, lambda: connected.job()["items_seen"] >= 10, "a batch")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(stopped())
    connected.outside.control("DELETE", "faults")
    assert (connected.job()["status"], connected.job()["attempt"]) == ("queued", 0)
    assert connected.run(connected.take()).status == "completed"
    assert_as_if_nothing_had_happened(connected)


class Buggy(HubSpot):
    """An adapter with a bug of the usual kind."""

    def document(self, stream: str, payload: Mapping[str, Any]) -> Document:
        raise KeyError(payload)


def test_a_bug_fails_the_job_and_says_nothing_of_the_data(connected: Connected) -> None:
    job = connected.take()
    with pytest.raises(KeyError):
        replace(connected, provider=Buggy()).run(job)
    job = connected.job()
    assert (job["status"], job["error_class"]) == ("failed", "bug")
    assert job["error_message"] == connected.source()["status_message"]
    assert "example" not in job["error_message"]
    assert connected.source()["status"] == "error"


def test_a_lost_database_connection_ends_the_run_and_the_next_one_goes_on(
    connected: Connected, owner: psycopg.Connection, urls: DatabaseUrls, small_pages: None
) -> None:
    connected.outside.fault(kind="slow", tool="search_crm_objects", seconds=0.1, times=None)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(urls.owner) as other:
        syncing = pool.submit(connected.sync)
        until(lambda: connected.job()["items_seen"] >= 20, "two batches")
        other.execute("select 1 from ingestion_jobs for update")  # the next batch waits here, in its transaction
        writer = "select pid from pg_stat_activity where application_name = 'test-worker' and wait_event_type = 'Lock'"
        until(lambda: owner.execute(writer).fetchone() is not None, "a batch that waits")
        owner.execute(f"select pg_terminate_backend(pid) from ({writer}) waiting")
        with pytest.raises(DatabaseError):
            syncing.result(20)
    connected.outside.control("DELETE", "faults")
    connected.wake()
    assert connected.run(connected.take()).status == "completed"
    assert_as_if_nothing_had_happened(connected)


def test_progress_gives_the_attempts_back(
    connected: Connected, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_gateway, "_ATTEMPTS", 1)  # within a run: three would take 26 s here
    for done in range(1, 8):
        connected.outside.control("DELETE", "faults")
        connected.outside.fault(kind="status", status=503, after=1, times=None, tool="search_crm_objects")
        outcome = connected.run(connected.take())
        assert outcome.status == "queued", done
        connected.wake()
    connected.outside.control("DELETE", "faults")
    assert connected.run(connected.take()).status == "completed"
    assert_as_if_nothing_had_happened(connected)
