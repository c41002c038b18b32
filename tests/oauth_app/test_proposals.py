"""Proposals: the row and its job together, and what informed each section, compared with the source as it is now."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.conftest import Organisation
from tests.oauth_app.conftest import Browser, make_source

ASKED = {"title": "Marsh & Daughters", "brief": "A new shop front for Marsh & Daughters."}


def test_asking_makes_the_proposal_and_its_job_together(
    member: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    answer = member.post("/api/proposals", json=ASKED)
    assert answer.status_code == 201
    told = answer.get_json()
    proposal = owner.execute("select * from proposals").fetchone()
    assert str(proposal["id"]) == told["id"]
    assert (proposal["status"], proposal["org_id"], proposal["created_by"]) == (
        "queued", organisation.id, organisation.member,
    )  # fmt: skip
    job = owner.execute("select * from jobs").fetchone()
    assert str(job["id"]) == told["job_id"]
    assert (job["job_type"], job["payload"], job["proposal_id"]) == (
        "proposal", {"proposal_id": told["id"]}, proposal["id"],
    )  # fmt: skip


def test_without_its_job_there_is_no_proposal(member: Browser, owner: psycopg.Connection) -> None:
    owner.execute("revoke insert on jobs from authenticated")
    owner.execute("revoke insert (org_id, job_type, payload) on jobs from authenticated")
    try:
        assert member.post("/api/proposals", json=ASKED).status_code == 403
    finally:
        owner.execute("grant insert (org_id, job_type, payload) on jobs to authenticated")
    assert owner.execute("select count(*) as n from proposals").fetchone()["n"] == 0


def test_the_form_leads_to_the_page_which_follows_by_itself(member: Browser) -> None:
    answer = member.post_form("/proposals", **ASKED)
    assert answer.status_code == 303
    page = member.get(answer.headers["Location"]).text
    assert "Marsh &amp; Daughters" in page
    assert "Waiting to be written" in page
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page
    assert "Marsh &amp; Daughters" in member.get("/proposals").text


@pytest.mark.parametrize(
    "asked",
    [
        None, [], {}, {"title": "t"}, {"title": " ", "brief": "b"}, {"title": "t", "brief": 7},
        {"title": "t" * 201, "brief": "b"}, {"title": "t", "brief": "b" * 20_001}, {"title": "a\0b", "brief": "b"},
        {"title": "t", "brief": "\ud800"},
    ],
)  # fmt: skip
def test_what_is_no_proposal(member: Browser, owner: psycopg.Connection, asked: Any) -> None:
    answer = member.post("/api/proposals", json=asked)
    assert answer.status_code == 400
    assert answer.get_json()["error"]
    assert owner.execute("select count(*) as n from jobs").fetchone()["n"] == 0


@pytest.fixture
def written(owner: psycopg.Connection, organisation: Organisation) -> UUID:
    """A proposal of two sections, informed by four sources: one quoted twice, one changed, one gone, one ours."""
    source = make_source(owner, organisation.id)
    sections = [
        {"heading": "What you need", "body": "A **shop front**.\n\n- oak\n- brass", "claims": []},
        {"heading": "Price", "body": "<script>alert(1)</script>", "claims": []},
    ]
    proposal = owner.execute(
        """insert into proposals (org_id, title, brief, status, sections) values (%s, 'Marsh', 'b', 'ready', %s)
           returning id""",
        [organisation.id, Jsonb(sections)],
    ).fetchone()["id"]
    client = owner.execute(
        """insert into client_intelligence (org_id, client_name, client_id) values (%s, 'Marsh & Daughters', %s)
           returning id""",
        [organisation.id, uuid4()],
    ).fetchone()["id"]
    brain = owner.execute(
        "insert into org_brain (org_id, title, content) values (%s, 'How we price', 'c') returning id",
        [organisation.id],
    ).fetchone()["id"]
    deals = (("Oak deal", 0.82, "a", False), ("Brass deal", 0.5, "b", False), ("Old deal", 0.3, "a", True))
    for name, score, hashed, gone in deals:
        document = owner.execute(
            """insert into source_documents (org_id, source_id, provider, document_type, external_id, title,
                 content_hash, payload_hash, url, deleted_at)
               values (%s, %s, 'hubspot', 'deals', %s, %s, %s, '', %s, case when %s then now() end) returning id""",
            [organisation.id, source, name, name, hashed.encode(),
             "javascript:alert(1)" if gone else "https://app.hubspot.example/1", gone],
        ).fetchone()["id"]  # fmt: skip
        owner.execute(
            """insert into source_attribution (org_id, proposal_id, section, agent_role, client_intelligence_id,
                 relevance_score, evidence_document_id, evidence_content_hash, evidence_title, evidence_provider,
                 evidence_as_of, evidence_quote)
               values (%s, %s, 'What you need', 'writer', %s, %s, %s, 'a', %s, 'hubspot', '2026-11-02T10:00Z', %s)""",
            [organisation.id, proposal, client, score, document, name, f"the quote of {name} <i>"],
        )
    owner.execute(
        """insert into source_attribution (org_id, proposal_id, section, agent_role, client_intelligence_id,
             relevance_score, evidence_document_id, evidence_content_hash, evidence_title, evidence_provider,
             evidence_as_of, evidence_quote)
           select org_id, proposal_id, section, agent_role, client_intelligence_id, 0.6, evidence_document_id,
                  evidence_content_hash, evidence_title, evidence_provider, evidence_as_of, 'another of it'
             from source_attribution where evidence_title = 'Oak deal'"""
    )
    owner.execute(
        """insert into source_attribution (org_id, proposal_id, section, agent_role, org_brain_id, relevance_score)
           values (%s, %s, 'Price', 'writer', %s, 0.6)""",
        [organisation.id, proposal, brain],
    )
    return proposal


def test_each_section_says_what_informed_it(member: Browser, written: UUID) -> None:
    told = member.get(f"/api/proposals/{written}").get_json()
    assert (told["id"], told["title"], told["status"]) == (str(written), "Marsh", "ready")
    need, price = told["sections"]
    assert need["heading"] == "What you need"
    oak, brass, old = need["informed_by"]
    assert oak == {
        "title": "Oak deal", "provider": "hubspot", "provider_title": "HubSpot", "client": "Marsh & Daughters",
        "relevance": 0.82, "relevance_words": "very relevant (82%)", "as_of": "2026-11-02T10:00:00+00:00",
        "quotes": ["the quote of Oak deal <i>", "another of it"], "changed_since": False, "gone": False,
        "forgotten": False, "url": "https://app.hubspot.example/1", "standing": "unchanged since",
    }  # fmt: skip
    assert (brass["changed_since"], brass["standing"]) == (True, "changed since")
    assert (old["gone"], old["standing"], old["url"]) == (True, "deleted at its source since", None)
    ours = price["informed_by"][0]
    assert (ours["title"], ours["provider"], ours["changed_since"]) == ("How we price", None, None)


def test_the_page_shows_the_same_and_nothing_runs(member: Browser, written: UUID) -> None:
    page = member.get(f"/proposals/{written}").text
    assert page.count("Informed by</h3>") == 2
    assert (page.count('class="source-title"'), page.count("<blockquote>")) == (4, 4)
    shown = ["Oak deal", "82%", "as of 2 Nov 2026", "changed since", "Marsh &amp; Daughters", "<li>brass</li>"]
    harmless = ["<strong>shop front</strong>", "the quote of Oak deal &lt;i&gt;", "&lt;script&gt;alert(1)"]
    for text in shown + harmless:
        assert text in page, text
    assert "javascript:" not in page
    assert 'http-equiv="refresh"' not in page


def test_a_proposal_that_failed_says_why(
    member: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    made = member.post("/api/proposals", json=ASKED).get_json()
    owner.execute("update proposals set status = 'failed'")
    owner.execute("update jobs set status = 'failed', error = 'The language model did not answer.'")
    assert "The language model did not answer." in member.get(f"/proposals/{made['id']}").text
    assert member.get(f"/api/proposals/{made['id']}").get_json()["error"] == "The language model did not answer."


def test_another_organisations_proposal_is_not_there(written: UUID, sign_in: Any, new_organisation: Any) -> None:
    stranger = sign_in(f"admin@{new_organisation('strangers').slug}.example")
    for path in (f"/proposals/{written}", f"/api/proposals/{written}", f"/proposals/{uuid4()}"):
        assert stranger.get(path).status_code == 404
    assert "Marsh" not in stranger.get("/proposals").text


def test_an_id_that_is_none(member: Browser) -> None:
    assert member.get("/proposals/7").status_code == 404
