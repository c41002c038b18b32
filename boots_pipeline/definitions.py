"""The only assembly: what exists, what checks it, what starts it, and what it borrows."""

import warnings

import dagster as dg

# Partitioned checks are in preview in 1.13; without them one organisation's failure would be another's.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
warnings.filterwarnings("ignore", category=dg.BetaWarning)

from boots_pipeline.assets.checks import asset_checks  # noqa: E402 the filters come first
from boots_pipeline.assets.client_intelligence import client_intelligence  # noqa: E402
from boots_pipeline.assets.embeddings import embeddings  # noqa: E402
from boots_pipeline.assets.proposal import IN_MEMORY, proposal  # noqa: E402
from boots_pipeline.assets.source_documents import documents_asset  # noqa: E402
from boots_pipeline.ingestion.forgetting import Forgetting  # noqa: E402
from boots_pipeline.ingestion.retention import Retention  # noqa: E402
from boots_pipeline.ingestion.sync import SyncEngine  # noqa: E402
from boots_pipeline.providers import PROVIDERS  # noqa: E402
from boots_pipeline.resources.attempts import Attempts  # noqa: E402
from boots_pipeline.resources.choices import embedder_for, language_model_for, vault_for  # noqa: E402
from boots_pipeline.resources.database import Database  # noqa: E402
from boots_pipeline.resources.live import LiveDocuments  # noqa: E402
from boots_pipeline.resources.mcp_gateway import McpGateway  # noqa: E402
from boots_pipeline.resources.queue import SyncQueue  # noqa: E402
from boots_pipeline.resources.tokens import TokenService  # noqa: E402
from boots_pipeline.sensors.abandoned_attempts import abandoned_attempts  # noqa: E402
from boots_pipeline.sensors.forgetting import forgetting  # noqa: E402
from boots_pipeline.sensors.ingestion_queue import ingestion_queue  # noqa: E402
from boots_pipeline.sensors.proposal_jobs import proposal_jobs  # noqa: E402
from boots_pipeline.sensors.schedules import (  # noqa: E402
    deleted_content,
    nightly_checks,
    nightly_delta,
    nightly_retention,
    standing_checks,
)
from boots_pipeline.settings import Settings, settings  # noqa: E402


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything, on the databases and services that the settings name. Nothing is opened before it is used.

    Raises ConfigError without a worker's database or a vault key: no key, no start.
    """
    database = Database(settings.required("worker_database_url"), application="boots-pipeline")
    gateway = McpGateway(database, TokenService(database, vault_for(settings)))
    queue = SyncQueue(database)
    embedder = embedder_for(settings)
    return dg.Definitions(
        assets=[*(documents_asset(provider) for provider in PROVIDERS.values()), embeddings, client_intelligence],
        asset_checks=asset_checks,
        jobs=[proposal, standing_checks, deleted_content],
        sensors=[
            ingestion_queue,
            proposal_jobs,
            forgetting,
            abandoned_attempts,
            dg.AutomationConditionSensorDefinition(
                "changes_net",
                target=dg.AssetSelection.groups("memory"),
                default_status=dg.DefaultSensorStatus.RUNNING,
                minimum_interval_seconds=9,  # two ticks a stage; the daemon looks every 5 s
                description="Runs what is derived when documents changed in any other way than through a sync.",
            ),
        ],
        schedules=[nightly_delta, nightly_checks, nightly_retention],
        resources={
            "database": database,
            "queue": queue,
            "attempts": Attempts(database),
            "engine": SyncEngine(database, queue, gateway, embedder),
            "forgotten": Forgetting(database),
            "retention": Retention(database, settings.deleted_content_days),
            "embedder": embedder,
            IN_MEMORY: dg.mem_io_manager,
            "live": LiveDocuments(database, gateway),
            "language_model": language_model_for(settings),
        },
        # Pulls wait for providers, not for cores, and a process a step costs 2 to 3 s.
        executor=dg.in_process_executor,
    )


defs = build_definitions(settings())
