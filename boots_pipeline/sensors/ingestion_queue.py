"""The queue's messages, turned into runs: one run an organisation, for every provider that has a message.

The sensor hands over and never archives: the run claims the job, and its finish ends the message. A message whose run
is queued or live is only looked at again later, so nothing is launched twice; one whose run died comes back by
itself.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import dagster as dg

from boots_pipeline.assets import client_intelligence, embeddings
from boots_pipeline.assets.source_documents import documents_key, job_tag
from boots_pipeline.partitions import orgs
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.resources.queue import LEASE_SECONDS, Message, SyncQueue

_AT_ONCE = 50
_LOOK_AGAIN_SECONDS = 30
_LOST_SECONDS = 3 * LEASE_SECONDS
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
SYNC_TAG = "boots/sync"


@dg.sensor(
    minimum_interval_seconds=4,  # the daemon looks every 5 s: a 5 here is missed by milliseconds, and is 10
    default_status=dg.DefaultSensorStatus.RUNNING,
    asset_selection=dg.AssetSelection.groups("memory"),
    description="Starts a sync for every message in pgmq.ingestion_queue: one run per organisation.",
)
def ingestion_queue(context: dg.SensorEvaluationContext, queue: dg.ResourceParam[SyncQueue]) -> dg.SensorResult:
    queue.note_alive()
    messages = queue.read(_AT_ONCE)
    settled = [message for message in messages if message.problem]
    for message in settled:
        context.log.warning("Message %d is no work: %s", message.msg_id, message.problem)
    for message in messages:
        if message.provider is not None and message.provider not in PROVIDERS:
            context.log.error("Message %d is for %s, which this build does not know", message.msg_id, message.provider)
    underway, waiting = split(messages, _jobs_underway(context.instance, queue))
    for message in underway:
        queue.postpone(message, _LOOK_AGAIN_SECONDS)
    connected = queue.connected_organisations()
    new = sorted(set(connected) - set(context.instance.get_dynamic_partitions("orgs")))
    # One request for a partition that does not exist would fail the tick, and with it everybody else's runs.
    requests = [run_request(slug, group) for slug, group in waiting.items() if slug in connected]
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[orgs.build_add_request(new)] if new else [],
        skip_reason=None if requests else "No sync waits in the queue.",
    )


def split(messages: Sequence[Message], underway: Collection[str]) -> tuple[list[Message], dict[str, list[Message]]]:
    """Messages whose run exists already, and the others by the organisation that they are for."""
    running, waiting = [], defaultdict(list)
    for message in messages:
        if message.problem or message.org_slug is None or message.provider not in PROVIDERS:
            continue
        if str(message.job_id) in underway:
            running.append(message)
        else:
            waiting[message.org_slug].append(message)
    return running, dict(waiting)


def run_request(slug: str, messages: Sequence[Message]) -> dg.RunRequest:
    """One run for an organisation's messages: their providers, then what is derived from them."""
    by_provider = {message.provider: message for message in messages if message.provider}
    handed = {provider: f"{message.job_id}.{message.read_ct}" for provider, message in sorted(by_provider.items())}
    return dg.RunRequest(
        run_key=" ".join(handed.values()),
        partition_key=slug,
        asset_selection=[*(documents_key(each) for each in handed), embeddings.KEY, client_intelligence.KEY],
        tags={SYNC_TAG: "queue", "org": slug, **{job_tag(each): job for each, job in handed.items()}},
    )


def _jobs_underway(instance: dg.DagsterInstance, queue: SyncQueue) -> set[str]:
    """The jobs of runs that are queued or live.

    A run that has been started for a while and holds none of its jobs' leases has lost its process, which Dagster's
    default launcher never notices: it is ended here, or its organisation would wait for hours behind it.
    """
    records = instance.get_run_records(filters=dg.RunsFilter(statuses=_UNFINISHED, tags={SYNC_TAG: "queue"}))
    jobs = {record.dagster_run.run_id: _jobs_of(record.dagster_run.tags) for record in records}
    leased = {str(job) for job in queue.leased([UUID(job) for of_run in jobs.values() for job in of_run])}
    underway: set[str] = set()
    for record in records:
        run = record.dagster_run
        started = time.time() - (record.start_time or time.time())
        if run.status == dg.DagsterRunStatus.STARTED and started > _LOST_SECONDS and not leased & jobs[run.run_id]:
            instance.report_run_failed(run, "Its process is gone: the lease of its sync ran out.")
        else:
            underway |= jobs[run.run_id]
    return underway


def _jobs_of(tags: Mapping[str, str]) -> set[str]:
    return {tags[job_tag(provider)].partition(".")[0] for provider in PROVIDERS if job_tag(provider) in tags}
