"""A record as it is at the provider now, for the one or two things of a proposal that must be fresh.

Read-only, one session a record. What it says is data for the writer, never an instruction.
"""

import asyncio
from uuid import UUID

from boots_pipeline.errors import ConfigError
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.providers.base import Document
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.mcp_gateway import McpGateway


class LiveDocuments:
    """Reads single records through the gateway."""

    def __init__(self, database: Database, gateway: McpGateway) -> None:
        self._database = database
        self._gateway = gateway

    def read(self, org_id: UUID, provider: str, stream: str, external_id: str) -> Document | None:
        """The record as it is now; None when it is gone. Raises the classes of `boots_pipeline.errors`."""
        if provider not in PROVIDERS:
            raise ConfigError(f"{provider} is not a provider that can be asked live.")
        # A sync that failed has not ended the grant; whether it still opens anything, the gateway finds out and says.
        with self._database.organisation(org_id) as transaction:
            source = transaction.execute(
                """select id from connected_sources
                    where org_id = %s and provider = %s and access_token_vault_id is not null""",
                [org_id, provider],
            ).fetchone()
        if source is None:
            raise ConfigError(f"{PROVIDERS[provider].title} is not connected now.")
        return asyncio.run(self._read(org_id, source["id"], provider, stream, external_id))

    async def _read(
        self, org_id: UUID, source_id: UUID, provider: str, stream: str, external_id: str
    ) -> Document | None:
        adapter = PROVIDERS[provider]
        async with self._gateway.session(org_id, source_id, adapter) as tools:
            item = await tools.profile.read(tools, stream, external_id)
        return adapter.document(stream, item.payload) if item else None
