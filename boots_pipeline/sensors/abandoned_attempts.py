"""Every minute, connections that wait for somebody who never came back are told to have failed. It starts no run."""

import dagster as dg

from boots_pipeline.counting import counted
from boots_pipeline.resources.attempts import Attempts


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends attempts to connect that nobody finished in time.",
)
def abandoned_attempts(attempts: dg.ResourceParam[Attempts]) -> dg.SkipReason:
    return dg.SkipReason(f"{counted(attempts.end_abandoned(), 'attempts')} to connect abandoned.")
