"""From messages to runs: one run an organisation, never two for a job, and a queue that never loses."""

from collections.abc import Callable
from uuid import UUID, uuid4

import dagster as dg
import psycopg

from boots_pipeline.assets.source_documents import job_tag
from boots_pipeline.resources.queue import Message, SyncQueue
from boots_pipeline.sensors.ingestion_queue import SYNC_TAG, ingestion_queue, run_request, split
from tests.conftest import Organisation


def message(slug: str | None = "a", provider: str | None = "hubspot", problem: str | None = None) -> Message:
    return Message(1, 1, uuid4(), slug, uuid4(), provider, problem)


def test_messages_are_split_by_what_is_underway_and_by_organisation() -> None:
    running, waiting, other, bad = message(), message(), message("b"), message(problem="malformed message")
    underway, groups = split([running, waiting, other, bad], {str(running.job_id)})
    assert underway == [running]
    assert groups == {"a": [waiting], "b": [other]}


def test_a_run_covers_the_organisation_and_what_is_derived() -> None:
    handed = message("harbour-joinery")
    request = run_request("harbour-joinery", [handed])
    assert request.run_key == f"{handed.job_id}.1"
    assert request.partition_key == "harbour-joinery"
    assert [key.to_user_string() for key in request.asset_selection or []] == [
        "source_documents/hubspot",
        "embeddings",
        "client_intelligence",
    ]
    assert request.tags[job_tag("hubspot")] == f"{handed.job_id}.1"


def tick(instance: dg.DagsterInstance, queue: SyncQueue) -> dg.SensorResult:
    with dg.build_sensor_context(instance=instance) as context:
        result = ingestion_queue(context, queue=queue)
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_connection_becomes_a_partition_and_a_run(
    instance: dg.DagsterInstance,
    queue: SyncQueue,
    connect: Callable[..., UUID],
    organisation: Organisation,
    owner: psycopg.Connection,
) -> None:
    connect(organisation)
    result = tick(instance, queue)
    assert [request.partition_key for request in result.run_requests or []] == [organisation.slug]
    assert [list(each.partition_keys) for each in result.dynamic_partitions_requests or []] == [[organisation.slug]]
    # It stays in the queue, out of sight, until its run has finished it.
    assert owner.execute("select count(*) as n from pgmq.q_ingestion_queue").fetchone()["n"] == 1
    assert not tick(instance, queue).run_requests


def test_a_message_whose_run_is_live_is_only_put_off(
    instance: dg.DagsterInstance,
    queue: SyncQueue,
    connect: Callable[..., UUID],
    organisation: Organisation,
    owner: psycopg.Connection,
) -> None:
    connect(organisation)
    job = owner.execute("select id from ingestion_jobs").fetchone()["id"]

    @dg.job
    def waiting() -> None: ...

    instance.create_run_for_job(
        waiting, status=dg.DagsterRunStatus.STARTED, tags={SYNC_TAG: "queue", job_tag("hubspot"): f"{job}.1"}
    )
    assert not tick(instance, queue).run_requests
    left = owner.execute("select vt > clock_timestamp() + '20s' as later from pgmq.q_ingestion_queue").fetchone()
    assert left["later"]


def test_garbage_is_buried_and_the_rest_flows_on(
    instance: dg.DagsterInstance,
    queue: SyncQueue,
    connect: Callable[..., UUID],
    organisation: Organisation,
    owner: psycopg.Connection,
) -> None:
    unknown = f'{{"v": 1, "job_id": "{uuid4()}", "org_id": "{uuid4()}"}}'
    for garbage in ("null", '"text"', "{}", '{"v": 1, "job_id": "x", "org_id": 7}', unknown):
        owner.execute("select pgmq.send('ingestion_queue', %s::jsonb)", [garbage])
    connect(organisation)
    assert len(tick(instance, queue).run_requests or []) == 1
    assert owner.execute("select count(*) as n from pgmq.q_ingestion_dlq").fetchone()["n"] == 5


def test_a_run_whose_process_is_gone_is_ended_and_its_job_handed_over_again(
    instance: dg.DagsterInstance,
    queue: SyncQueue,
    connect: Callable[..., UUID],
    organisation: Organisation,
    owner: psycopg.Connection,
) -> None:
    connect(organisation)
    (handed,) = tick(instance, queue).run_requests or []

    @dg.job
    def lost() -> None: ...

    run = instance.create_run_for_job(lost, status=dg.DagsterRunStatus.STARTED, tags=dict(handed.tags))
    queue.claim(organisation.id, owner.execute("select id from ingestion_jobs").fetchone()["id"], 1, run.run_id)
    owner.execute("update ingestion_jobs set lease_until = '-infinity'")
    owner.execute("update pgmq.q_ingestion_queue set vt = clock_timestamp()")
    assert not tick(instance, queue).run_requests  # it may be between its start and its claim
    with instance.run_storage.connect() as storage:
        storage.exec_driver_sql("update runs set start_time = start_time - 3600, create_timestamp = create_timestamp")
        storage.exec_driver_sql("update runs set start_time = 1 where start_time is null")
    owner.execute("update pgmq.q_ingestion_queue set vt = clock_timestamp()")
    assert len(tick(instance, queue).run_requests or []) == 1
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE


def test_an_organisation_without_a_partition_stops_nobody(
    instance: dg.DagsterInstance,
    queue: SyncQueue,
    connect: Callable[..., UUID],
    new_organisation: Callable[..., Organisation],
    organisation: Organisation,
    owner: psycopg.Connection,
) -> None:
    other = new_organisation("meridian-signage")
    connect(other)
    connect(organisation)
    owner.execute("update connected_sources set connected_at = null where org_id = %s", [other.id])
    assert [each.partition_key for each in tick(instance, queue).run_requests or []] == [organisation.slug]
