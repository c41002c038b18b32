"""Embedding what waits: documents without a vector of the active model, and the further passages of long ones.

The sync engine embeds what it keeps as it goes; this does what is left. Work is read, embedded with no connection
held, and written in batches. A text that changes meanwhile keeps its vector pending: the hash that was read guards
the write.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from boots_pipeline.knowledge.models import require_model
from boots_pipeline.knowledge.passages import cut, with_title
from boots_pipeline.resources.database import Connection, Database
from boots_pipeline.resources.embedder import Embedder, Vectors

_DOCUMENTS_AT_ONCE = 500
_BYTES_AT_ONCE = 8_000_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class EmbeddingReport:
    """What was done: documents and further passages that got their vectors, and documents that changed meanwhile."""

    model: str
    documents: int
    passages: int
    changed_meanwhile: int


@dataclass(frozen=True, slots=True)
class _Pending:
    """A document of which something has no vector; `opening` says that its own row has none."""

    id: UUID
    opening: bool
    size: int


@dataclass(frozen=True, slots=True)
class _Text:
    """One passage to embed: position 0 is the document's row. A passage whose vector is there already has no text."""

    document_id: UUID
    position: int
    content: str
    to_embed: str | None
    content_hash: bytes
    passage_count: int


def embed_pending(
    database: Database, embedder: Embedder, org_id: UUID, progress: Progress | None = None
) -> EmbeddingReport:
    """Embed what waits. `progress` is told how many documents are done, of how many.

    Raises ConfigError when the embedder's model is not the organisation's active one.
    """
    with database.organisation(org_id) as connection:
        require_model(connection, org_id, embedder)
        pending = _pending(connection, org_id, embedder.model)
    documents = passages = done = 0
    for batch in _batches(pending):
        with database.organisation(org_id) as connection:
            texts = _read(connection, org_id, batch)
        vectors = embedder.embed([text.to_embed for text in texts if text.to_embed is not None])
        with database.organisation(org_id) as connection:
            require_model(connection, org_id, embedder)  # it may have been changed while we were embedding
            wrote = _write(connection, org_id, embedder.model, texts, vectors)
        documents, passages, done = documents + wrote[0], passages + wrote[1], done + len(batch)
        if progress is not None:
            progress(done, len(pending))
    return EmbeddingReport(embedder.model, documents, passages, len(pending) - documents)


def _pending(connection: Connection, org_id: UUID, model: str) -> list[_Pending]:
    """Identifiers only: the texts are read batch by batch."""
    rows = connection.execute(
        """
        select d.id, d.embedding_model is distinct from %(model)s as opening, octet_length(d.content) as size
          from public.source_documents d
          left join (select document_id, count(*) as kept from public.source_document_passages
                      where org_id = %(org)s and embedding_model = %(model)s group by document_id) p
            on p.document_id = d.id
         where d.org_id = %(org)s and d.deleted_at is null
           and (d.embedding_model is distinct from %(model)s or coalesce(p.kept, 0) <> d.passage_count - 1)
         order by d.id
        """,
        {"org": org_id, "model": model},
    )
    return [_Pending(row["id"], row["opening"], row["size"]) for row in rows]


def _batches(pending: Sequence[_Pending]) -> Iterator[list[_Pending]]:
    """At most 500 documents and 8 MB: memory is bounded by batches, not by what the longest documents add up to."""
    batch: list[_Pending] = []
    held = 0
    for document in pending:
        if batch and (len(batch) == _DOCUMENTS_AT_ONCE or held + document.size > _BYTES_AT_ONCE):
            yield batch
            batch, held = [], 0
        batch.append(document)
        held += document.size
    if batch:
        yield batch


def _read(connection: Connection, org_id: UUID, batch: Sequence[_Pending]) -> list[_Text]:
    opening = {document.id: document.opening for document in batch}
    rows = connection.execute(
        """select id, title, content, content_hash from public.source_documents
            where org_id = %s and id = any(%s) and deleted_at is null order by id""",
        [org_id, list(opening)],
    )
    return [text for row in rows for text in _texts(row, opening[row["id"]])]


def _texts(row: dict[str, Any], opening: bool) -> Iterator[_Text]:
    passages = cut(row["title"], row["content"])
    for position, passage in enumerate(passages):
        to_embed = with_title(row["title"], passage) if position else passage if opening else None
        yield _Text(row["id"], position, passage, to_embed, row["content_hash"], len(passages))


def _write(
    connection: Connection, org_id: UUID, model: str, texts: Sequence[_Text], vectors: Vectors
) -> tuple[int, int]:
    """Write the vectors of documents whose text is still the one that was read; how many documents and passages."""
    _stage(connection, texts, vectors)
    connection.execute(
        """
        with unchanged as (
          select d.id from public.source_documents d
            join staged_vectors s on s.document_id = d.id and s.position = 0 and s.content_hash = d.content_hash
           where d.org_id = %s and d.deleted_at is null
           order by d.id for no key update of d
        )
        delete from staged_vectors s where s.document_id not in (select id from unchanged)
        """,
        [org_id],
    )
    documents = connection.execute("select count(*) as n from staged_vectors where position = 0").fetchone()
    connection.execute(
        """
        update public.source_documents d
           set embedding = coalesce(s.embedding, d.embedding), embedding_model = %(model)s,
               passage_count = s.passage_count
          from staged_vectors s
         where d.org_id = %(org)s and d.id = s.document_id and s.position = 0
           and (s.embedding is not null or d.passage_count <> s.passage_count)
        """,
        {"org": org_id, "model": model},
    )
    connection.execute(
        """delete from public.source_document_passages
            where org_id = %s and document_id in (select document_id from staged_vectors where position = 0)""",
        [org_id],
    )
    passages = connection.execute(
        """insert into public.source_document_passages
             (org_id, document_id, position, content, embedding, embedding_model)
           select %s, document_id, position, content, embedding, %s from staged_vectors where position > 0""",
        [org_id, model],
    )
    return (documents["n"] if documents else 0), passages.rowcount


def _stage(connection: Connection, texts: Sequence[_Text], vectors: Vectors) -> None:
    connection.execute(
        """create temp table staged_vectors (
             document_id uuid, position int, content text, content_hash bytea, passage_count int,
             embedding extensions.vector
           ) on commit drop"""
    )
    following = iter(vectors)
    with connection.cursor().copy("copy staged_vectors from stdin (format binary)") as copy:
        copy.set_types(["uuid", "int4", "text", "bytea", "int4", "vector"])
        for text in texts:
            vector = None if text.to_embed is None else next(following)
            content = text.content if text.position else None
            copy.write_row((text.document_id, text.position, content, text.content_hash, text.passage_count, vector))
