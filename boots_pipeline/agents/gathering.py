"""What the researcher reads from the database: the proposal and its organisation, and the documents of a client."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from boots_pipeline.agents.stages import Client
from boots_pipeline.errors import ConfigError
from boots_pipeline.knowledge.keys import own_keys
from boots_pipeline.providers.base import Fact
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import Vectors

_DOCUMENTS_OF_A_CLIENT = 60
_BRAIN_ENTRIES = 8


@dataclass(frozen=True, slots=True)
class BrainEntry:
    """Something that the organisation says of itself."""

    id: UUID
    title: str
    content: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Scene:
    """The proposal, and who is there."""

    title: str
    brief: str
    organisation: str
    brain: Sequence[BrainEntry]
    clients: Sequence[Client]
    domains: Mapping[UUID, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A document as it is kept. `similarity` is to the question, 0 where it has no vector."""

    document_id: UUID
    provider: str
    document_type: str
    external_id: str
    title: str
    content: str
    content_hash: bytes
    as_of: datetime | None
    facts: Sequence[Fact]
    client_keys: Sequence[str]
    names_client: bool
    of_client: bool
    similarity: float

    @property
    def kind(self) -> Literal["client", "deal", "person", "document"]:
        """What it is to a proposal."""
        stated = {fact.name for fact in self.facts}
        if self.of_client and self.names_client:
            return "client"
        if self.of_client and "deal" in stated:
            return "deal"
        return "person" if self.of_client and "contact" in stated else "document"

    @property
    def text(self) -> str:
        """Its text, and those of its facts that the text does not hold."""
        missing = [
            f"{fact.name.replace('_', ' ')}: {fact.value}" for fact in self.facts if fact.value not in self.content
        ]
        return "\n".join([self.content, *missing]).strip() or self.title


def read_scene(database: Database, org_id: UUID, proposal_id: UUID) -> Scene:
    """The proposal, its organisation, and the names of its clients."""
    with database.organisation(org_id) as connection:
        proposal = connection.execute(
            """select p.title, p.brief, o.name from public.proposals p join public.organizations o on o.id = p.org_id
                where p.org_id = %s and p.id = %s""",
            [org_id, proposal_id],
        ).fetchone()
        if proposal is None:
            raise ConfigError("The proposal does not exist any more.")
        brain = connection.execute(
            """select id, title, content, created_at from public.org_brain where org_id = %s
                order by created_at desc, id limit %s""",
            [org_id, _BRAIN_ENTRIES],
        ).fetchall()
        clients = connection.execute(
            """select id, client_id, client_name, aliases, domains, summary, as_of
                 from public.client_intelligence where org_id = %s and retired_at is null order by client_id""",
            [org_id],
        ).fetchall()
    return Scene(
        title=proposal["title"],
        brief=proposal["brief"],
        organisation=proposal["name"],
        brain=[BrainEntry(**row) for row in brain],
        clients=[
            Client(
                client_intelligence_id=row["id"],
                client_id=row["client_id"],
                name=row["client_name"],
                aliases=tuple(row["aliases"]),
                summary=row["summary"],
                as_of=row["as_of"],
            )
            for row in clients
        ],
        domains={row["client_id"]: row["domains"] for row in clients},
    )


def read_shelf(
    database: Database, org_id: UUID, client: Client | None, found: Sequence[UUID], question: Vectors
) -> list[Shelf]:
    """The client's newest documents, and those that the search found, each once.

    Of what belongs to no client only what is about nobody: a contact, a deal or a mail is somebody's, known or not.
    """
    with database.organisation(org_id) as connection:
        rows = connection.execute(
            """
            with of_client as (
              select d.id from public.client_documents c
                join public.source_documents d on d.org_id = c.org_id and d.id = c.document_id and d.deleted_at is null
               where c.org_id = %(org)s and c.client_id = %(client)s
               order by d.names_client desc, d.source_updated_at desc nulls last, d.id limit %(most)s
            )
            select d.id, d.provider, d.document_type, d.external_id, d.title, d.content, d.content_hash, d.facts,
                   d.source_updated_at, d.client_keys, d.names_client, c.client_id is not null as of_client,
                   case when d.embedding_model = m.active then 1 - (d.embedding operator(extensions.<=>) %(question)s)
                   end as similarity
              from public.source_documents d
              left join public.embedding_models m on m.org_id = d.org_id
              left join public.client_documents c
                on c.org_id = d.org_id and c.document_id = d.id and c.client_id = %(client)s
             where d.org_id = %(org)s and d.deleted_at is null
               and (d.id in (select id from of_client) or d.id = any(%(found)s))
               and (c.client_id is not null
                    or not (d.names_client or d.client_keys <> '{}' or d.facts <> '[]'))
             order by d.id
            """,
            {
                "org": org_id,
                "client": client.client_id if client else None,
                "most": _DOCUMENTS_OF_A_CLIENT,
                "question": question,
                "found": list(found),
            },
        ).fetchall()
    return [
        Shelf(
            document_id=row["id"],
            provider=row["provider"],
            document_type=row["document_type"],
            external_id=row["external_id"],
            title=row["title"],
            content=row["content"],
            content_hash=row["content_hash"],
            as_of=row["source_updated_at"],
            facts=[Fact(fact["name"], fact["value"]) for fact in row["facts"]],
            client_keys=row["client_keys"],
            names_client=row["names_client"],
            of_client=row["of_client"],
            similarity=min(max(row["similarity"] or 0.0, 0.0), 1.0),
        )
        for row in rows
    ]


def read_client_keys(database: Database, org_id: UUID, client: Client) -> frozenset[str]:
    """The providers' own identifiers of a client: those of its records."""
    with database.organisation(org_id) as connection:
        rows = connection.execute(
            """select d.client_keys from public.client_documents c
                 join public.source_documents d on d.org_id = c.org_id and d.id = c.document_id
                where c.org_id = %s and c.client_id = %s and d.names_client and d.deleted_at is null""",
            [org_id, client.client_id],
        ).fetchall()
    return frozenset(key for row in rows for key in own_keys(tuple(row["client_keys"])))
