"""What an admin had deleted leaves the client profiles, too: a roll-up for each organisation whose profiles rest on it.

Nothing is remembered here: the tables say what is due, so a run that fails is followed by another.
"""

import time

import dagster as dg

from boots_pipeline.assets import client_intelligence
from boots_pipeline.ingestion.forgetting import Forgetting

_TRY_AGAIN_SECONDS = 120
_TAG = "boots/forgotten"
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(
    minimum_interval_seconds=4,  # the daemon looks every 5 s: a 5 here is missed by milliseconds, and is 10
    default_status=dg.DefaultSensorStatus.RUNNING,
    asset_selection=[client_intelligence.KEY],
    description="Finishes deleting what an admin had deleted, and rolls up the clients that it was about.",
)
def forgetting(context: dg.SensorEvaluationContext, forgotten: dg.ResourceParam[Forgetting]) -> dg.SensorResult:
    finished = forgotten.finish()
    if finished.batches:
        context.log.info("%d batches were deleted that the pages had left", finished.batches)
    for failure in finished.failures:
        context.log.error("What an admin had deleted is still there, of %s", failure)
    due = forgotten.to_roll_up()
    known = set(context.instance.get_dynamic_partitions("orgs")) if due else set()
    for run in context.instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED, tags={_TAG: "yes"})) if due else ():
        known.discard(run.tags["org"])  # its roll-up is on its way
    # One key for a while: a run that comes to nothing is followed by another, but not at every tick.
    period = int(time.time() // _TRY_AGAIN_SECONDS)
    requests = [
        dg.RunRequest(
            run_key=f"{slug} {period}",
            partition_key=slug,
            asset_selection=[client_intelligence.KEY],
            tags={_TAG: "yes", "org": slug},
        )
        for slug in due
        if slug in known
    ]
    return dg.SensorResult(
        run_requests=requests, skip_reason=None if requests else "Every profile rests on documents that are there."
    )
