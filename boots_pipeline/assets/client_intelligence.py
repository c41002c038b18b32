"""`client_intelligence`: one profile per client, computed from every living document."""

import dagster as dg

from boots_pipeline.assets import embeddings
from boots_pipeline.assets.columns import CLIENT_INTELLIGENCE
from boots_pipeline.assets.triggers import inputs_changed
from boots_pipeline.knowledge.rollup import roll_up
from boots_pipeline.partitions import orgs
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import Embedder
from boots_pipeline.resources.queue import SyncQueue

KEY = dg.AssetKey("client_intelligence")


@dg.asset(
    key=KEY,
    group_name="memory",
    partitions_def=orgs,
    deps=[embeddings.KEY],
    kinds={"postgres", "python"},
    automation_condition=inputs_changed,
    description="Which clients there are, what is known of each with source and date, and a summary that is searched. "
    "Derived: computing it again from the documents gives the same rows.",
    metadata={"dagster/table_name": "public.client_intelligence", "dagster/column_schema": CLIENT_INTELLIGENCE},
)
def client_intelligence(
    context: dg.AssetExecutionContext,
    database: dg.ResourceParam[Database],
    queue: dg.ResourceParam[SyncQueue],
    embedder: dg.ResourceParam[Embedder],
) -> dg.MaterializeResult[None]:
    report = roll_up(database, embedder, queue.organisation_id(context.partition_key))
    context.log.info("%d clients, %d of them changed, %d retired", report.clients, report.changed, report.retired)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.clients,
            "changed": report.changed,
            "retired": report.retired,
            "facts": report.facts,
        },
        data_version=dg.DataVersion(report.version),
    )
