"""What is known of one client, from its documents: facts with their source and date, and a paragraph to read. Pure."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from boots_pipeline.knowledge.keys import kind, value
from boots_pipeline.knowledge.sources import Source
from boots_pipeline.knowledge.summary import summarise
from boots_pipeline.providers.base import Fact

# A big client has thousands of facts. The newest of each kind are what a proposal needs; the rest is in search.
_FACTS_OF_A_NAME = 40
_LONGEST_VALUE = 1000
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Profile:
    """A row of client_intelligence, but for its vector."""

    client_id: UUID
    client_name: str
    summary: str
    facts: tuple[Mapping[str, Any], ...]
    aliases: tuple[str, ...]
    domains: tuple[str, ...]
    provider_ids: Mapping[str, Sequence[str]]
    external_id: str
    source_id: UUID
    source_document_id: UUID
    document_count: int
    as_of: datetime | None

    def content_hash(self) -> bytes:
        """The same as long as nothing that a reader sees has changed."""
        seen = {name: getattr(self, name) for name in self.__slots__}
        return hashlib.sha256(orjson.dumps(seen, option=orjson.OPT_SORT_KEYS)).digest()


def own_domains(records: Iterable[Source]) -> tuple[str, ...]:
    """The domains of a client, as its records name them."""
    return tuple(sorted({found for record in records for found in record.domains}))


def profile(client_id: UUID, client_name: str, records: Sequence[Source], documents: Sequence[Source]) -> Profile:
    """Roll a client's documents up. `records` are those that are the client, its primary one first."""
    primary = records[0]
    facts = _facts(documents)
    aliases = sorted({record.title for record in records if record.title} - {client_name})
    as_of = max((document.updated_at for document in documents if document.updated_at), default=None)
    return Profile(
        client_id=client_id,
        client_name=client_name,
        summary=summarise(client_name, aliases, facts, as_of),
        facts=facts,
        aliases=tuple(aliases),
        domains=own_domains(records),
        provider_ids=_provider_ids(records),
        external_id=primary.external_id,
        source_id=primary.source_id,
        source_document_id=primary.id,
        document_count=len(documents),
        as_of=as_of,
    )


def _provider_ids(records: Sequence[Source]) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = defaultdict(list)
    for record in records:
        for key in record.own_keys:
            provider = kind(key).partition(".")[0]
            if value(key) not in ids[provider]:
                ids[provider].append(value(key))
    return dict(ids)


def _facts(documents: Sequence[Source]) -> tuple[Mapping[str, Any], ...]:
    """Newest first; of a fact that several documents state, the newest statement."""
    stated = [(fact, document) for document in documents for fact in document.facts]
    stated.sort(key=lambda pair: (pair[0].name, pair[0].value, str(pair[1].id)))
    stated.sort(key=lambda pair: _date(*pair) or _LONG_AGO, reverse=True)
    kept: dict[tuple[str, str], Mapping[str, Any]] = {}
    of_name: dict[str, int] = defaultdict(int)
    for fact, document in stated:
        if (fact.name, fact.value) in kept or of_name[fact.name] >= _FACTS_OF_A_NAME:
            continue
        of_name[fact.name] += 1
        date = _date(fact, document)
        kept[fact.name, fact.value] = {
            "name": fact.name,
            "value": fact.value[:_LONGEST_VALUE],
            "as_of": date.isoformat() if date else None,
            "document_id": str(document.id),
            "provider": document.provider,
            "title": document.title,
        }
    return tuple(kept.values())


def _date(fact: Fact, document: Source) -> datetime | None:
    return fact.as_of or document.updated_at
