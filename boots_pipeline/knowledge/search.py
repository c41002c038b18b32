"""Finding clients and documents: by meaning, by words, and both fused; and saying when what was found is not all.

Queries are embedded before a transaction opens. Each answer carries where it comes from and as of when.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from boots_pipeline.knowledge.completeness import clients_completeness, documents_completeness
from boots_pipeline.knowledge.models import check_model
from boots_pipeline.resources.database import Connection, Database
from boots_pipeline.resources.embedder import Embedder, Vectors

# Reciprocal rank fusion: 60 is the constant of Cormack et al. (2009), which nobody has found a reason to tune.
_FUSION = 60
_LONGEST_QUERY = 20_000  # the longest brief

Hit = TypeVar("Hit")


@dataclass(frozen=True, slots=True)
class ClientHit:
    """A client whose profile is close to what was asked. `similarity` is from 0 to 1; who is `named` comes first."""

    client_intelligence_id: UUID
    client_id: UUID
    client_name: str
    summary: str
    profile: Mapping[str, Any]
    as_of: datetime | None
    similarity: float
    named: bool


@dataclass(frozen=True, slots=True)
class DocumentHit:
    """A document, with its passage that fits best (0 is the document itself). `relevance` is from 0 to 1; `similarity`
    too, and None where only the words were found."""

    document_id: UUID
    source_id: UUID
    provider: str
    document_type: str
    title: str
    passage: int
    content: str
    content_hash: bytes
    url: str | None
    as_of: datetime | None
    client_id: UUID | None
    similarity: float | None
    relevance: float


@dataclass(frozen=True, slots=True)
class Found(Generic[Hit]):
    """What was found, best first. `completeness` says why it is fewer than were asked for, or may not be the best;
    None when there is nothing to say."""

    hits: Sequence[Hit]
    asked: int
    completeness: str | None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What an organisation knows of a question."""

    clients: Found[ClientHit]
    documents: Found[DocumentHit]


_NAMED = """
select c.id, c.client_id, c.client_name, c.summary, c.profile, c.as_of,
       coalesce(1 - case when c.embedding_model = m.active then c.embedding <=> %(query)s end, 0) as similarity
  from client_intelligence c join embedding_models m on m.org_id = c.org_id
 where c.org_id = %(org)s and c.retired_at is null
   and exists (select from unnest(c.aliases || c.client_name) as name
                where length(name) > 2 and strpos(lower(%(text)s), lower(name)) > 0)
 order by length(c.client_name) desc, c.id
 limit %(limit)s
"""


def search_clients(database: Database, embedder: Embedder, org_id: UUID, text: str, limit: int) -> Found[ClientHit]:
    """The clients that the text names, then those whose profile is closest in meaning."""
    text = _storable(text)
    query = _embed(embedder, text)
    with database.organisation(org_id) as connection:
        check_model(connection, org_id, embedder)
        return _clients(connection, org_id, text, query, limit)


def search_documents(database: Database, embedder: Embedder, org_id: UUID, text: str, limit: int) -> Found[DocumentHit]:
    """The documents that are closest in meaning or share the words: both rankings, fused."""
    text = _storable(text)
    query = _embed(embedder, text)
    with database.organisation(org_id) as connection:
        check_model(connection, org_id, embedder)
        return _documents(connection, org_id, text, query, limit)


def search_knowledge(database: Database, embedder: Embedder, org_id: UUID, text: str, limit: int) -> Knowledge:
    """Clients and documents, in one transaction."""
    text = _storable(text)
    query = _embed(embedder, text)
    with database.organisation(org_id) as connection:
        check_model(connection, org_id, embedder)
        return Knowledge(
            _clients(connection, org_id, text, query, limit), _documents(connection, org_id, text, query, limit)
        )


def _storable(text: str) -> str:
    """What a person typed, without what Postgres cannot hold."""
    return text[:_LONGEST_QUERY].replace("\0", " ").encode("utf-8", "replace").decode()


def _embed(embedder: Embedder, text: str) -> Vectors:
    vector: Vectors = embedder.embed([text])[0]
    return vector


def _clients(connection: Connection, org_id: UUID, text: str, query: Vectors, limit: int) -> Found[ClientHit]:
    # A name is a name: its vector is blurred by everything else that the profile says.
    named = connection.execute(_NAMED, {"org": org_id, "text": text, "query": query, "limit": limit}).fetchall()
    close = connection.execute(
        "select * from public.match_client_intelligence(%s, %s, %s)", [query, limit, org_id]
    ).fetchall()
    rows = list({row["id"]: row for row in (*named, *close)}.values())[:limit]
    hits = [
        ClientHit(
            client_intelligence_id=row["id"],
            client_id=row["client_id"],
            client_name=row["client_name"],
            summary=row["summary"],
            profile=row["profile"],
            as_of=row["as_of"],
            similarity=_share(row["similarity"]),
            named=place < len(named),
        )
        for place, row in enumerate(rows)
    ]
    return Found(hits, limit, clients_completeness(connection, org_id, len(hits), limit))


def _documents(connection: Connection, org_id: UUID, text: str, query: Vectors, limit: int) -> Found[DocumentHit]:
    # Deeper than was asked for: a document that is twentieth in both rankings can be the best of their sum.
    depth = max(2 * limit, 20)
    close = connection.execute(
        "select * from public.match_source_documents(%s, %s, %s)", [query, depth, org_id]
    ).fetchall()
    worded = connection.execute(
        "select * from public.find_source_documents(%s, %s, %s)",
        [text, depth, org_id],
    ).fetchall()
    hits = fuse([_document(row, row["similarity"]) for row in close], [_document(row, None) for row in worded])[:limit]
    return Found(hits, limit, documents_completeness(connection, org_id, len(hits), limit))


def fuse(close: Sequence[DocumentHit], worded: Sequence[DocumentHit]) -> list[DocumentHit]:
    """Both rankings in one, by the sum of their reciprocal ranks: 1 is first in both. Pure."""
    scores: dict[UUID, float] = {}
    best: dict[UUID, DocumentHit] = {}
    for ranking in (close, worded):
        for rank, hit in enumerate(ranking, start=1):
            scores[hit.document_id] = scores.get(hit.document_id, 0.0) + 1 / (_FUSION + rank)
            best.setdefault(hit.document_id, hit)  # the passage that is close says more than the whole text
    first_in_both = 2 / (_FUSION + 1)
    fused = [replace(best[each], relevance=_share(score / first_in_both)) for each, score in scores.items()]
    return sorted(fused, key=_best_first)


def _best_first(hit: DocumentHit) -> tuple[float, float, UUID]:
    return -hit.relevance, -(hit.similarity or 0.0), hit.document_id


def _document(row: Mapping[str, Any], similarity: float | None) -> DocumentHit:
    return DocumentHit(
        document_id=row["id"],
        source_id=row["source_id"],
        provider=row["provider"],
        document_type=row["document_type"],
        title=row["title"],
        passage=row["passage"],
        content=row["content"],
        content_hash=row["content_hash"],
        url=row["url"],
        as_of=row["source_updated_at"],
        client_id=row["client_id"],
        similarity=None if similarity is None else _share(similarity),
        relevance=0.0,
    )


def _share(told: float) -> float:
    """A cosine may be a hair above 1, and below 0 for what is opposite."""
    return min(max(float(told), 0.0), 1.0)
