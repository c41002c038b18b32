"""Documents for a test, kept as the sync engine keeps them: rows of source_documents, their vectors pending."""

from collections.abc import Iterable
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from boots_pipeline.knowledge.passages import cut, text_hash
from boots_pipeline.providers.base import Document


class Library:
    """One organisation's documents, written by the owner."""

    def __init__(self, owner: psycopg.Connection, org_id: UUID) -> None:
        self._owner = owner
        self.org_id = org_id
        self._connections: dict[str, UUID] = {}

    def connection(self, provider: str) -> UUID:
        if provider not in self._connections:
            made = self._connections[provider] = uuid4()
            self._owner.execute(
                "insert into connected_sources (org_id, id, provider, status) values (%s, %s, %s, 'active')",
                [self.org_id, made, provider],
            )
        return self._connections[provider]

    def keep(self, provider: str, stream: str, external_id: str, document: Document) -> UUID:
        return self.keep_all([(provider, stream, external_id, document)])[0]

    def keep_all(self, documents: Iterable[tuple[str, str, str, Document]]) -> list[UUID]:
        """Insert, or replace what changed; a new text loses its vector, as in the engine."""
        rows = [self._row(*each) for each in documents]
        kept = []
        with self._owner.transaction(), self._owner.cursor() as cursor:
            cursor.executemany(
                """
                insert into source_documents
                  (org_id, source_id, provider, document_type, external_id, title, content, url, content_hash,
                   payload_hash, source_updated_at, client_keys, names_client, facts, passage_count)
                values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                on conflict (org_id, source_id, document_type, external_id) do update
                  set title = excluded.title, content = excluded.content, url = excluded.url,
                      embedding = case when source_documents.content_hash = excluded.content_hash
                                       then source_documents.embedding end,
                      embedding_model = case when source_documents.content_hash = excluded.content_hash
                                             then source_documents.embedding_model end,
                      content_hash = excluded.content_hash, source_updated_at = excluded.source_updated_at,
                      client_keys = excluded.client_keys, names_client = excluded.names_client,
                      facts = excluded.facts, passage_count = excluded.passage_count, deleted_at = null,
                      updated_at = clock_timestamp()
                returning id
                """,
                rows,
                returning=True,
            )
            while True:
                row = cursor.fetchone()
                assert row is not None
                kept.append(row["id"])
                if not cursor.nextset():
                    return kept

    def bury(self, *document_ids: UUID) -> None:
        self._owner.execute(
            "update source_documents set deleted_at = now(), updated_at = clock_timestamp() where id = any(%s)",
            [list(document_ids)],
        )

    def _row(self, provider: str, stream: str, external_id: str, document: Document) -> tuple[object, ...]:
        named = text_hash(document.title, document.content)
        facts = [
            {"name": fact.name, "value": fact.value, "as_of": fact.as_of.isoformat() if fact.as_of else None}
            for fact in document.facts
        ]
        return (
            self.org_id,
            self.connection(provider),
            provider,
            stream,
            external_id,
            document.title,
            document.content,
            document.url,
            named,
            named,
            document.source_updated_at,
            list(document.client_keys),
            document.names_client,
            Jsonb(facts),
            len(cut(document.title, document.content)),
        )
