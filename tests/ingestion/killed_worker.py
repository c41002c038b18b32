"""A worker in a process of its own, for tests that kill it: syncs what waits, in small batches.

Run as `python -m tests.ingestion.killed_worker`, with WORKER_DATABASE_URL, VAULT_KEYS and the provider's variables.
"""

import asyncio
import os

from boots_pipeline.ingestion import batches
from boots_pipeline.ingestion.sync import SyncEngine
from boots_pipeline.providers import hubspot
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing
from boots_pipeline.resources.mcp_gateway import McpGateway
from boots_pipeline.resources.queue import SyncQueue
from boots_pipeline.resources.tokens import TokenService


def main() -> None:
    hubspot._PAGE = batches._ITEMS = 10
    hubspot._SEARCHES = hubspot.Budget("search", 500, 1)
    database = Database(os.environ["WORKER_DATABASE_URL"], application="killed")
    queue = SyncQueue(database)
    vault = EnvelopeVault(KeyRing.parse(os.environ["VAULT_KEYS"]))
    engine = SyncEngine(database, queue, McpGateway(database, TokenService(database, vault)), WordllamaEmbedder())
    (message,) = queue.read(1)
    assert message.org_id
    assert message.job_id
    job = queue.claim(message.org_id, message.job_id, message.read_ct, "killed")
    assert job
    asyncio.run(engine.run(job, hubspot.HUBSPOT))


if __name__ == "__main__":
    main()
