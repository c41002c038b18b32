"""One row per client, from the organisation's living documents: computed beside, merged in one transaction.

Who is who is `clients.py`, what is said of each `profile.py`; here is what is read, what has changed, and how it is
written. Computing it again from the same documents gives the same rows, and writes nothing.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from boots_pipeline.knowledge.clients import Identity, identify
from boots_pipeline.knowledge.merge import Changes, merge
from boots_pipeline.knowledge.models import require_model
from boots_pipeline.knowledge.names import Naming, unique_names
from boots_pipeline.knowledge.profile import Profile, own_domains, profile
from boots_pipeline.knowledge.sources import Source
from boots_pipeline.providers.base import Fact
from boots_pipeline.resources.database import Connection, Database
from boots_pipeline.resources.embedder import Embedder

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class RollUpReport:
    """What stands now, and what this roll-up changed. `version` is the same as long as no client has changed."""

    clients: int
    changed: int
    retired: int
    facts: int
    version: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """A client as its row is now."""

    content_hash: bytes | None
    embedding_model: str | None
    retired: bool


@dataclass(frozen=True, slots=True)
class _State:
    """What a roll-up starts from. `marker` changes when a document does."""

    marker: tuple[int, datetime | None]
    sources: Sequence[Source]
    keys: Mapping[str, UUID]
    clients: Mapping[UUID, _Kept]
    documents: Mapping[UUID, UUID]


def roll_up(database: Database, embedder: Embedder, org_id: UUID) -> RollUpReport:
    """Bring client_intelligence up to date with the organisation's living documents.

    Documents that change meanwhile start it again, so that an older view never replaces a newer one; after three
    attempts the newest view is written, and what it wrote stays due (without a hash) for the next roll-up.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        with database.organisation(org_id) as connection:
            require_model(connection, org_id, embedder)
            state = _read(connection, org_id)
        identity = identify(org_id, state.sources, state.keys)
        profiles = _profiles(identity, state.sources)
        changes = _changes(state, identity, profiles, embedder.model)
        vectors = embedder.embed([changed.summary for changed in changes.profiles])
        if changes.anything():
            with database.organisation(org_id) as connection:
                connection.execute("select pg_advisory_xact_lock(hashtextextended('roll_up:' || %s, 0))", [org_id])
                overtaken = _marker(connection, org_id) != state.marker
                if overtaken and attempt < _ATTEMPTS:
                    continue
                require_model(connection, org_id, embedder)
                merge(connection, org_id, embedder.model, changes, vectors, stays_due=overtaken)
        break
    return RollUpReport(
        clients=len(profiles),
        changed=len(changes.profiles),
        retired=len(changes.retired),
        facts=sum(len(each.facts) for each in profiles.values()),
        version=_version(profiles),
    )


def _read(connection: Connection, org_id: UUID) -> _State:
    marker = _marker(connection, org_id)
    documents = connection.execute(
        """select id, source_id, provider, external_id, title, client_keys, names_client, facts, source_updated_at
             from public.source_documents where org_id = %s and deleted_at is null order by id""",
        [org_id],
    ).fetchall()
    keys = connection.execute("select key, client_id from public.client_keys where org_id = %s", [org_id])
    clients = connection.execute(
        """select client_id, content_hash, embedding_model, retired_at is not null as retired
             from public.client_intelligence where org_id = %s""",
        [org_id],
    )
    return _State(
        marker=marker,
        sources=[_source(row) for row in documents],
        keys={row["key"]: row["client_id"] for row in keys},
        clients={
            row["client_id"]: _Kept(row["content_hash"], row["embedding_model"], row["retired"]) for row in clients
        },
        documents={
            row["document_id"]: row["client_id"]
            for row in connection.execute(
                "select document_id, client_id from public.client_documents where org_id = %s", [org_id]
            )
        },
    )


def _marker(connection: Connection, org_id: UUID) -> tuple[int, datetime | None]:
    row = connection.execute(
        """select count(*) filter (where deleted_at is null) as living, max(updated_at) as newest
             from public.source_documents where org_id = %s""",
        [org_id],
    ).fetchone()
    return (row["living"], row["newest"]) if row else (0, None)


def _source(row: Mapping[str, Any]) -> Source:
    return Source(
        id=row["id"],
        source_id=row["source_id"],
        provider=row["provider"],
        external_id=row["external_id"],
        title=row["title"],
        keys=tuple(row["client_keys"]),
        names_client=row["names_client"],
        facts=tuple(
            Fact(fact["name"], fact["value"], datetime.fromisoformat(fact["as_of"]) if fact.get("as_of") else None)
            for fact in row["facts"]
        ),
        updated_at=row["source_updated_at"],
    )


def _profiles(identity: Identity, sources: Sequence[Source]) -> dict[UUID, Profile]:
    of_client: dict[UUID, list[Source]] = defaultdict(list)
    for source in sorted(sources, key=lambda source: source.id):
        if source.id in identity.documents:
            of_client[identity.documents[source.id]].append(source)
    names = unique_names(
        {
            client_id: Naming(records[0].title, own_domains(records), records[0].own_keys)
            for client_id, records in identity.records.items()
        }
    )
    return {
        client_id: profile(client_id, names[client_id], records, of_client[client_id])
        for client_id, records in sorted(identity.records.items())
    }


def _changes(state: _State, identity: Identity, profiles: Mapping[UUID, Profile], model: str) -> Changes:
    """Only what differs from the rows as they are."""
    wanted = {client_id: _Kept(each.content_hash(), model, retired=False) for client_id, each in profiles.items()}
    return Changes(
        profiles=[profiles[client_id] for client_id, kept in wanted.items() if state.clients.get(client_id) != kept],
        retired=[each for each, kept in state.clients.items() if each not in profiles and not kept.retired],
        new_keys=identity.new_keys,
        new_documents=dict(identity.documents.items() - state.documents.items()),
        gone_documents=[each for each in state.documents if each not in identity.documents],
    )


def _version(profiles: Mapping[UUID, Profile]) -> str:
    return hashlib.sha256(b"".join(profiles[each].content_hash() for each in sorted(profiles))).hexdigest()[:16]
