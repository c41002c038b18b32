"""Writing what a roll-up changed, in the transaction that it is handed: a temporary table and a few statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
from psycopg.types.json import Jsonb

from boots_pipeline.knowledge.profile import Profile
from boots_pipeline.resources.database import Connection
from boots_pipeline.resources.embedder import Vectors

_TYPES = (
    "uuid", "text", "text", "jsonb", "text[]", "text[]", "jsonb", "text", "uuid", "uuid", "int4", "timestamptz",
    "bytea", "vector",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between the clients as computed and as they are kept."""

    profiles: Sequence[Profile]
    retired: Sequence[UUID]
    new_keys: Mapping[str, UUID]
    new_documents: Mapping[UUID, UUID]
    gone_documents: Sequence[UUID]

    def anything(self) -> bool:
        """Whether there is something to write."""
        return any((self.profiles, self.retired, self.new_keys, self.new_documents, self.gone_documents))


def merge(
    connection: Connection, org_id: UUID, model: str, changes: Changes, vectors: Vectors, *, stays_due: bool
) -> None:
    """Write the changes; readers see all of them or none. `stays_due`: they were overtaken, so what is written gets no
    hash, which is how a client says that its profile does not stand. They may name documents that were deleted
    meanwhile (private.forget_batch, under the caller's lock): those are referred to no more, nor their keys kept."""
    connection.execute(
        """insert into public.client_keys (org_id, key, client_id)
           select %(org)s, key, client_id from unnest(%(keys)s::text[], %(clients)s::uuid[]) as made (key, client_id)
            where key in (select unnest(client_keys) from public.source_documents where org_id = %(org)s)
           on conflict (org_id, key) do nothing""",
        {
            "org": org_id,
            "keys": list(changes.new_keys),
            "clients": list(changes.new_keys.values()),
        },
    )
    connection.execute(
        # Its name stays, for proposals name it. What was said of it has no living source any more.
        """update public.client_intelligence
              set retired_at = now(), updated_at = now(), content_hash = null, profile = '{}', summary = '',
                  aliases = '{}', domains = '{}', provider_ids = '{}', external_id = null, source_document_id = null,
                  document_count = 0, as_of = null, embedding = null, embedding_model = null
            where org_id = %s and client_id = any(%s) and retired_at is null""",
        [org_id, list(changes.retired)],
    )
    _stage(connection, changes.profiles, vectors, stays_due=stays_due)
    _step_aside(connection, org_id)
    _upsert(connection, org_id, model)
    connection.execute(
        "delete from public.client_documents where org_id = %s and document_id = any(%s)",
        [org_id, list(changes.gone_documents)],
    )
    connection.execute(
        """insert into public.client_documents (org_id, document_id, client_id)
           select d.org_id, d.id, client_id from unnest(%s::uuid[], %s::uuid[]) as found (document_id, client_id)
             join public.source_documents d on d.org_id = %s and d.id = document_id
           on conflict (org_id, document_id) do update set client_id = excluded.client_id""",
        [list(changes.new_documents), list(changes.new_documents.values()), org_id],
    )


def _stage(connection: Connection, profiles: Sequence[Profile], vectors: Vectors, *, stays_due: bool) -> None:
    connection.execute(
        """create temp table staged_clients (
             client_id uuid, client_name text, summary text, profile jsonb, aliases text[], domains text[],
             provider_ids jsonb, external_id text, source_id uuid, source_document_id uuid, document_count int,
             as_of timestamptz, content_hash bytea, embedding extensions.vector
           ) on commit drop"""
    )
    with connection.cursor().copy("copy staged_clients from stdin (format binary)") as copy:
        copy.set_types(_TYPES)
        for profile, vector in zip(profiles, vectors, strict=True):
            copy.write_row(
                (
                    profile.client_id,
                    profile.client_name,
                    profile.summary,
                    _json({"facts": profile.facts}),
                    list(profile.aliases),
                    list(profile.domains),
                    _json(profile.provider_ids),
                    profile.external_id,
                    profile.source_id,
                    profile.source_document_id,
                    profile.document_count,
                    profile.as_of,
                    None if stays_due else profile.content_hash(),
                    vector,
                )
            )


def _json(value: object) -> Jsonb:
    return Jsonb(value, dumps=orjson.dumps)


def _step_aside(connection: Connection, org_id: UUID) -> None:
    """Whoever has a name that another client is about to get gives it up first: names may swap, or go round.

    A living one gets its own new name with the upsert. A retired one keeps a name that can be read in the proposals
    that were written for it: "Bay (retired)", with the beginning of its id where another already has that.
    """
    connection.execute(
        """
        with aside as (
          select c.client_id, c.client_name || ' (retired)' as retired_name,
                 c.retired_at is not null as retired
            from public.client_intelligence c
            join staged_clients s on s.client_name = c.client_name and s.client_id <> c.client_id
           where c.org_id = %(org)s
        )
        update public.client_intelligence c
           set content_hash = null,
               client_name = case
                 when not a.retired then 'renamed ' || c.client_id
                 when exists (select from public.client_intelligence o
                               where o.org_id = c.org_id and o.client_name = a.retired_name)
                   or exists (select from staged_clients o where o.client_name = a.retired_name)
                   then c.client_name || ' (retired ' || left(c.client_id::text, 8) || ')'
                 else a.retired_name end
          from aside a
         where c.org_id = %(org)s and c.client_id = a.client_id
        """,
        {"org": org_id},
    )


def _upsert(connection: Connection, org_id: UUID, model: str) -> None:
    connection.execute(
        """
        insert into public.client_intelligence as c
          (org_id, client_id, client_name, summary, profile, aliases, domains, provider_ids, external_id, source_id,
           source_document_id, document_count, as_of, content_hash, embedding, embedding_model)
        select %(org)s, s.client_id, s.client_name, s.summary, s.profile, s.aliases, s.domains, s.provider_ids,
               s.external_id, s.source_id, d.id, s.document_count, s.as_of, s.content_hash, s.embedding, %(model)s
          from staged_clients s
          left join public.source_documents d on d.org_id = %(org)s and d.id = s.source_document_id
        on conflict (org_id, client_id) do update
           set client_name = excluded.client_name, summary = excluded.summary, profile = excluded.profile,
               aliases = excluded.aliases, domains = excluded.domains, provider_ids = excluded.provider_ids,
               external_id = excluded.external_id, source_id = excluded.source_id,
               source_document_id = excluded.source_document_id, document_count = excluded.document_count,
               as_of = excluded.as_of, content_hash = excluded.content_hash, embedding = excluded.embedding,
               embedding_model = excluded.embedding_model, retired_at = null, updated_at = now()
        """,
        {"org": org_id, "model": model},
    )
