"""A connection to ask syncs of, and a look at what stands in the queue."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from boots_pipeline.resources.database import Database
from boots_pipeline.resources.queue import Job, SyncQueue
from tests.conftest import Organisation


@pytest.fixture
def source(owner: psycopg.Connection, organisation: Organisation) -> UUID:
    """A connection that is active; nothing is asked of its provider here."""
    row = owner.execute(
        """insert into connected_sources (org_id, provider, status, connected_at, access_token_vault_id)
           values (%s, 'hubspot', 'active', now(), gen_random_uuid()) returning id""",
        [organisation.id],
    ).fetchone()
    return row["id"]


@pytest.fixture
def ask(queue: SyncQueue, organisation: Organisation, source: UUID) -> Callable[[str], UUID]:
    """Ask for a sync."""
    return lambda kind: queue.enqueue(organisation.id, source, kind, "test")


@pytest.fixture
def take(queue: SyncQueue) -> Callable[[], Job]:
    """Read the one message that waits and claim its job."""

    def take() -> Job:
        (message,) = queue.read(10)
        assert message.problem is None
        job = queue.claim(message.org_id, message.job_id, message.read_ct, "run")
        assert job is not None
        return job

    return take


def rows(owner: psycopg.Connection, table: str) -> list[dict[str, Any]]:
    return owner.execute(f"select * from {table} order by 1").fetchall()


def job_row(owner: psycopg.Connection, job_id: UUID) -> dict[str, Any]:
    return owner.execute("select * from ingestion_jobs where id = %s", [job_id]).fetchone()


def wake(owner: psycopg.Connection) -> None:
    owner.execute("update pgmq.q_ingestion_queue set vt = clock_timestamp()")
    owner.execute("update ingestion_jobs set lease_until = '-infinity' where lease_until is not null")


def finish(database: Database, queue: SyncQueue, job: Job, status: str = "completed", error: str | None = None) -> bool:
    with database.organisation(job.org_id) as transaction:
        return queue.finish(transaction, job, status, error, error and "In words.")
