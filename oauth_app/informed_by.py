"""What informed a proposal: the attributions of its sections, each compared with its source as it is now."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from boots_pipeline.providers import PROVIDERS
from boots_pipeline.resources.database import Connection
from oauth_app.wording import relevance

_SOURCES = """
select a.section, a.relevance_score as relevance, a.evidence_as_of as as_of, a.evidence_quote as quote,
       coalesce(a.evidence_document_id, a.source_document_id, a.org_brain_id, a.client_intelligence_id) as source_id,
       a.evidence_gone is not null as forgotten,
       coalesce(a.evidence_provider, d.provider) as provider,
       case when a.evidence_gone is null
            then coalesce(nullif(a.evidence_title, ''), nullif(d.title, ''), b.title, c.client_name, 'Untitled')
        end as title,
       c.client_name as client, d.url, d.deleted_at,
       case when d.id is not null and a.evidence_content_hash is not null
            then d.content_hash <> a.evidence_content_hash end as changed
  from source_attribution a
  left join source_documents d
    on d.org_id = a.org_id and d.id = coalesce(a.evidence_document_id, a.source_document_id)
  left join client_intelligence c on c.org_id = a.org_id and c.id = a.client_intelligence_id
  left join org_brain b on b.org_id = a.org_id and b.id = a.org_brain_id
 where a.org_id = %s and a.proposal_id = %s
 order by a.section, a.relevance_score desc nulls last, a.created_at, a.id
"""


@dataclass(frozen=True)
class Source:
    """One piece of knowledge behind a section, with all that was quoted of it. `changed_since` is None where there is
    nothing to compare with."""

    title: str
    provider: str | None
    provider_title: str
    client: str | None
    relevance: float | None
    relevance_words: str
    as_of: datetime | None
    quotes: tuple[str, ...]
    changed_since: bool | None
    gone: bool
    forgotten: bool  # gone because an admin had it deleted: there is nothing left to show of it
    url: str | None

    @property
    def standing(self) -> str:
        """How it stands today, in words."""
        if self.forgotten:
            return "gone: deleted by your organisation"
        if self.gone:
            return "deleted at its source since"
        return {True: "changed since", False: "unchanged since", None: ""}[self.changed_since]

    def as_json(self) -> dict[str, Any]:
        """As the API tells it."""
        return {**asdict(self), "as_of": self.as_of.isoformat() if self.as_of else None, "standing": self.standing}


def sources_of(transaction: Connection, org_id: UUID, proposal_id: UUID) -> dict[str, list[Source]]:
    """The sources of a proposal by section, the most relevant first."""
    pieces: dict[tuple[str, UUID], list[dict[str, Any]]] = defaultdict(list)
    for row in transaction.execute(_SOURCES, [org_id, proposal_id]).fetchall():
        pieces[row["section"], row["source_id"]].append(row)
    by_section: dict[str, list[Source]] = defaultdict(list)
    for (section, _), rows in pieces.items():
        by_section[section].append(_source(rows[0], [row["quote"] for row in rows]))
    return dict(by_section)


def _source(row: dict[str, Any], quotes: list[str | None]) -> Source:
    provider = PROVIDERS.get(row["provider"] or "")
    score = None if row["relevance"] is None else round(float(row["relevance"]), 4)
    origin = provider.title if provider else row["provider"] or "Your own knowledge"
    return Source(
        title=row["title"] or f"A source of {origin}",
        provider=row["provider"],
        provider_title=origin,
        client=row["client"],
        relevance=score,
        relevance_words=relevance(score),
        as_of=row["as_of"],
        quotes=tuple(dict.fromkeys(quote for quote in quotes if quote)),
        changed_since=None if row["forgotten"] else row["changed"],
        gone=row["forgotten"] or row["deleted_at"] is not None,
        forgotten=row["forgotten"],
        url=_safe_link(row["url"]),
    )


def _safe_link(url: str | None) -> str | None:
    # The address came from a provider: only one that opens a web page becomes a link.
    return url if url is not None and url.startswith(("https://", "http://")) else None
