"""A sync is a job and a message, made together: who asks, who claims, and who does it by hand."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from boots_pipeline.errors import DatabaseError, NotConnected
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.queue import Job, SyncQueue
from tests.conftest import Organisation
from tests.queue.conftest import finish, job_row, rows, wake

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
