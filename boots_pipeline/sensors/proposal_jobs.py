"""Waiting rows of `jobs`, turned into proposal runs. The sensor only counts: a run's first op claims whichever is next.

No run is tied to a job: one that dies before it claims, or finds nothing left to claim, costs nothing but itself.
"""

import dagster as dg

from boots_pipeline.assets.proposal import proposal
from boots_pipeline.counting import counted
from boots_pipeline.resources.database import Database

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(
    job=proposal,
    minimum_interval_seconds=4,  # the daemon looks every 5 s: a 5 here is missed by milliseconds, and is 10
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="As many runs as proposals wait in `jobs`, less those that are on their way to claim one.",
)
def proposal_jobs(context: dg.SensorEvaluationContext, database: dg.ResourceParam[Database]) -> dg.SensorResult:
    # Runs first: one that claims between the two questions is then missing from what waits, not counted twice.
    unfinished = context.instance.get_runs(dg.RunsFilter(job_name=proposal.name, statuses=_UNFINISHED))
    with database.connection() as connection:
        work = connection.execute("select waiting, holders from private.proposal_work()").fetchone()
    waiting, holders = (work["waiting"], set(work["holders"])) if work else (0, set())
    coming = sum(run.run_id not in holders for run in unfinished)
    requests = [dg.RunRequest() for _ in range(max(0, waiting - coming))]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None
        if requests
        else f"Waiting: {counted(waiting, 'proposals')}; coming: {counted(coming, 'runs')}.",
    )
