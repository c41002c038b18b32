"""Search finds by meaning and by words, fused, only of the organisation, and says when it is not all."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boots_pipeline.errors import ConfigError
from boots_pipeline.knowledge.embedding import embed_pending
from boots_pipeline.knowledge.rollup import roll_up
from boots_pipeline.knowledge.search import DocumentHit, fuse, search_clients, search_documents, search_knowledge
from boots_pipeline.providers.base import Document
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from tests.conftest import Organisation
from tests.knowledge.library import Library
from tests.knowledge.records import MONDAY, company, deal

HOTEL = {"about": "A seaside hotel that wants a quiet oak staircase for its wedding guests"}
SCHOOL = {"about": "A primary school with noisy corridors and four hundred pupils"}


@pytest.fixture
def known(database: Database, embedder: WordllamaEmbedder, library: Library) -> Library:
    library.keep("hubspot", "companies", "1", company(1, "Bay Hotel", facts=HOTEL))
    library.keep("hubspot", "companies", "2", company(2, "Cliff School", facts=SCHOOL))
    library.keep("hubspot", "deals", "5", deal("Staircase QX-7731", 1, "GBP 12500.00", "contractsent", day=1))
    long = " ".join(f"Point {n} was about the playground fence." for n in range(60))
    library.keep("drive", "files", "9", Document("Minutes", f"{long} Then somebody asked for acoustic ceiling panels."))
    embed_pending(database, embedder, library.org_id)
    roll_up(database, embedder, library.org_id)
    return library


def test_clients_are_found_by_meaning(database: Database, embedder: WordllamaEmbedder, known: Library) -> None:
    found = search_clients(database, embedder, known.org_id, "wooden stairs for a place where people marry", 1)
    assert [hit.client_name for hit in found.hits] == ["Bay Hotel"]
    assert 0 < found.hits[0].similarity <= 1
    assert found.hits[0].as_of is not None
    assert found.completeness is None


def test_a_client_that_is_named_comes_first(database: Database, embedder: WordllamaEmbedder, known: Library) -> None:
    asked = "Wooden stairs where people marry, for CLIFF SCHOOL"
    found = search_clients(database, embedder, known.org_id, asked, 1)
    assert [hit.client_name for hit in found.hits] == ["Cliff School"]


def test_documents_are_found_by_meaning_in_a_late_passage(
    database: Database, embedder: WordllamaEmbedder, known: Library
) -> None:
    hit = search_documents(database, embedder, known.org_id, "acoustic ceiling", 1).hits[0]
    assert (hit.title, hit.client_id) == ("Minutes", None)
    assert hit.passage > 0
    assert "acoustic ceiling panels" in hit.content


def test_documents_are_found_by_a_code(database: Database, embedder: WordllamaEmbedder, known: Library) -> None:
    hit = search_documents(database, embedder, known.org_id, "QX-7731", 3).hits[0]
    assert hit.title == "Staircase QX-7731"
    assert hit.client_id is not None
    assert hit.as_of is not None
    assert hit.as_of.date() > MONDAY.date()
    assert 0 < hit.relevance <= 1
    assert len(hit.content_hash) == 32


def test_another_organisation_finds_nothing_of_it(
    database: Database,
    embedder: WordllamaEmbedder,
    known: Library,
    new_organisation: Callable[..., Organisation],
) -> None:
    assert known.org_id
    found = search_knowledge(database, embedder, new_organisation("neighbour").id, "staircase", 5)
    assert (found.clients.hits, found.documents.hits) == ([], [])
    assert found.clients.completeness == "The organisation has no clients yet."
    assert found.documents.completeness == "The organisation has no documents yet."


def test_it_says_when_there_is_no_more(database: Database, embedder: WordllamaEmbedder, known: Library) -> None:
    found = search_knowledge(database, embedder, known.org_id, "staircase", 9)
    assert found.clients.completeness == "The organisation has only 2 clients."
    assert found.documents.completeness == "The organisation has only 4 documents."


def test_it_says_what_is_not_embedded_yet_and_finds_it_by_words(
    database: Database, embedder: WordllamaEmbedder, known: Library
) -> None:
    known.keep("drive", "files", "10", Document("Zephyr", "A weather vane."))
    found = search_documents(database, embedder, known.org_id, "zephyr", 3)
    assert found.completeness == "1 of 5 documents is not embedded yet: found by words alone."
    zephyr = next(hit for hit in found.hits if hit.title == "Zephyr")
    assert zephyr.similarity is None


def test_buried_documents_and_retired_clients_are_not_found(
    database: Database, embedder: WordllamaEmbedder, known: Library, owner: psycopg.Connection
) -> None:
    owner.execute("update source_documents set deleted_at = now() where title <> 'Cliff School'")
    roll_up(database, embedder, known.org_id)
    found = search_knowledge(database, embedder, known.org_id, "school staircase minutes", 5)
    assert [hit.client_name for hit in found.clients.hits] == ["Cliff School"]
    assert [hit.title for hit in found.documents.hits] == ["Cliff School"]


@pytest.mark.parametrize("text", ["", "   ", "\0", "' & | ! ( :* <->", "日本語", "\ud800", "a" * 50_000])
def test_any_question_is_answered(database: Database, embedder: WordllamaEmbedder, known: Library, text: str) -> None:
    assert len(search_documents(database, embedder, known.org_id, text, 4).hits) <= 4


def test_another_model_is_refused(database: Database, known: Library) -> None:
    class Foreign(WordllamaEmbedder):
        model = "openai/another"

    with pytest.raises(ConfigError, match="EMBEDDING_MODEL must be set back to wordllama/l2_supercat_256"):
        search_clients(database, Foreign(), known.org_id, "stairs", 1)


def hit(number: int, similarity: float | None) -> DocumentHit:
    some_id, date = UUID(int=number), datetime(2026, 1, 1, tzinfo=UTC)
    return DocumentHit(some_id, some_id, "p", "t", "", 0, "", b"", None, date, None, similarity, 0.0)


@given(st.lists(st.integers(0, 30), unique=True), st.lists(st.integers(0, 30), unique=True))
def test_fusing_keeps_all_and_puts_what_both_found_first(close: list[int], worded: list[int]) -> None:
    fused = fuse([hit(n, 0.5) for n in close], [hit(n, None) for n in worded])
    assert {each.document_id.int for each in fused} == {*close, *worded}
    assert [each.relevance for each in fused] == sorted((each.relevance for each in fused), reverse=True)
    assert all(0 < each.relevance <= 1 for each in fused)
    if close and worded and close[0] == worded[0]:
        assert (fused[0].document_id.int, fused[0].relevance) == (close[0], 1.0)
