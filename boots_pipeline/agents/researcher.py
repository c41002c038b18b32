"""Research: what the organisation knows that bears on a proposal, numbered, with one or two records read live.

Only what is known of the client that is meant, and what is about nobody: what one client told us has no place in
another's proposal, whether we know which client it was or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from boots_pipeline.agents.client_meant import Candidate, Meant, client_meant
from boots_pipeline.agents.gathering import Scene, Shelf, read_client_keys, read_scene, read_shelf
from boots_pipeline.agents.stages import Client, Knowledge, Research
from boots_pipeline.errors import BootsError
from boots_pipeline.knowledge.keys import is_strong
from boots_pipeline.knowledge.passages import text_hash
from boots_pipeline.knowledge.search import DocumentHit, search_knowledge
from boots_pipeline.knowledge.summary import is_closed
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.providers.base import Document
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import Embedder

_HITS = 12
_PIECES = 24
_LIVE_READS = 2
_LONGEST_TEXT = 4000
# What changes from day to day, by the name of the fact that states it.
_CHANGES_DAILY = frozenset({"deal", "invoice", "estimate"})


class LiveReader(Protocol):
    """One record as its provider has it now."""

    def read(self, org_id: UUID, provider: str, stream: str, external_id: str) -> Document | None:
        """None when it is gone. Raises the classes of `boots_pipeline.errors`."""
        ...


@dataclass(frozen=True, slots=True)
class _Piece:
    """A document on its way to becoming a piece of knowledge."""

    shelf: Shelf
    text: str
    passage: int
    relevance: float
    live: bool = False
    content_hash: bytes | None = None


def research(database: Database, embedder: Embedder, live: LiveReader, org_id: UUID, proposal_id: UUID) -> Research:
    """Search, find the client, gather its documents, and check what changes daily."""
    scene = read_scene(database, org_id, proposal_id)
    question = f"{scene.title}\n{scene.brief}"
    found = search_knowledge(database, embedder, org_id, question, _HITS)
    meant = client_meant(
        question,
        [Candidate(each.client_id, each.name, each.aliases, scene.domains[each.client_id]) for each in scene.clients],
        {hit.client_id: hit.similarity for hit in found.clients.hits},
    )
    client = next((each for each in scene.clients if meant and each.client_id == meant.client_id), None)
    hits = [hit for hit in found.documents.hits if hit.client_id in (None, client.client_id if client else None)]
    vector = embedder.embed([question])[0]
    shelves = read_shelf(database, org_id, client, [hit.document_id for hit in hits], vector)
    own = read_client_keys(database, org_id, client) if client else frozenset()
    pieces, live_notes = _read_live(live, org_id, _pieces(shelves, hits), own)
    completeness = found.documents.completeness if scene.clients else None
    notes = (*_notes(scene, meant, client), *live_notes, completeness)
    return Research(
        proposal_id=proposal_id,
        today=datetime.now(UTC).date(),
        title=scene.title,
        brief=scene.brief,
        organisation=scene.organisation,
        client=client,
        knowledge=_number(pieces, client, scene),
        notes=tuple(note for note in notes if note),
    )


def _notes(scene: Scene, meant: Meant | None, client: Client | None) -> list[str | None]:
    if client is not None:
        return [meant.note if meant else None]
    if scene.clients:
        return ["The brief names no client that we know, so nothing of any client was used."]
    return ["No client of this organisation is known yet: nothing is connected, or nothing has been synced."]


def _pieces(shelves: Sequence[Shelf], hits: Sequence[DocumentHit]) -> list[_Piece]:
    """The client's own record, then its deals, then the rest by relevance; a hit by the passage that was close."""
    by_id = {hit.document_id: hit for hit in hits}
    pieces = []
    for shelf in shelves:
        hit = by_id.get(shelf.document_id)
        if hit is not None and hit.passage > 0:
            text, passage = hit.content, hit.passage
        else:
            text, passage = shelf.text, 0
        relevance = max(shelf.similarity, (hit.similarity or hit.relevance) if hit else 0.0)
        pieces.append(_Piece(shelf, text[:_LONGEST_TEXT], passage, relevance, content_hash=shelf.content_hash))
    order = {"client": 0, "deal": 1, "person": 2}
    pieces.sort(key=lambda piece: (order.get(piece.shelf.kind, 2), -piece.relevance, piece.shelf.document_id))
    return pieces[:_PIECES]


