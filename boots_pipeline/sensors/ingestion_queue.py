"""The queue's messages, turned into runs: one run an organisation, for every provider that has a message.

The sensor hands over and never archives: the run claims the job, and its finish ends the message. A message whose run
is queued or live is only looked at again later, so nothing is launched twice; one whose run died comes back by
itself.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import dagster as dg

from boots_pipeline.assets import client_intelligence, embeddings
from boots_pipeline.assets.source_documents import documents_key, job_tag
from boots_pipeline.partitions import orgs
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.resources.queue import Message, SyncQueue

_AT_ONCE = 50
_LOOK_AGAIN_SECONDS = 30
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
    messages = queue.read(_AT_ONCE)
    settled = [message for message in messages if message.problem]
    for message in settled:
        context.log.warning("Message %d is no work: %s", message.msg_id, message.problem)
    underway, waiting = split(messages, _jobs_of(_unfinished_runs(context.instance)))
    for message in underway:
        queue.postpone(message, _LOOK_AGAIN_SECONDS)
    new = sorted(set(queue.connected_organisations()) - set(context.instance.get_dynamic_partitions("orgs")))
    requests = [run_request(slug, group) for slug, group in waiting.items()]
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


def _unfinished_runs(instance: dg.DagsterInstance) -> Iterable[Mapping[str, str]]:
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED, tags={SYNC_TAG: "queue"}))
    return [run.tags for run in runs]


def _jobs_of(tags_of_runs: Iterable[Mapping[str, str]]) -> set[str]:
    return {
        tags[job_tag(provider)].partition(".")[0]
        for tags in tags_of_runs
        for provider in PROVIDERS
        if job_tag(provider) in tags
    }
