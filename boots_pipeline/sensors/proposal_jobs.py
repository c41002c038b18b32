"""Waiting rows of `jobs`, turned into proposal runs. The sensor only counts: the run's first op claims, whichever is
next."""

import dagster as dg

from boots_pipeline.assets.proposal import proposal
from boots_pipeline.resources.database import Database


@dg.sensor(
    job=proposal,
    minimum_interval_seconds=4,  # the daemon looks every 5 s: a 5 here is missed by milliseconds, and is 10
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run for every proposal that waits in `jobs`, or whose run died with its lease.",
)
def proposal_jobs(context: dg.SensorEvaluationContext, database: dg.ResourceParam[Database]) -> dg.SensorResult:
    with database.connection() as connection:
        waiting = connection.execute("select job_id, attempts from private.waiting_proposals()").fetchall()
    requests = [dg.RunRequest(run_key=f"{row['job_id']}/{row['attempts']}") for row in waiting]
    return dg.SensorResult(run_requests=requests, skip_reason=None if requests else "No proposal waits.")