def _read_live(
    live: LiveReader, org_id: UUID, pieces: Sequence[_Piece], own: frozenset[str]
) -> tuple[list[_Piece], list[str]]:
    """Read again the newest records that state what changes daily. What cannot be read is noted, never fatal; what is
    gone, or has become another client's, is left out."""
    volatile = [
        piece.shelf
        for piece in pieces
        if _CHANGES_DAILY & {fact.name for fact in piece.shelf.facts}
        and not all(is_closed(fact.value) for fact in piece.shelf.facts)
    ]
    volatile.sort(key=lambda shelf: (shelf.as_of is not None, shelf.as_of, shelf.document_id), reverse=True)
    answers: dict[UUID, Document | None] = {}
    notes: list[str] = []
    for shelf in volatile[:_LIVE_READS]:
        title = PROVIDERS[shelf.provider].title if shelf.provider in PROVIDERS else shelf.provider
        try:
            answer = live.read(org_id, shelf.provider, shelf.document_type, shelf.external_id)
        except BootsError as error:
            notes.append(f"{shelf.title} could not be checked live in {title}: {error}")
            continue
        if answer is None:
            notes.append(f"{shelf.title} is no longer in {title}, so it was not used.")
        elif not _still_theirs(answer, shelf, own):
            answer = None
            notes.append(f"{shelf.title} is no longer this client's in {title}, so it was not used.")
        answers[shelf.document_id] = answer
    fresh = [_refreshed(piece, answers) for piece in pieces if answers.get(piece.shelf.document_id, piece) is not None]
    return fresh, notes


def _still_theirs(answer: Document, stored: Shelf, own: frozenset[str]) -> bool:
    """By the client's identifiers; where the record names none, by the hints that led to it before."""
    strong = {key for key in answer.client_keys if is_strong(key)}
    return bool(strong & own if strong else set(answer.client_keys) & set(stored.client_keys))


def _refreshed(piece: _Piece, answers: dict[UUID, Document | None]) -> _Piece:
    answer = answers.get(piece.shelf.document_id)
    if answer is None:
        return piece
    stored = piece.shelf
    now = replace(
        stored, title=answer.title, content=answer.content, facts=answer.facts, as_of=answer.source_updated_at
    )
    return replace(
        piece,
        shelf=now,
        text=now.text[:_LONGEST_TEXT],
        passage=0,
        live=True,
        content_hash=text_hash(now.title, now.content),  # as the next sync will keep it
    )


def _number(pieces: Sequence[_Piece], client: Client | None, scene: Scene) -> tuple[Knowledge, ...]:
    knowledge = [
        Knowledge(
            id=f"K{number}",
            kind=piece.shelf.kind,
            title=piece.shelf.title,
            text=piece.text,
            relevance=piece.relevance,
            document_id=piece.shelf.document_id,
            passage=piece.passage,
            client_intelligence_id=client.client_intelligence_id if client and piece.shelf.of_client else None,
            provider=piece.shelf.provider,
            content_hash=piece.content_hash.hex() if piece.content_hash else None,
            as_of=piece.shelf.as_of,
            live=piece.live,
        )
        for number, piece in enumerate(pieces, start=1)
    ]
    knowledge += [
        Knowledge(
            id=f"K{number}",
            kind="organisation",
            title=entry.title,
            text=entry.content[:_LONGEST_TEXT],
            relevance=0.5,  # it is about us, whatever the question
            org_brain_id=entry.id,
            as_of=entry.created_at,
        )
        for number, entry in enumerate(scene.brain, start=len(pieces) + 1)
    ]
    return tuple(knowledge)
