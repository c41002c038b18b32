"""`source_documents/<provider>`: what a provider holds about an organisation, pulled and kept. One asset a provider.

The asset claims a sync and reports how it ended; the work is `ingestion/sync.py`. A sync that could not finish is
still a materialization: rate_limited, needs_reauth, partial and cancelled are outcomes, seen in the metadata, in the
job's row and in the check `source_is_in_sync`. Only a bug, or our own database failing, fails the step.
"""

import asyncio
import signal
from collections.abc import Coroutine, Mapping
from typing import Any
from uuid import UUID

import dagster as dg

from boots_pipeline.assets.columns import SOURCE_DOCUMENTS
from boots_pipeline.errors import NotConnected
from boots_pipeline.ingestion.outcome import Outcome
from boots_pipeline.ingestion.sync import SyncEngine
from boots_pipeline.partitions import orgs
from boots_pipeline.providers.base import Provider
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.queue import Job, SyncQueue


def documents_key(provider: str) -> dg.AssetKey:
    """The key of a provider's documents."""
    return dg.AssetKey(["source_documents", provider])


def job_tag(provider: str) -> str:
    """The run tag by which the sensor hands a provider's job over: `<job id>.<read count>`."""
    return f"boots/{provider}-job"


def documents_asset(provider: Provider) -> dg.AssetsDefinition:
    """The asset of one provider's documents."""

    @dg.asset(
        key=documents_key(provider.name),
        group_name="memory",
        partitions_def=orgs,
        kinds={provider.name, "mcp", "postgres"},
        description=f"What {provider.title} holds about an organisation, pulled through its MCP server, kept as "
        "received, made readable and embedded. Materialize a partition to sync that organisation now.",
        metadata={"dagster/table_name": "public.source_documents", "dagster/column_schema": SOURCE_DOCUMENTS},
    )
    def documents(
        context: dg.AssetExecutionContext, database: dg.ResourceParam[Database], engine: dg.ResourceParam[SyncEngine]
    ) -> dg.MaterializeResult[None]:
        org_id = engine.queue.organisation_id(context.partition_key)
        handed_over = context.run.tags.get(job_tag(provider.name))

        async def sync() -> Outcome:
            try:
                job = _claim(engine.queue, org_id, provider.name, handed_over, context.run.run_id)
            except NotConnected as reason:
                return Outcome("not connected", message=str(reason))
            return await engine.run(job, provider, context.log.info) if job else _left_alone()

        outcome = _to_its_end(sync())
        context.log.info("%s: %s", outcome.status, outcome.message or "everything is in")
        held = _held(database, org_id, provider.name)
        return dg.MaterializeResult(metadata=_metadata(outcome, held), data_version=dg.DataVersion(held["version"]))

    return documents


def _to_its_end(sync: Coroutine[Any, Any, Outcome]) -> Outcome:
    """The outcome of a sync. A run that is told to end, in the UI or by a stop of everything, cancels it, and it gives
    its job back.

    Dagster's own handler raises in whatever the event loop does at the moment: then the sync ended by an error of the
    loop's end, or, where asyncio swallowed what was raised in a callback, not at all. asyncio cancels its main task
    on SIGINT, but only in the place of Python's handler.
    """
    dagsters = [
        (signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler)),
        (signal.SIGTERM, signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))),
    ]
    try:
        return asyncio.run(sync)
    finally:
        for number, handler in dagsters:
            signal.signal(number, handler)


def _left_alone() -> Outcome:
    return Outcome("already syncing", message="Another run syncs it, has just done so, or waits as the provider asked.")


def _claim(queue: SyncQueue, org_id: UUID, provider: str, handed_over: str | None, run_id: str) -> Job | None:
    """The job that the sensor handed over, or one made by hand when a person started the run."""
    if handed_over is None:
        return queue.claim_by_hand(org_id, provider, "delta", run_id)
    job_id, _, read_ct = handed_over.partition(".")
    return queue.claim(org_id, UUID(job_id), int(read_ct), run_id)


def _held(database: Database, org_id: UUID, provider: str) -> Mapping[str, Any]:
    """What is kept now. The version moves when any document does, and only then."""
    with database.organisation(org_id) as transaction:
        row = transaction.execute(
            """select count(*) filter (where deleted_at is null) as living, count(*) as all_rows,
                      count(*)::text || '.' || coalesce(extract(epoch from max(updated_at))::text, '0') as version,
                      (select min(watermark) from sync_streams s join connected_sources c
                          on c.org_id = s.org_id and c.id = s.source_id
                        where s.org_id = %(org)s and c.provider = %(provider)s and isfinite(s.watermark)) as watermark
                 from source_documents where org_id = %(org)s and provider = %(provider)s""",
            {"org": org_id, "provider": provider},
        ).fetchone()
    assert row is not None
    return row


def _metadata(outcome: Outcome, held: Mapping[str, Any]) -> dict[str, Any]:
    kept = outcome.kept
    metadata: dict[str, Any] = {
        "dagster/row_count": held["living"],
        "outcome": outcome.status,
        "kind": outcome.kind,
        "seen": kept.seen,
        "added": kept.added,
        "changed": kept.changed,
        "unchanged": kept.unchanged,
        "removed": kept.removed,
        "embedded": kept.embedded,
        "quarantined": kept.quarantined,
        "mended": kept.mended,
    }
    if held["watermark"] is not None:
        metadata["watermark"] = dg.MetadataValue.timestamp(held["watermark"])
    if outcome.message:
        metadata["what went wrong"] = outcome.message
    return metadata
