"""Disconnecting with what was ingested: told beforehand, gone afterwards whatever dies meanwhile, and never others'."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from boots_pipeline.agents.attribution import attribute
from boots_pipeline.agents.jobs import claim_proposal
from boots_pipeline.agents.stages import Citation, Research, ReviewedClaim, ReviewedDraft, ReviewedSection
from boots_pipeline.agents.stages import Knowledge as Piece
from boots_pipeline.errors import DatabaseError
from boots_pipeline.ingestion.forgetting import Finished, Forgetting
from boots_pipeline.knowledge.embedding import embed_pending
from boots_pipeline.knowledge.rollup import roll_up
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from tests.conftest import Organisation
from tests.knowledge.library import Library
from tests.knowledge.records import company, contact, deal
from tests.oauth_app.conftest import Browser

disconnecting = import_module("oauth_app.disconnecting")  # the package's name for it is the blueprint's, too
MENDED = Path(__file__).parents[2] / "sql" / "20261125002000_forgetting_mended.sql"
QUOTES = ("a quote of Whitby", "another quote of the same passage")


@dataclass(frozen=True)
class Knowledge:
    """Two clients: one that HubSpot alone knows, one that Gmail knows, too; and a proposal that quotes both."""

    library: Library
    owner: psycopg.Connection
    database: Database
    embedder: WordllamaEmbedder
    quoted: UUID
    proposal: UUID

    def roll_up(self) -> None:
        embed_pending(self.database, self.embedder, self.library.org_id)
        roll_up(self.database, self.embedder, self.library.org_id)

    def rows(self, query: str) -> list[dict[str, Any]]:
        return self.owner.execute(query).fetchall()

    def anywhere(self, text: str) -> list[str]:
        """The tables of the public schema in which a text is still found."""
        tables = self.rows(
            """select table_name as name from information_schema.tables
                where table_schema = 'public' and table_type = 'BASE TABLE'"""
        )
        return [
            table["name"]
            for table in tables
            if self.owner.execute(f"select 1 from {table['name']} t where t::text ilike %s", [f"%{text}%"]).fetchone()
        ]


def propose(database: Database, owner: psycopg.Connection, org_id: UUID, quoted: UUID) -> UUID:
    """A proposal that quotes a document twice, written down as the pipeline does."""
    proposal = owner.execute(
        "insert into proposals (org_id, title, brief, status) values (%s, 'Stair', 'b', 'writing') returning id",
        [org_id],
    ).fetchone()["id"]
    owner.execute(
        """insert into jobs (org_id, job_type, status, payload)
           values (%s, 'proposal', 'queued', jsonb_build_object('proposal_id', %s::text))""",
        [org_id, proposal],
    )
    job = claim_proposal(database, "worker")
    assert job is not None
    piece = Piece(id="K1", kind="document", title="Bay View Hotel", text="", relevance=1, document_id=quoted,
                  provider="hubspot")  # fmt: skip
    found = Research(proposal_id=proposal, today=date(2026, 11, 25), title="Stair", brief="b", organisation="o",
                     client=None, knowledge=(piece,), notes=())  # fmt: skip
    cited = tuple(Citation(knowledge_id="K1", quote=quote) for quote in QUOTES)
    claim = ReviewedClaim(text="A stair.", citations=cited, note=None)
    draft = ReviewedDraft(sections=(ReviewedSection(heading="Scope", claims=(claim,)),), written_by="m", checked=1,
                          verdicts=())  # fmt: skip
    attribute(database, org_id, proposal, draft, found, job_id=job.job_id, worker=job.worker)
    return proposal


@pytest.fixture
def knowledge(
    owner: psycopg.Connection, organisation: Organisation, urls: DatabaseUrls, embedder: WordllamaEmbedder
) -> Any:
    database = Database(urls.worker, application="test-worker")
    library = Library(owner, organisation.id)
    library.keep("hubspot", "companies", "1", company(1, "Cliff School", "domain:cliff.example"))
    shared = company(2, "Bay View Hotel", "domain:bay.example", facts={"industry": "HOSPITALITY", "city": "Whitby"})
    quoted = library.keep("hubspot", "companies", "2", shared)
    library.keep("hubspot", "contacts", "7", contact("Ann Marsh", "ann@bay.example", "Owner", 2))
    library.keep("hubspot", "deals", "9", deal("Oak stair", 2, "GBP 12500.00", "contractsent"))
    mail = company(5, "Bay View Hotel", "domain:bay.example", provider="gmail", facts={"asked for": "quiet rooms"})
    library.keep("gmail", "messages", "m1", mail)
    owner.execute(
        """update source_documents set raw_payload = '{"secret": "payload"}', url = 'https://x.example/'
            where provider = 'hubspot'"""
    )
    proposal = propose(database, owner, organisation.id, quoted)
    owner.execute(
        "insert into quarantined_items values (%s, %s, 'deals', '11', 'why')",
        [organisation.id, library.connection("hubspot")],
    )
    made = Knowledge(library, owner, database, embedder, quoted, proposal)
    made.roll_up()
    yield made
    database.close()


def stale(knowledge: Knowledge) -> list[str]:
    return [*Forgetting(knowledge.database).to_roll_up()]


def test_what_will_go_is_told_beforehand(admin: Browser, knowledge: Knowledge) -> None:
    page = " ".join(admin.get("/settings/integrations/hubspot/disconnect").text.split())
    assert "2 companies, 1 contact, 1 deal" in page
    assert "The profile of <strong>1 client</strong> known from nowhere else" in page
    assert "What only HubSpot says of <strong>1 more client</strong>" in page
    assert "Quotes behind <strong>1 proposal</strong>: its text stays, its sources will say “gone”" in page
    assert "The list of 1 item that had been left out" in page
    assert admin.get("/settings/integrations/gmail/disconnect").status_code == 200
    assert admin.get("/settings/integrations/google_drive/disconnect").status_code == 404


def test_what_was_ingested_is_kept_unless_told_otherwise(admin: Browser, knowledge: Knowledge) -> None:
    answer = admin.post("/api/integrations/hubspot/disconnect")
    assert answer.get_json()["data"] == "kept"
    assert len(knowledge.rows("select 1 from source_documents where deleted_at is null")) == 5
    assert stale(knowledge) == []
    page = admin.post_form("/api/integrations/hubspot/disconnect").headers["Location"]
    assert "What was synced is kept." in admin.get(page).text


def test_deleted_is_gone_everywhere_and_facts_are_retracted(
    admin: Browser, knowledge: Knowledge, organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disconnecting, "_AT_ONCE", 2)
    answer = admin.post_form("/api/integrations/hubspot/disconnect", data="delete")
    assert "what was synced is deleted" in admin.get(answer.headers["Location"]).text

    (row,) = knowledge.rows("select * from source_documents where provider = 'hubspot'")
    assert row["id"] == knowledge.quoted  # a proposal names it: a husk stays
    assert (row["title"], row["content"], row["raw_payload"], row["embedding"], row["url"]) == (
        "",
        "",
        None,
        None,
        None,
    )
    assert row["deleted_at"] is not None
    attributed = knowledge.rows("select evidence_title, evidence_quote, evidence_document_id from source_attribution")
    assert [tuple(each.values()) for each in attributed] == [(None, None, knowledge.quoted)] * 2
    assert knowledge.rows("select 1 from quarantined_items") == []

    # The facts go with the next roll-up, which is asked for; then nobody asks any more.
    assert stale(knowledge) == [organisation.slug]
    knowledge.roll_up()
    assert stale(knowledge) == []
    living = knowledge.rows("select client_name, profile from client_intelligence where retired_at is null")
    assert [row["client_name"] for row in living] == ["Bay View Hotel"]
    assert [fact["name"] for fact in living[0]["profile"]["facts"]] == ["asked for"]
    for said in ("Whitby", "Ann Marsh", "ann@bay.example", "12500", "cliff.example", *QUOTES, "secret"):
        assert knowledge.anywhere(said) == [], said
    assert knowledge.anywhere("quiet rooms")  # Gmail's is nobody's business here


def test_a_client_that_another_provider_leads_loses_what_this_one_said(
    admin: Browser, knowledge: Knowledge, organisation: Organisation
) -> None:
    knowledge.library.keep("google_drive", "files", "f1", deal("Loft plan", 2, "GBP 70.00", "drawn"))
    knowledge.roll_up()
    assert "client_intelligence" in knowledge.anywhere("Loft plan")
    admin.post("/api/integrations/google_drive/disconnect", json={"data": "delete"})
    assert stale(knowledge) == [organisation.slug]
    knowledge.roll_up()
    assert knowledge.anywhere("Loft plan") == []
    assert len(knowledge.rows("select 1 from client_intelligence where retired_at is null")) == 2


def test_a_proposal_says_that_its_source_is_gone(admin: Browser, knowledge: Knowledge) -> None:
    admin.post("/api/integrations/hubspot/disconnect", json={"data": "delete"})
    page = admin.get(f"/proposals/{knowledge.proposal}").text
    assert page.count("gone: deleted by your organisation") == 1
    told = admin.get(f"/api/proposals/{knowledge.proposal}").get_json()["sections"][0]["informed_by"]
    assert [(each["title"], each["quotes"], each["gone"]) for each in told] == [("A source of HubSpot", [], True)]


def test_what_the_pages_could_not_finish_the_pipeline_does(
    admin: Browser, knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disconnecting, "_SECONDS", -1)
    answer = admin.post("/api/integrations/hubspot/disconnect", json={"data": "delete"}).get_json()
    assert answer["data"] == "being deleted"
    card = admin.get("/api/integrations").get_json()["integrations"][0]
    assert (card["state"], card["can"]) == ("deleting", [])
    # Not while the pages may be at it themselves, and nothing is connected meanwhile.
    assert Forgetting(knowledge.database).finish() == Finished()
    assert admin.post("/api/integrations/hubspot/connect").status_code == 409
    with pytest.raises(psycopg.errors.CheckViolation):
        knowledge.owner.execute("update connected_sources set status = 'active' where provider = 'hubspot'")
    knowledge.owner.execute("update connected_sources set forgetting_since = now() - interval '2 minutes' "
                            "where forgetting_since is not null")  # fmt: skip
    Forgetting(knowledge.database).finish()
    assert len(knowledge.rows("select 1 from source_documents where provider = 'hubspot'")) == 1
    card = admin.get("/api/integrations").get_json()["integrations"][0]
    assert (card["state"], card["can"], card["documents"]) == ("disconnected", ["connect"], {})
    assert card["advice"] == "What had been synced was deleted just now."


def test_deleting_twice_and_after_it_was_kept(admin: Browser, knowledge: Knowledge) -> None:
    admin.post("/api/integrations/hubspot/disconnect")
    assert admin.get("/api/integrations").get_json()["integrations"][0]["can"] == ["connect", "forget"]
    for _ in range(2):
        answer = admin.post("/api/integrations/hubspot/disconnect", json={"data": "delete"}).get_json()
        assert answer["data"] == "deleted"
    assert len(knowledge.rows("select 1 from source_documents where deleted_at is null")) == 1


def test_nobody_else_deletes(
    admin: Browser, member: Browser, knowledge: Knowledge, organisation: Organisation, web_database: Database,
    new_organisation: Callable[..., Organisation],
) -> None:  # fmt: skip
    assert member.post("/api/integrations/hubspot/disconnect", json={"data": "delete"}).status_code == 403
    assert member.get("/settings/integrations/hubspot/disconnect").status_code == 403
    assert admin.post("/api/integrations/hubspot/disconnect", json={"data": "both"}).status_code == 400
    others = new_organisation("others")
    knowledge.owner.execute("update connected_sources set status = 'revoked', forgetting_since = now()")
    for user in (organisation.member, others.admin):
        for function in ("ask_to_forget(%s, %s)", "forget_ingested(%s, %s, 10)"):
            with (
                pytest.raises(DatabaseError, match="42501"),
                web_database.user(user, as_authenticated=False) as transaction,
            ):
                transaction.execute(f"select private.{function}", [organisation.id, "hubspot"])
    assert len(knowledge.rows("select 1 from source_documents")) == 5


def test_the_deleting_role_reaches_marked_connections_only(knowledge: Knowledge, urls: DatabaseUrls) -> None:
    knowledge.owner.execute("update client_intelligence set source_document_id = null")
    with psycopg.connect(urls.owner, autocommit=True) as connection:
        connection.execute("set role boots_forget")
        assert connection.execute("delete from source_documents").rowcount == 0
        assert connection.execute("update source_documents set title = ''").rowcount == 0
        connection.execute("reset role")
        connection.execute(
            "update connected_sources set status = 'revoked', forgetting_since = now() where provider = 'gmail'"
        )
        connection.execute("set role boots_forget")
        assert connection.execute("update source_documents set title = ''").rowcount == 1
        gone = connection.execute("delete from source_documents where true returning source_id").fetchall()
    assert gone == [(knowledge.library.connection("gmail"),)]


def test_a_sync_that_writes_when_it_ends_writes_nothing_afterwards(
    admin: Browser, knowledge: Knowledge, organisation: Organisation
) -> None:
    """The batch's fence is the job's lease, which the disconnection took."""
    source = knowledge.library.connection("hubspot")
    knowledge.owner.execute(
        """insert into ingestion_jobs (org_id, source_id, kind, status, lease_token, lease_until)
           values (%s, %s, 'full', 'running', gen_random_uuid(), now() + interval '1 minute')""",
        [organisation.id, source],
    )
    admin.post("/api/integrations/hubspot/disconnect", json={"data": "delete"})
    (job,) = knowledge.rows("select status, lease_token, checkpoint from ingestion_jobs")
    assert (job["status"], job["lease_token"], job["checkpoint"]) == ("cancelled", None, {})


def test_what_stood_before_it_could_be_forgotten_is_blanked_by_the_migration(knowledge: Knowledge) -> None:
    """Quotes in sections, and profiles of clients that had been retired with everything that was said of them."""
    knowledge.owner.execute(
        """update proposals set sections = jsonb_build_array('a note', '{"heading": "First", "body": "A door.",
             "claims": [{"text": "A door.", "citations": [{"quote": "stolen words"}]}]}'::jsonb) || sections"""
    )
    knowledge.owner.execute("update client_intelligence set retired_at = now() where client_name = 'Bay View Hotel'")
    assert "client_intelligence" in knowledge.anywhere("12500")
    updates = re.findall(r"^update .+?;$", MENDED.read_text(), re.MULTILINE | re.DOTALL)
    assert len(updates) == 2
    for update in updates:
        knowledge.owner.execute(update)
    assert knowledge.anywhere("stolen words") == []
    assert knowledge.rows("select sections from proposals") == [
        {"sections": ["a note", *({"heading": h, "body": b} for h, b in (("First", "A door."), ("Scope", "A stair.")))]}
    ]
    assert "client_intelligence" not in knowledge.anywhere("12500")
    clients = knowledge.rows("select client_name, summary, retired_at is null as living from client_intelligence")
    assert {row["client_name"]: (bool(row["summary"]), row["living"]) for row in clients} == {
        "Bay View Hotel": (False, False),
        "Cliff School": (True, True),
    }
