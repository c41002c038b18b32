"""An organisation that knows a hotel well and a school a little, and a proposal to be written."""

from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from boots_pipeline.errors import BootsError
from boots_pipeline.knowledge.embedding import embed_pending
from boots_pipeline.knowledge.rollup import roll_up
from boots_pipeline.providers.base import Document
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from tests.conftest import Organisation
from tests.knowledge.library import Library
from tests.knowledge.records import company, contact, deal

HOTEL = {"industry": "HOSPITALITY", "city": "Whitby", "country": "England"}


class Live:
    """The outside world: what the provider says now, or that it cannot."""

    def __init__(self) -> None:
        self.answers: dict[str, Document | BootsError | None] = {}
        self.asked: list[tuple[str, str, str]] = []

    def read(self, org_id: UUID, provider: str, stream: str, external_id: str) -> Document | None:
        assert org_id
        self.asked.append((provider, stream, external_id))
        answer = self.answers.get(external_id)
        if isinstance(answer, BootsError):
            raise answer
        return answer


@pytest.fixture
def live() -> Live:
    return Live()


@pytest.fixture
def known(
    database: Database, embedder: WordllamaEmbedder, owner: psycopg.Connection, organisation: Organisation, live: Live
) -> Library:
    library = Library(owner, organisation.id)
    hotel = company(1, "Bay View Hotel", "domain:bay.example", facts=HOTEL)
    prose = "The owners care about rooms that stay quiet above a busy bar. They renovate in winter. They decide in May."
    library.keep("hubspot", "companies", "1", Document(**{**_fields(hotel), "content": f"{hotel.content}\n\n{prose}"}))
    library.keep("hubspot", "companies", "2", company(2, "Cliff School", "domain:cliff.example"))
    stair = deal("Oak stair", 1, "GBP 12500.00", "contractsent", day=2, prose="A stair of oak for the wedding barn.")
    library.keep("hubspot", "deals", "5", stair)
    library.keep("hubspot", "deals", "6", deal("Bar counter", 1, "GBP 900.00", "closedwon"))
    library.keep("hubspot", "deals", "7", deal("Desks", 2, "GBP 77777.00", "contractsent", day=3))
    library.keep("hubspot", "contacts", "8", contact("Jane Doe", "jane@bay.example", "Owner", 1))
    note = "We measured the barn twice. The stair must carry two hundred wedding guests."
    library.keep("drive", "files", "9", Document("Site visit", note))
    live.answers["5"] = stair
    embed_pending(database, embedder, library.org_id)
    roll_up(database, embedder, library.org_id)
    return library


def _fields(document: Document) -> dict[str, object]:
    return {name: getattr(document, name) for name in document.__slots__}


@pytest.fixture
def ask(owner: psycopg.Connection) -> Callable[..., UUID]:
    """Ask for a proposal, as the page does."""

    def make(org_id: UUID, brief: str, title: str = "A stair") -> UUID:
        proposal_id = uuid4()
        owner.execute(
            "insert into proposals (id, org_id, title, brief, status) values (%s, %s, %s, %s, 'queued')",
            [proposal_id, org_id, title, brief],
        )
        owner.execute(
            "insert into jobs (org_id, job_type, payload) values (%s, 'proposal', %s)",
            [org_id, Jsonb({"proposal_id": str(proposal_id)})],
        )
        return proposal_id

    return make
