"""A sync is a job and a message that live and end together, whoever asks, claims, dies or disconnects."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from boots_pipeline.errors import ConfigError, DatabaseError, NotConnected
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


# Asking


def test_a_job_and_its_message_are_made_together(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID], organisation: Organisation
) -> None:
    job_id = ask("delta")
    (message,) = queue.read(10)
    assert (message.org_id, message.org_slug, message.job_id) == (organisation.id, organisation.slug, job_id)
    assert (message.provider, message.problem, message.read_ct) == ("hubspot", None, 1)
    assert queue.read(10) == []  # handed off: invisible while its run starts
    owner.execute("delete from pgmq.q_ingestion_queue")
    owner.execute("delete from ingestion_jobs")
    owner.execute("create function no() returns trigger language plpgsql as $$ begin raise 'no'; end $$")
    owner.execute("create trigger no before insert on pgmq.q_ingestion_queue execute function no()")
    with pytest.raises(DatabaseError):
        ask("delta")
    assert rows(owner, "ingestion_jobs") == []


@pytest.mark.parametrize("status", ["pending", "needs_reauth", "revoked"])
def test_only_a_connection_that_works_is_synced(
    owner: psycopg.Connection, ask: Callable[[str], UUID], status: str
) -> None:
    owner.execute("update connected_sources set status = %s", [status])
    with pytest.raises(NotConnected):
        ask("delta")


def test_asking_again_upgrades_what_waits(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID]
) -> None:
    job_id = ask("delta")
    for asked, kind in (("reconcile", "reconcile"), ("delta", "reconcile"), ("full", "full"), ("reconcile", "full")):
        assert ask(asked) == job_id
        assert job_row(owner, job_id)["kind"] == kind
    assert len(queue.read(10)) == 1


def test_many_who_ask_at_once_get_one_job(owner: psycopg.Connection, ask: Callable[[str], UUID]) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, ["delta", "full", "reconcile"] * 6))) == 1
    (job,) = rows(owner, "ingestion_jobs")
    assert job["kind"] == "full"
    assert len(rows(owner, "pgmq.q_ingestion_queue")) == 1


def test_a_click_pulls_a_delayed_job_forward(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID], take: Callable[[], Job]
) -> None:
    ask("delta")
    queue.release(take(), timedelta(hours=1), burns_attempt=True, error_class="transient", message="Later.")
    assert queue.read(10) == []
    ask("delta")
    assert take().attempt == 2


def test_nobody_pulls_a_job_before_the_providers_retry_after(
    queue: SyncQueue, ask: Callable[[str], UUID], take: Callable[[], Job], organisation: Organisation
) -> None:
    ask("delta")
    job = take()
    queue.release(job, timedelta(hours=1), burns_attempt=False, error_class="rate_limited", message="Later.")
    ask("full")
    assert queue.read(10) == []
    assert queue.claim_by_hand(organisation.id, "hubspot", "delta", "by hand") is None
    assert queue.claim(organisation.id, job.id, 1, "the same run again") is None


def test_asking_while_it_runs_makes_the_next_job(
    queue: SyncQueue, database: Database, owner: psycopg.Connection, ask: Callable[[str], UUID],
    take: Callable[[], Job],
) -> None:  # fmt: skip
    ask("delta")
    job = take()
    assert ask("delta") == job.id
    assert ask("full") == job.id
    assert ask("reconcile") == job.id
    assert job_row(owner, job.id)["kind"] == "delta"
    assert finish(database, queue, job)
    following = take()
    assert (following.kind, following.attempt) == ("full", 1)
    assert following.id != job.id
    assert finish(database, queue, following)
    assert rows(owner, "pgmq.q_ingestion_queue") == []


def test_a_job_that_has_begun_keeps_its_kind_and_is_followed(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID], take: Callable[[], Job]
) -> None:
    ask("delta")
    job = take()
    owner.execute("update ingestion_jobs set checkpoint = '{\"companies\": {}}', items_seen = 5")
    queue.release(job, timedelta(0), burns_attempt=False, error_class=None, message=None)
    ask("full")
    held = job_row(owner, job.id)
    assert (held["kind"], held["rerun_as"], held["items_seen"]) == ("delta", "full", 5)
    ask("delta")
    assert job_row(owner, job.id)["rerun_as"] == "full"


def test_no_rerun_where_nobody_may_sync(
    queue: SyncQueue, database: Database, owner: psycopg.Connection, ask: Callable[[str], UUID],
    take: Callable[[], Job],
) -> None:  # fmt: skip
    ask("delta")
    job = take()
    ask("full")
    assert finish(database, queue, job, "failed", "needs_reauth")
    assert len(rows(owner, "ingestion_jobs")) == 1
    (source,) = rows(owner, "connected_sources")
    assert (source["status"], source["status_message"]) == ("needs_reauth", "In words.")


# Claiming


def test_of_two_claims_one_holds(queue: SyncQueue, ask: Callable[[str], UUID], organisation: Organisation) -> None:
    job_id = ask("delta")
    (message,) = queue.read(1)
    with ThreadPoolExecutor(6) as pool:
        claims = list(pool.map(lambda n: queue.claim(organisation.id, job_id, message.read_ct, f"run {n}"), range(6)))
    assert len([job for job in claims if job]) == 1


def test_a_stale_hand_off_claims_nothing(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID], organisation: Organisation
) -> None:
    job_id = ask("delta")
    queue.read(1)
    wake(owner)
    (again,) = queue.read(1)
    assert again.read_ct == 2
    assert queue.claim(organisation.id, job_id, 1, "the run that was late") is None
    assert job_row(owner, job_id)["status"] == "queued"
    assert queue.claim(organisation.id, job_id, 2, "run") is not None


def test_a_message_that_is_only_looked_at_again_disturbs_nobody(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID], organisation: Organisation
) -> None:
    job_id = ask("delta")
    queue.read(1)
    for _ in range(60):  # its run waits for a free place; the sensor looks in
        wake(owner)
        (message,) = queue.read(1)
        assert (message.problem, message.read_ct) == (None, 2)
        queue.postpone(message, 30)
    assert queue.read(1) == []
    job = queue.claim(organisation.id, job_id, 1, "the run that waited")
    assert job is not None
    wake(owner)
    (message,) = queue.read(1)
    queue.postpone(message, 30)
    assert queue.renew(job)


def test_the_heartbeat_renews_lease_and_message_together(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID], take: Callable[[], Job]
) -> None:
    ask("delta")
    job = take()
    wake(owner)
    assert queue.renew(job)
    assert queue.read(10) == []
    held = owner.execute(
        """select lease_until > now() + interval '1 minute' as lease, vt > now() + interval '1 minute' as message
             from ingestion_jobs j join pgmq.q_ingestion_queue q on q.msg_id = j.message_id"""
    ).fetchone()
    assert held == {"lease": True, "message": True}


def test_a_heartbeat_that_comes_too_late_changes_nothing(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID], take: Callable[[], Job]
) -> None:
    ask("delta")
    zombie = take()
    wake(owner)
    (message,) = queue.read(1)  # handed off again, not yet claimed
    assert not queue.renew(zombie)
    heir = queue.claim(message.org_id, message.job_id, message.read_ct, "heir")
    assert heir is not None
    assert heir.attempt == 2
    before = job_row(owner, heir.id)
    assert not queue.renew(zombie)
    assert not queue.release(zombie, timedelta(0), burns_attempt=True, error_class=None, message=None)
    assert job_row(owner, heir.id) == before


# By hand


def test_by_hand_makes_a_job_that_the_sensor_never_sees(
    queue: SyncQueue, database: Database, owner: psycopg.Connection, organisation: Organisation, source: UUID
) -> None:
    job = queue.claim_by_hand(organisation.id, "hubspot", "full", "by hand")
    assert job is not None
    assert (job.source_id, job.kind, job.attempt) == (source, "full", 1)
    assert queue.read(10) == []
    assert queue.renew(job)
    assert queue.claim_by_hand(organisation.id, "hubspot", "delta", "another") is None
    assert finish(database, queue, job)
    assert rows(owner, "pgmq.q_ingestion_queue") == []


def test_by_hand_adopts_what_waits_and_widens_it(
    queue: SyncQueue, ask: Callable[[str], UUID], organisation: Organisation
) -> None:
    job_id = ask("delta")
    (message,) = queue.read(1)
    job = queue.claim_by_hand(organisation.id, "hubspot", "full", "by hand")
    assert job is not None
    assert (job.id, job.kind) == (job_id, "full")
    assert queue.claim(organisation.id, job_id, message.read_ct, "the sensor's run") is None


def test_by_hand_follows_a_dead_run(
    queue: SyncQueue, owner: psycopg.Connection, ask: Callable[[str], UUID], take: Callable[[], Job],
    organisation: Organisation,
) -> None:  # fmt: skip
    ask("reconcile")
    dead = take()
    wake(owner)
    job = queue.claim_by_hand(organisation.id, "hubspot", "delta", "by hand")
    assert job is not None
    assert (job.id, job.kind, job.attempt) == (dead.id, "reconcile", 2)
    assert job_row(owner, job.id)["rerun_as"] is None


def test_by_hand_needs_a_connection(queue: SyncQueue, organisation: Organisation) -> None:
    with pytest.raises(NotConnected):
        queue.claim_by_hand(organisation.id, "hubspot", "delta", "by hand")


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
