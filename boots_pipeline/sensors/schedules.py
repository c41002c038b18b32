"""What the clock starts: syncs that are due go into the queue, the standing checks are evaluated, and what deleted
documents said is dropped when its time has come.

The rhythms themselves are rows of sync_schedules, in each organisation's own night; the schedule only looks what is
due.
"""

import dagster as dg

from boots_pipeline.assets.checks import standing_evaluations
from boots_pipeline.ingestion.retention import Retention
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.queue import SyncQueue

_DUE_AT_ONCE = 500


@dg.schedule(
    cron_schedule="*/5 * * * *",
    target=dg.AssetSelection.groups("memory"),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Puts the connections whose nightly delta or weekly reconciliation is due into the queue.",
)
def nightly_delta(context: dg.ScheduleEvaluationContext, queue: dg.ResourceParam[SyncQueue]) -> dg.SkipReason:
    # One statement, and no run: a launched run costs seconds of CPU before it does anything, and there is nothing to
    # see.
    return dg.SkipReason(f"{queue.enqueue_due(_DUE_AT_ONCE)} syncs were due; the sensor `ingestion_queue` starts them.")


@dg.op(description="Evaluates every standing check for every organisation, from one SQL statement.")
def evaluate_standing_checks(context: dg.OpExecutionContext, database: dg.ResourceParam[Database]) -> None:
    for evaluation in standing_evaluations(database):
        context.instance.report_runless_asset_event(evaluation)


@dg.job(description="Every invariant, for every organisation.")
def standing_checks() -> None:
    evaluate_standing_checks()


nightly_checks = dg.ScheduleDefinition(
    name="nightly_checks",
    job=standing_checks,
    cron_schedule="30 5 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Evaluates the standing checks after the night's syncs.",
)


@dg.op(description="Drops text, payload and vectors of what was deleted DELETED_CONTENT_DAYS ago.")
def drop_deleted_content(context: dg.OpExecutionContext, retention: dg.ResourceParam[Retention]) -> None:
    dropped = retention.drop_deleted()
    context.log.info("%d documents that were deleted %d days ago are dropped", dropped, retention.days)


@dg.job(description="What was deleted at a provider leaves us, too.")
def deleted_content() -> None:
    drop_deleted_content()


nightly_retention = dg.ScheduleDefinition(
    name="nightly_retention",
    job=deleted_content,
    cron_schedule="45 5 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Drops what deleted documents said, when its time has come.",
)
