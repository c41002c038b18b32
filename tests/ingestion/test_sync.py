"""The sync engine against the sandbox: what it keeps is what the provider holds, whatever happened on the way."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from boots_pipeline.ingestion.sync import Outcome, SyncEngine
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.resources.queue import SyncQueue
from tests.conftest import Organisation
from tests.outside import Outside


@pytest.fixture
def sync(queue: SyncQueue, engine: SyncEngine) -> Callable[[], Outcome]:
    """Take the message that waits and run its sync, as a Dagster run does."""

    def sync() -> Outcome:
        (message,) = queue.read(10)
        assert message.problem is None
        job = queue.claim(message.org_id, message.job_id, message.read_ct, "test")
        assert job is not None
        return asyncio.run(engine.run(job, HUBSPOT))

    return sync


def kept(owner: psycopg.Connection) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"companies": set(), "contacts": set(), "deals": set()}
    for row in owner.execute("select document_type, external_id from source_documents where deleted_at is null"):
        found[row["document_type"]].add(row["external_id"])
    return found


def ids(truth: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
    return {stream: set(records) for stream, records in truth.items()}


def test_a_full_sync_keeps_what_there_is(
    sync: Callable[[], Outcome],
    connect: Callable[[Organisation], UUID],
    organisation: Organisation,
    outside: Outside,
    owner: psycopg.Connection,
) -> None:
    connect(organisation)
    outcome = sync()
    truth = outside.truth(organisation.slug)
    assert outcome.status == "completed", outcome
    assert kept(owner) == ids(truth)
    total = sum(len(records) for records in truth.values())
    job = owner.execute("select * from ingestion_jobs").fetchone()
    assert (job["status"], job["documents_added"], job["documents_embedded"]) == ("completed", total, total)
    assert job["items_seen"] == job["items_expected"] == total
    assert owner.execute("select count(*) as n from pgmq.q_ingestion_queue").fetchone()["n"] == 0
    assert owner.execute("select count(*) as n from ingestion_seen").fetchone()["n"] == 0
    assert owner.execute("select status from connected_sources").fetchone()["status"] == "active"
