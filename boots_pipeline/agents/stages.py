"""What passes from stage to stage of a proposal. JSON-serialisable: each stage may run in a process of its own."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Stage(BaseModel):
    """Values that no later stage changes."""

    model_config = ConfigDict(frozen=True)


class Knowledge(Stage):
    """One piece of what the organisation knows, numbered so that a claim can name it.

    A document (`document_id`), of the client or of none, or what the organisation says of itself (`org_brain_id`).
    `live` says that it was read from the provider for this proposal.
    """

    id: str
    kind: Literal["client", "deal", "person", "document", "organisation"]
    title: str
    text: str
    relevance: float = Field(ge=0, le=1)
    document_id: UUID | None = None
    passage: int = 0
    client_intelligence_id: UUID | None = None
    org_brain_id: UUID | None = None
    provider: str | None = None
    content_hash: str | None = None
    as_of: datetime | None = None
    live: bool = False


class Client(Stage):
    """The client that the proposal is for."""

    client_intelligence_id: UUID
    client_id: UUID
    name: str
    aliases: tuple[str, ...]
    summary: str
    as_of: datetime | None


class Research(Stage):
    """What is known that bears on a proposal."""

    proposal_id: UUID
    today: date  # when this was looked up
    title: str
    brief: str
    organisation: str
    client: Client | None
    knowledge: tuple[Knowledge, ...]
    notes: tuple[str, ...]  # what could not be looked at, in sentences for the reader


class PlannedSection(Stage):
    """A section before it is written."""

    heading: str
    purpose: str
    knowledge_ids: tuple[str, ...]


class Strategy(Stage):
    """What the proposal will say where, and from what."""

    sections: tuple[PlannedSection, ...]


class Citation(Stage):
    """A piece of knowledge, and the words of it that a claim rests on, exactly as they stand there."""

    knowledge_id: str
    quote: str


class Claim(Stage):
    """A paragraph or a point of the proposal. Without citations it must state nothing of the client."""

    text: str
    citations: tuple[Citation, ...]


class DraftSection(Stage):
    """A section as written."""

    heading: str
    claims: tuple[Claim, ...]


class Draft(Stage):
    """A proposal as written. `written_by` is the model, or the sentence that there was none."""

    sections: tuple[DraftSection, ...]
    written_by: str


class ReviewedClaim(Stage):
    """A claim that is kept. `note` says what could not be verified; its citations are those that hold."""

    text: str
    citations: tuple[Citation, ...]
    note: str | None = None


class ReviewedSection(Stage):
    """A section without the claims that failed."""

    heading: str
    claims: tuple[ReviewedClaim, ...]


class Verdict(Stage):
    """What the review did with a claim that is not kept as it was."""

    heading: str
    text: str
    outcome: Literal["dropped", "marked"]
    reason: str


class ReviewedDraft(Stage):
    """A draft whose every citation holds."""

    sections: tuple[ReviewedSection, ...]
    written_by: str
    checked: int
    verdicts: tuple[Verdict, ...]
