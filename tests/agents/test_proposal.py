"""A proposal from its brief to its attributions, on a real database, by the offline writer."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from boots_pipeline.agents.attribution import attribute
from boots_pipeline.agents.jobs import ClaimedProposal, claim_proposal
from boots_pipeline.agents.researcher import research
from boots_pipeline.agents.reviewer import review
from boots_pipeline.agents.stages import Research, ReviewedDraft
from boots_pipeline.agents.strategist import plan
from boots_pipeline.agents.writer import write
from boots_pipeline.errors import BadItem, LeaseLost, Transient
from boots_pipeline.knowledge.embedding import embed_pending
from boots_pipeline.knowledge.passages import text_hash
from boots_pipeline.providers.base import Document
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from tests.agents.conftest import Live
from tests.conftest import Organisation
from tests.knowledge.library import Library
from tests.knowledge.records import company, contact, deal

BRIEF = "Bay View Hotel wants a quiet oak stair for its wedding barn before 1 March."
Ask = Callable[..., UUID]
Begun = Callable[[UUID], tuple[ClaimedProposal, Research]]


def written(found: Research) -> ReviewedDraft:
    return review(write(None, found, plan(None, found)), found)


def claimed(database: Database) -> ClaimedProposal:
    job = claim_proposal(database, "worker-1")
    assert job is not None
    return job


@pytest.fixture
def begun(database: Database, embedder: WordllamaEmbedder, ask: Ask, live: Live) -> Begun:
    """A proposal that was asked for, claimed and researched."""

    def begin(org_id: UUID) -> tuple[ClaimedProposal, Research]:
        ask(org_id, BRIEF)
        job = claimed(database)
        return job, research(database, embedder, live, job.org_id, job.proposal_id)

    return begin


def put_down(database: Database, job: ClaimedProposal, found: Research, draft: ReviewedDraft) -> int:
    return attribute(database, job.org_id, job.proposal_id, draft, found, job_id=job.job_id, worker=job.worker)


def test_research_finds_the_client_and_reads_its_open_deal_live(
    database: Database, embedder: WordllamaEmbedder, known: Library, ask: Ask, live: Live, owner: psycopg.Connection
) -> None:
    found = research(database, embedder, live, known.org_id, ask(known.org_id, BRIEF))

    assert found.client is not None
    assert found.client.name == "Bay View Hotel"
    assert live.asked == [("hubspot", "deals", "5")]
    kinds = {piece.title: piece.kind for piece in found.knowledge}
    assert kinds == {
        "Bay View Hotel": "client",
        "Oak stair": "deal",
        "Bar counter": "deal",
        "Jane Doe": "person",
        "Site visit": "document",
    }
    assert [piece.id for piece in found.knowledge] == [f"K{n}" for n in range(1, 6)]
    stair = next(piece for piece in found.knowledge if piece.title == "Oak stair")
    assert stair.live
    kept = owner.execute("select content_hash from source_documents where title = 'Oak stair'").fetchone()
    assert kept is not None
    assert stair.content_hash == kept["content_hash"].hex()
    assert all(0 <= piece.relevance <= 1 for piece in found.knowledge)
    assert Research.model_validate_json(found.model_dump_json()) == found


def test_what_another_client_told_us_stays_out(
    database: Database, embedder: WordllamaEmbedder, known: Library, ask: Ask, live: Live
) -> None:
    brief = f"{BRIEF} It should be as good as the desks and the school deal."
    found = research(database, embedder, live, known.org_id, ask(known.org_id, brief))
    assert "77777" not in found.model_dump_json()
    nobody = research(database, embedder, live, known.org_id, ask(known.org_id, "Desks"))
    assert nobody.client is None
    assert "77777" not in nobody.model_dump_json()


def test_what_somebody_unknown_told_us_stays_out(
    database: Database, embedder: WordllamaEmbedder, known: Library, ask: Ask, live: Live
) -> None:
    library = known
    library.keep("hubspot", "deals", "20", deal("Oak stair for a barn", None, "GBP 55555.00", "contractsent", day=4))
    library.keep("hubspot", "contacts", "21", contact("Rita Oak Stair", "rita@unknown.example", "Owner", None))
    mail = Document("A quiet oak stair", "Our margin is 44 per cent.", client_keys=("email:rita@unknown.example",))
    library.keep("gmail", "messages", "22", mail)
    library.keep("hubspot", "companies", "23", company(23, "Quiet Oak Stair Barn"))  # no roll-up has seen it yet
    embed_pending(database, embedder, library.org_id)
    for brief in (BRIEF, "A quiet oak stair for a barn."):
        found = research(database, embedder, live, library.org_id, ask(library.org_id, brief))
        titles = {piece.title for piece in found.knowledge}
        assert "Site visit" in titles
        assert not titles & {"Oak stair for a barn", "Rita Oak Stair", "A quiet oak stair", "Quiet Oak Stair Barn"}


@pytest.mark.parametrize("company_number", [2, 99, None])
def test_a_deal_that_has_become_another_clients_is_left_out(
    database: Database,
    embedder: WordllamaEmbedder,
    known: Library,
    ask: Ask,
    live: Live,
    company_number: int | None,
) -> None:
    live.answers["5"] = deal("Oak stair", company_number, "GBP 66666.00", "contractsent", day=5)
    found = research(database, embedder, live, known.org_id, ask(known.org_id, BRIEF))
    assert "Oak stair" not in {piece.title for piece in found.knowledge}
    assert "66666" not in found.model_dump_json()
    assert any("no longer this client's in HubSpot" in note for note in found.notes)


def test_a_deal_that_moved_on_is_told_as_it_is_now(
    database: Database, embedder: WordllamaEmbedder, known: Library, ask: Ask, live: Live
) -> None:
    live.answers["5"] = deal("Oak stair", 1, "GBP 14000.00", "closedwon", day=5)
    found = research(database, embedder, live, known.org_id, ask(known.org_id, BRIEF))
    stair = next(piece for piece in found.knowledge if piece.title == "Oak stair")
    assert "GBP 14000.00" in stair.text
    moved = live.answers["5"]
    assert isinstance(moved, Document)
    assert stair.content_hash == text_hash(moved.title, moved.content).hex()
    assert "14000.00" in written(found).model_dump_json()
    assert "12500.00" not in written(found).model_dump_json()


def test_a_deal_that_is_gone_is_left_out_and_one_that_cannot_be_read_is_noted(
    database: Database, embedder: WordllamaEmbedder, known: Library, ask: Ask, live: Live
) -> None:
    live.answers["5"] = None
    gone = research(database, embedder, live, known.org_id, ask(known.org_id, BRIEF))
    assert "Oak stair" not in {piece.title for piece in gone.knowledge}
    assert any("no longer in HubSpot" in note for note in gone.notes)

    live.answers["5"] = Transient("HubSpot did not answer.")
    unsure = research(database, embedder, live, known.org_id, ask(known.org_id, BRIEF))
    assert "Oak stair could not be checked live in HubSpot: HubSpot did not answer." in unsure.notes
    assert "12500.00" in written(unsure).model_dump_json()


def test_a_proposal_is_written_with_what_informed_it(
    database: Database,
    embedder: WordllamaEmbedder,
    known: Library,
    ask: Ask,
    live: Live,
    owner: psycopg.Connection,
) -> None:
    proposal_id = ask(known.org_id, BRIEF)
    job = claimed(database)
    assert (job.org_id, job.proposal_id, job.attempts) == (known.org_id, proposal_id, 1)
    found = research(database, embedder, live, job.org_id, job.proposal_id)
    draft = written(found)
    assert draft.verdicts == ()

    count = put_down(database, job, found, draft)

    proposal = owner.execute("select * from proposals").fetchone()
    assert proposal is not None
    assert proposal["status"] == "ready"
    headings = [section["heading"] for section in proposal["sections"]]
    assert headings == [
        "Our understanding of you",
        "What you need",
        "Our approach",
        "Where we stand together",
        "The people involved",
        "Next steps",
    ]
    assert "no language model was used" in proposal["sections"][0]["body"]
    assert "Bay View Hotel works in HOSPITALITY" not in proposal["sections"][0]["body"]
    assert "Bay View Hotel works in hospitality and is based in Whitby, England." in proposal["sections"][0]["body"]
    assert "They renovate in winter." in proposal["sections"][0]["body"]
    assert "They decide in May." in proposal["sections"][1]["body"]
    assert "Jane Doe, Owner, jane@bay.example" in proposal["sections"][4]["body"]
    rows = owner.execute("select * from source_attribution order by section, evidence_quote").fetchall()
    assert len(rows) == count > 6
    client = owner.execute("select id from client_intelligence where client_name = 'Bay View Hotel'").fetchone()
    assert client is not None
    for row in rows:
        assert row["agent_role"] == "writer"
        assert row["section"] in headings
        assert row["evidence_content_hash"] is not None
        assert row["evidence_quote"]
        visit = row["evidence_title"] == "Site visit"
        assert row["client_intelligence_id"] == (None if visit else client["id"])
        assert row["source_document_id"] == (row["evidence_document_id"] if visit else None)
    assert any(row["evidence_title"] == "Site visit" for row in rows)
    finished = owner.execute("select status, error, finished_at is not null as ended from jobs").fetchone()
    assert finished == {"status": "completed", "error": None, "ended": True}


def test_putting_it_down_again_changes_nothing(
    database: Database, known: Library, owner: psycopg.Connection, begun: Begun
) -> None:
    job, found = begun(known.org_id)
    put_down(database, job, found, written(found))
    before = owner.execute("select * from source_attribution order by id").fetchall()
    put_down(database, job, found, written(found))
    assert owner.execute("select * from source_attribution order by id").fetchall() == before


def test_what_was_deleted_while_it_was_written_is_not_quoted(
    database: Database, known: Library, owner: psycopg.Connection, begun: Begun
) -> None:
    """A document that nothing names is gone, one that a proposal names is a husk: neither is quoted any more."""
    job, found = begun(known.org_id)
    draft = written(found)
    owner.execute("update client_intelligence set source_document_id = null")
    owner.execute("delete from source_documents where title = 'Site visit'")
    owner.execute("update source_documents set deleted_at = now(), title = '', content = '' where title = 'Oak stair'")
    count = put_down(database, job, found, draft)
    titles = {row["evidence_title"] for row in owner.execute("select evidence_title from source_attribution")}
    assert "Bay View Hotel" in titles
    assert not titles & {"Site visit", "Oak stair"}
    assert owner.execute("select count(*) as n from source_attribution").fetchone() == {"n": count}


def test_deleting_and_writing_wait_for_each_other(
    database: Database, known: Library, owner: psycopg.Connection, begun: Begun
) -> None:
    job, found = begun(known.org_id)
    draft = written(found)
    with ThreadPoolExecutor(1) as pool:
        with owner.transaction():
            owner.execute(
                "update connected_sources set status = 'revoked', forgetting_since = now() where provider = 'hubspot'"
            )
            owner.execute(
                """select private.forget_batch(org_id, id, 100) from connected_sources
                    where forgetting_since is not null"""
            )
            writing = pool.submit(put_down, database, job, found, draft)
            with pytest.raises(TimeoutError):
                writing.result(timeout=0.3)
        assert writing.result(timeout=30) > 0
    providers = owner.execute("select distinct evidence_provider as name from source_attribution").fetchall()
    assert providers == [{"name": "drive"}]


def test_who_lost_the_job_writes_nothing(
    database: Database, known: Library, owner: psycopg.Connection, begun: Begun
) -> None:
    job, found = begun(known.org_id)
    owner.execute("update jobs set lease_until = now() - interval '1 minute'")
    again = claim_proposal(database, "worker-2")
    assert again is not None
    assert again.attempts == 2
    with pytest.raises(LeaseLost):
        put_down(database, job, found, written(found))
    assert owner.execute("select count(*) as n from source_attribution").fetchone() == {"n": 0}
    assert owner.execute("select status, sections from proposals").fetchone() == {"status": "writing", "sections": []}


def test_a_draft_of_which_nothing_is_left_is_not_written(database: Database, known: Library, begun: Begun) -> None:
    job, found = begun(known.org_id)
    empty = ReviewedDraft(sections=(), written_by="m", checked=3, verdicts=())
    with pytest.raises(BadItem):
        put_down(database, job, found, empty)


def test_an_organisation_without_connections_gets_a_proposal_too(
    database: Database, organisation: Organisation, live: Live, owner: psycopg.Connection, begun: Begun
) -> None:
    job, found = begun(organisation.id)
    assert (found.client, found.knowledge, live.asked) == (None, (), [])
    assert put_down(database, job, found, written(found)) == 0
    proposal = owner.execute("select status, jsonb_array_length(sections) as n from proposals").fetchone()
    assert proposal == {"status": "ready", "n": 4}


def test_what_the_organisation_says_of_itself_is_attributed_to_it(
    database: Database, organisation: Organisation, owner: psycopg.Connection, begun: Begun
) -> None:
    owner.execute(
        "insert into org_brain (org_id, title, content) values (%s, 'Values', 'We build stairs that do not creak.')",
        [organisation.id],
    )
    job, found = begun(organisation.id)
    assert put_down(database, job, found, written(found)) == 1
    row = owner.execute("select * from source_attribution").fetchone()
    assert row is not None
    assert row["org_brain_id"] is not None
    assert (row["evidence_document_id"], row["evidence_quote"]) == (None, "We build stairs that do not creak.")
