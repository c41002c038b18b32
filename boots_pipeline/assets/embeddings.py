"""`embeddings`: every document and passage has a vector of the organisation's model."""

import dagster as dg

from boots_pipeline.assets.columns import PASSAGES
from boots_pipeline.assets.source_documents import documents_key
from boots_pipeline.assets.triggers import inputs_changed
from boots_pipeline.knowledge.embedding import embed_pending
from boots_pipeline.partitions import orgs
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import Embedder
from boots_pipeline.resources.queue import SyncQueue

KEY = dg.AssetKey("embeddings")


@dg.asset(
    key=KEY,
    group_name="memory",
    partitions_def=orgs,
    deps=[documents_key(provider) for provider in PROVIDERS],
    kinds={"postgres", "python"},
    automation_condition=inputs_changed,
    description="What the sync left to embed: further passages of long documents, and documents whose vectors are "
    "pending. It looks in the tables for what there is to do, so a lost signal costs nothing.",
    metadata={"dagster/table_name": "public.source_document_passages", "dagster/column_schema": PASSAGES},
)
def embeddings(
    context: dg.AssetExecutionContext,
    database: dg.ResourceParam[Database],
    queue: dg.ResourceParam[SyncQueue],
    embedder: dg.ResourceParam[Embedder],
) -> dg.MaterializeResult[None]:
    org_id = queue.organisation_id(context.partition_key)
    report = embed_pending(database, embedder, org_id)
    context.log.info("%d documents and %d further passages embedded", report.documents, report.passages)
    with database.organisation(org_id) as transaction:
        # An empty document table is no version at all: nothing downstream starts for an organisation without documents.
        row = transaction.execute(
            """select count(*) filter (where embedding is not null and deleted_at is null) as documents,
                      coalesce(extract(epoch from max(updated_at))::text, '0') as changed,
                      (select count(*) from source_document_passages p where p.org_id = %(org)s) as passages
                 from source_documents where org_id = %(org)s""",
            {"org": org_id},
        ).fetchone()
    assert row is not None
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": row["documents"] + row["passages"],
            "documents": row["documents"],
            "passages": row["passages"],
            "embedded now": report.documents + report.passages,
            "model": report.model,
        },
        data_version=dg.DataVersion(f"{report.model}.{row['documents']}.{row['passages']}.{row['changed']}"),
    )
