"""A job and its message end together, whatever dies or is garbage; and what is due begins anew."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from boots_pipeline.errors import ConfigError, NotConnected
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.queue import Job, SyncQueue
from tests.conftest import Organisation
from tests.queue.conftest import finish, job_row, rows, wake

# Ending


@pytest.mark.parametrize(
    ("status", "error", "source_status"),
    [
        ("completed", None, "active"),
        ("partial", "bad_item", "active"),
        ("failed", "config", "error"),
        ("failed", "needs_reauth", "needs_reauth"),
    ],
)
def test_job_connection_and_message_end_in_one_transaction(
    queue: SyncQueue, database: Database, owner: psycopg.Connection, ask: Callable[[str], UUID],
    take: Callable[[], Job], status: str, error: str | None, source_status: str,
) -> None:  # fmt: skip
    ask("delta")
    job = take()
    with database.organisation(job.org_id) as transaction:
        assert queue.finish(transaction, job, status, error, None)
        raise psycopg.Rollback
    assert job_row(owner, job.id)["status"] == "running"
    assert len(rows(owner, "pgmq.q_ingestion_queue")) == 1

    assert finish(database, queue, job, status, error)
    ended = job_row(owner, job.id)
    assert (ended["status"], ended["error_class"], ended["lease_token"]) == (status, error, None)
    assert ended["finished_at"] is not None
    assert rows(owner, "connected_sources")[0]["status"] == source_status
    assert rows(owner, "pgmq.q_ingestion_queue") == []
    assert len(rows(owner, "pgmq.a_ingestion_queue")) == 1
    assert not finish(database, queue, job, "failed", "bug")  # the lease is gone
    assert job_row(owner, job.id) == ended


def test_a_release_that_burns_nothing_can_go_on_for_ever(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID], take: Callable[[], Job]
) -> None:
    ask("delta")
    for _ in range(8):
        job = take()
        assert job.attempt == 1
        assert queue.release(job, timedelta(0), burns_attempt=False, error_class=None, message=None)


def test_five_claims_without_an_end_are_the_end(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID], take: Callable[[], Job]
) -> None:
    job_id = ask("delta")
    for attempt in range(1, 6):
        assert take().attempt == attempt
        assert queue.read(10) == []
        wake(owner)
    (message,) = queue.read(10)
    assert message.problem == "claimed five times without an end"
    job = job_row(owner, job_id)
    assert (job["status"], job["error_class"], job["lease_token"]) == ("dead", "infra", None)
    assert rows(owner, "pgmq.q_ingestion_queue") == []
    (letter,) = rows(owner, "pgmq.q_ingestion_dlq")
    assert letter["message"]["message"]["job_id"] == str(job_id)
    (source,) = rows(owner, "connected_sources")
    assert (source["status"], source["status_message"]) == ("error", job["error_message"])
    assert ask("delta") != job_id  # and life goes on


def test_fifty_hand_offs_without_a_claim_are_the_end(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID]
) -> None:
    job_id = ask("delta")
    owner.execute("update pgmq.q_ingestion_queue set read_ct = 48")
    assert queue.read(1)[0].problem is None
    wake(owner)
    assert queue.read(1)[0].problem == "handed off fifty times without a claim"
    assert job_row(owner, job_id)["status"] == "dead"


GARBAGE = [
    None, "text", 7, True, [], {}, [1, {"job_id": 2}], {"v": 1},
    {"v": 2, "org_id": str(uuid4()), "job_id": str(uuid4())},
    {"v": 1, "org_id": "x", "job_id": None}, {"v": 1, "org_id": {"a": []}, "job_id": [[]]},
    {"v": 1, "org_id": "'; drop table ingestion_jobs; --", "job_id": "🦊"},
    {"v": 1, "org_id": str(uuid4()), "job_id": str(uuid4())},
]  # fmt: skip


def test_garbage_is_put_aside_and_the_rest_flows_on(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID]
) -> None:
    for message in GARBAGE:
        owner.execute("select pgmq.send('ingestion_queue', %s)", [Jsonb(message)])
    owner.execute("select pgmq.send('ingestion_queue', null::jsonb)")
    job_id = ask("delta")
    read = queue.read(100)
    assert [message.job_id for message in read if message.problem is None] == [job_id]
    assert {message.problem for message in read} == {None, "malformed message", "unknown job"}
    letters = [row["message"]["message"] for row in rows(owner, "pgmq.q_ingestion_dlq")]
    assert len(letters) == len(GARBAGE) + 1
    assert all(message in letters for message in GARBAGE)
    assert len(rows(owner, "pgmq.q_ingestion_queue")) == 1


def test_messages_without_work_are_archived_and_not_buried(
    queue: SyncQueue, database: Database, owner: psycopg.Connection, ask: Callable[[str], UUID],
    take: Callable[[], Job], organisation: Organisation,
) -> None:  # fmt: skip
    ask("delta")
    job = take()
    body = Jsonb({"v": 1, "org_id": str(organisation.id), "job_id": str(job.id)})
    owner.execute("select pgmq.send('ingestion_queue', %s)", [body])
    (copy,) = queue.read(10)
    assert copy.problem == "message of an earlier hand-off"
    assert queue.renew(job)  # the copy's end is not the job's
    finish(database, queue, job)
    owner.execute("select pgmq.send('ingestion_queue', %s)", [body])
    (late,) = queue.read(10)
    assert late.problem == "job already completed"
    assert len(rows(owner, "pgmq.q_ingestion_dlq")) == 1
    assert rows(owner, "pgmq.q_ingestion_queue") == []


# What is due


def test_what_is_due_is_asked_for_once(
    queue: SyncQueue, owner: psycopg.Connection, organisation: Organisation, source: UUID
) -> None:
    owner.execute("update organizations set time_zone = 'Pacific/Auckland'")
    for rhythm in ("delta", "reconcile"):
        owner.execute(
            "insert into sync_schedules values (%s, %s, %s, now() - interval '2 days')",
            [organisation.id, source, rhythm],
        )
    assert queue.enqueue_due(10) == 2
    assert queue.enqueue_due(10) == 0
    (job,) = rows(owner, "ingestion_jobs")  # the night of both asks for the wider one
    assert (job["kind"], job["reason"]) == ("reconcile", "nightly")
    nights = owner.execute(
        """select rhythm, next_due_at - now() as ahead,
                  extract(hour from next_due_at at time zone 'Pacific/Auckland') as hour
             from sync_schedules order by rhythm"""
    ).fetchall()
    assert all(1 <= night["hour"] < 4 for night in nights)
    assert timedelta(0) < nights[0]["ahead"] <= timedelta(days=1, hours=1)
    assert timedelta(0) < nights[1]["ahead"] <= timedelta(days=7, hours=1)


@pytest.mark.parametrize("status", ["pending", "needs_reauth", "revoked"])
def test_a_connection_that_cannot_sync_is_left_in_peace(
    queue: SyncQueue, owner: psycopg.Connection, organisation: Organisation, source: UUID, status: str
) -> None:
    owner.execute("insert into sync_schedules values (%s, %s, 'delta', now())", [organisation.id, source])
    owner.execute("update connected_sources set status = %s", [status])
    assert queue.enqueue_due(10) == 0


def test_partitions_are_the_organisations_that_were_ever_connected(
    queue: SyncQueue, organisation: Organisation, source: UUID, new_organisation: Callable[[str], Organisation]
) -> None:
    new_organisation("without-any")
    assert list(queue.connected_organisations()) == [organisation.slug]
    assert queue.organisation_id(organisation.slug) == organisation.id
    with pytest.raises(ConfigError, match="nobody"):
        queue.organisation_id("nobody")


def test_an_unknown_time_zone_stops_nobodys_night(
    owner: psycopg.Connection, queue: SyncQueue, organisation: Organisation, source: UUID
) -> None:
    owner.execute("update organizations set time_zone = 'Nowhere/Land'")
    owner.execute(
        "insert into sync_schedules values (%s, %s, 'delta', now() - interval '1 hour')", [organisation.id, source]
    )
    assert queue.enqueue_due(10) == 1
    hour = owner.execute(
        "select extract(hour from next_due_at at time zone 'UTC') as hour from sync_schedules"
    ).fetchone()["hour"]
    assert 1 <= hour < 4


def test_a_connect_that_was_never_finished_cannot_be_synced(
    owner: psycopg.Connection, queue: SyncQueue, organisation: Organisation, source: UUID
) -> None:
    owner.execute("update connected_sources set status = 'error', connected_at = null, access_token_vault_id = null")
    with pytest.raises(NotConnected):
        queue.enqueue(organisation.id, source, "full", "test")


def test_a_message_that_is_gone_is_sent_again(
    owner: psycopg.Connection, queue: SyncQueue, ask: Callable[[str], UUID], take: Callable[[], Job]
) -> None:
    ask("delta")
    owner.execute("delete from pgmq.q_ingestion_queue")
    assert ask("delta") == take().id  # asking again sends another
    owner.execute("delete from pgmq.q_ingestion_queue")
    queue.enqueue_due(10)
    assert not rows(owner, "pgmq.q_ingestion_queue")  # a worker holds it: its finish needs no message
    wake(owner)
    queue.enqueue_due(10)
    assert take().attempt == 2


def test_a_provider_that_says_later_a_hundred_times_is_no_poison(
    owner: psycopg.Connection, queue: SyncQueue, ask: Callable[[str], UUID], take: Callable[[], Job]
) -> None:
    ask("full")
    for _ in range(60):
        queue.release(take(), timedelta(0), burns_attempt=False, error_class="rate_limited", message="later")
        wake(owner)
        owner.execute("update ingestion_jobs set retry_after = null")
    assert take().attempt == 1


def test_only_leased_jobs_are_leased(
    owner: psycopg.Connection, queue: SyncQueue, ask: Callable[[str], UUID], take: Callable[[], Job]
) -> None:
    job_id = ask("full")
    assert queue.leased([job_id]) == set()
    take()
    assert queue.leased([job_id]) == {job_id}
    wake(owner)
    assert queue.leased([job_id]) == set()
