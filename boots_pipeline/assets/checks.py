"""The data tests: sentences that are true when green, evaluated for one organisation in its run, for all by a
schedule."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from boots_pipeline.assets import client_intelligence, embeddings
from boots_pipeline.assets.source_documents import documents_key
from boots_pipeline.partitions import orgs
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.queue import SyncQueue


def source_is_in_sync(provider: str, title: str) -> dg.AssetChecksDefinition:
    """Red while a connection's last sync is not complete: it says what is missing and what to do."""

    @dg.asset_check(
        asset=documents_key(provider),
        name="source_is_in_sync",
        partitions_def=orgs,
        description=f"The last sync of {title} kept everything that {title} holds.",
    )
    def check(
        context: dg.AssetCheckExecutionContext,
        database: dg.ResourceParam[Database],
        queue: dg.ResourceParam[SyncQueue],
    ) -> dg.AssetCheckResult:
        org_id = queue.organisation_id(context.partition_key)
        with database.organisation(org_id) as transaction:
            job = transaction.execute(
                """select j.status, j.error_class, j.error_message, j.items_quarantined
                     from connected_sources s
                     left join lateral (select * from ingestion_jobs j where j.org_id = s.org_id and j.source_id = s.id
                                         order by j.created_at desc, j.id limit 1) j on true
                    where s.org_id = %s and s.provider = %s""",
                [org_id, provider],
            ).fetchone()
        status = job["status"] if job else None
        return dg.AssetCheckResult(
            passed=status == "completed",
            description=(job["error_message"] if job else None) or f"The last sync is {status or 'still to come'}.",
            metadata={"status": status or "none", "quarantined": (job["items_quarantined"] if job else None) or 0},
        )

    return check


@dataclass(frozen=True)
class _Standing:
    name: str
    asset: dg.AssetKey
    sentence: str


_STANDING = (
    _Standing(
        "every_document_is_embedded",
        embeddings.KEY,
        "Every living document and passage has a vector of the organisation's model.",
    ),
    _Standing(
        "every_fact_has_a_living_source",
        client_intelligence.KEY,
        "No profile states a fact whose document is gone.",
    ),
    _Standing(
        "every_job_ends",
        client_intelligence.KEY,
        "No sync is an hour past its lease, or has been waiting for a day.",
    ),
)


def _standing_check(standing: _Standing) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=standing.asset, name=standing.name, partitions_def=orgs, description=standing.sentence)
    def check(
        context: dg.AssetCheckExecutionContext,
        database: dg.ResourceParam[Database],
        queue: dg.ResourceParam[SyncQueue],
    ) -> dg.AssetCheckResult:
        with database.connection() as connection:
            row = connection.execute(
                "select offending from private.standing_checks(%s) where check_name = %s",
                [queue.organisation_id(context.partition_key), standing.name],
            ).fetchone()
        offending = int(row["offending"]) if row else 0
        return dg.AssetCheckResult(passed=offending == 0, metadata={"offending": offending})

    return check


def standing_evaluations(database: Database) -> Iterator[dg.AssetCheckEvaluation]:
    """Every standing check of every connected organisation, from one statement."""
    by_name = {standing.name: standing for standing in _STANDING}
    with database.connection() as connection:
        rows = connection.execute("select * from private.standing_checks()").fetchall()
    for row in rows:
        standing = by_name[row["check_name"]]
        yield dg.AssetCheckEvaluation(
            asset_key=standing.asset,
            check_name=standing.name,
            passed=row["offending"] == 0,
            metadata={"offending": dg.MetadataValue.int(row["offending"])},
            partition=row["slug"],
        )


asset_checks = [
    *(source_is_in_sync(provider.name, provider.title) for provider in PROVIDERS.values()),
    *(_standing_check(standing) for standing in _STANDING),
]
