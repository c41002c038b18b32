"""A worker in a process of its own, for the test that measures one: syncs what waits, and tells its peak memory.

Run as `python -m tests.ingestion.measured_worker`, with WORKER_DATABASE_URL, VAULT_KEYS and the provider's variables.
Prints the job's status and the peak resident memory in MB.
"""

import asyncio
import os
import re
from pathlib import Path

from boots_pipeline.ingestion.sync import SyncEngine
from boots_pipeline.providers import hubspot
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing
from boots_pipeline.resources.mcp_gateway import McpGateway
from boots_pipeline.resources.queue import SyncQueue
from boots_pipeline.resources.tokens import TokenService


def main() -> None:
    hubspot._SEARCHES = hubspot.Budget("search", 500, 1)  # at HubSpot's own pace it would take a minute
    database = Database(os.environ["WORKER_DATABASE_URL"], application="measured")
    queue = SyncQueue(database)
    vault = EnvelopeVault(KeyRing.parse(os.environ["VAULT_KEYS"]))
    engine = SyncEngine(database, queue, McpGateway(database, TokenService(database, vault)), WordllamaEmbedder())
    (message,) = queue.read(1)
    assert message.org_id
    assert message.job_id
    job = queue.claim(message.org_id, message.job_id, message.read_ct, "measured")
    assert job
    outcome = asyncio.run(engine.run(job, hubspot.HUBSPOT))
    # Not ru_maxrss, which starts at what the parent had when it forked.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(outcome.status, int(peak) // 1024)


if __name__ == "__main__":
    main()
