"""The sync engine against the sandbox: what it keeps is what the provider holds, and nothing is done twice."""

import re
from dataclasses import replace

import pytest

from boots_pipeline.ingestion.outcome import Outcome
from boots_pipeline.ingestion.sync import SyncEngine
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.mcp_gateway import McpGateway
from boots_pipeline.resources.openai_models import OpenAIEmbedder
from tests.conftest import Connected
from tests.openai_server import openai_server

TOTAL = 120  # of the small world: 20 companies, 60 contacts, 40 deals


def test_a_full_sync_keeps_what_there_is(connected: Connected) -> None:
    outcome = connected.sync()
    assert outcome.status == "completed", outcome
    assert connected.kept() == connected.truth()
    job = connected.job()
    assert (job["status"], job["documents_added"], job["documents_embedded"]) == ("completed", TOTAL, TOTAL)
    assert job["items_seen"] == job["items_expected"] == outcome.kept.seen == TOTAL
    assert connected.waiting() == 0
    assert connected.owner.execute("select count(*) as n from ingestion_seen").fetchone()["n"] == 0
    assert connected.source()["status"] == "active"
    assert connected.source()["last_synced_at"] is not None


def test_many_pages_are_as_good_as_one(connected: Connected, small_pages: None) -> None:
    assert connected.sync().status == "completed"
    assert connected.kept() == connected.truth()
    job = connected.job()
    assert job["items_seen"] == job["items_expected"] == job["documents_added"] == TOTAL
    assert len(connected.calls("search_crm_objects")) == 3 + 7 + 5  # a full last page is followed by an empty one


def test_documents_can_be_opened_at_the_provider(connected: Connected) -> None:
    connected.sync()
    for (_, external_id), document in connected.documents().items():
        assert re.fullmatch(rf"http\S+/{external_id}", document["url"])


@pytest.mark.parametrize("kind", ["delta", "reconcile", "full"])
def test_an_unchanged_source_costs_no_write_and_no_vector(connected: Connected, small_pages: None, kind: str) -> None:
    connected.sync()
    before = connected.documents()
    outcome = connected.sync(kind)
    assert outcome.status == "completed"
    assert connected.documents() == before
    assert (outcome.kept.added, outcome.kept.changed, outcome.kept.removed, outcome.kept.embedded) == (0, 0, 0, 0)
    assert 0 < outcome.kept.seen <= TOTAL
    assert (outcome.kept.seen == TOTAL) == (kind != "delta")


def test_a_delta_asks_for_what_changed_and_a_reconciliation_sees_what_went(
    connected: Connected, small_pages: None
) -> None:
    connected.sync()
    before = connected.documents()
    told = connected.outside.control("POST", "advance", days=3)
    changes = told["organizations"][connected.organisation.slug]["hubspot"]
    outcome = connected.sync("delta")
    assert outcome.status == "completed", outcome
    assert outcome.kept.seen < TOTAL

    merged = {(stream, str(pair["loser"])) for stream, change in changes.items() for pair in change["merged"]}
    archived = {(stream, str(one)) for stream, change in changes.items() for one in change["archived"]}
    assert merged
    assert archived
    after = connected.documents()
    assert not merged & set(after)  # the survivor names whom it swallowed
    assert archived & set(before) <= set(after)  # a delta cannot see what is no longer there
    assert outcome.kept.removed == len(merged & set(before))

    outcome = connected.sync("reconcile")
    assert outcome.status == "completed", outcome
    assert connected.kept() == connected.truth()
    job = connected.job()
    assert job["documents_removed"] == outcome.kept.removed == len(archived & set(before))
    gone = connected.owner.execute("select count(*) as n from source_documents where deleted_at is not null")
    assert gone.fetchone()["n"] == len((merged | archived) & set(before))  # tombstoned, not deleted


def test_only_what_is_different_is_written_and_only_new_text_is_embedded(connected: Connected) -> None:
    connected.sync()
    before = connected.documents()
    told = connected.outside.control("POST", "advance", days=1)
    changes = told["organizations"][connected.organisation.slug]["hubspot"]
    outcome = connected.sync("delta")
    after = connected.documents()
    bumped = {(stream, str(one)) for stream, change in changes.items() for one in change["bumped"]}
    changed = {(stream, str(one)) for stream, change in changes.items() for one in change["changed"]}
    relinked = {(stream, str(one)) for stream, change in changes.items() for one in change["relinked"]} - changed
    renamed = {(stream, str(one)) for stream, change in changes.items() for one in change["renamed"]}
    assert bumped
    assert changed
    for key in bumped - changed - relinked - renamed:
        assert after[key]["written"] == before[key]["written"], key
    for key in changed:
        assert after[key]["content_hash"] != before[key]["content_hash"]
        assert list(after[key]["embedding"]) != list(before[key]["embedding"])
        assert after[key]["embedding_model"] == connected.engine._embedder.model
    for key in relinked - renamed:  # only whom it is about: other keys, the same text
        assert after[key]["client_keys"] != before[key]["client_keys"]
        assert after[key]["embedding"] == before[key]["embedding"]
    assert outcome.kept.embedded < outcome.kept.added + outcome.kept.changed or not relinked


def test_passages_of_an_old_text_go_with_it(connected: Connected) -> None:
    connected.sync()
    connected.owner.execute(
        """insert into source_document_passages (org_id, document_id, position, content)
           select org_id, id, 1, 'of old' from source_documents"""
    )
    connected.owner.execute("update source_documents set deleted_at = now() where document_type = 'deals'")
    connected.owner.execute(
        "update source_documents set payload_hash = '', content_hash = '' where document_type = 'deals'"
    )
    connected.sync("full")
    left = connected.owner.execute(
        """select distinct document_type from source_document_passages p
             join source_documents d on d.id = p.document_id"""
    ).fetchall()
    assert {row["document_type"] for row in left} == {"companies", "contacts"}
    assert connected.kept() == connected.truth()


def test_without_an_embedder_documents_are_kept_all_the_same(
    connected: Connected, database: Database, gateway: McpGateway
) -> None:
    with openai_server(lambda path, body: (503, {})) as away:
        embedder = OpenAIEmbedder("key", away, "m", retries=0)
        engine = SyncEngine(database, connected.queue, gateway, embedder)
        outcome = replace(connected, engine=engine).sync()
        embedder.close()
    assert (outcome.status, outcome.kept.embedded) == ("completed", 0)
    assert connected.kept() == connected.truth()
    assert all(document["embedding"] is None for document in connected.documents().values())


def test_streams_that_the_grant_does_not_open_are_named() -> None:
    outcome = Outcome("running")
    outcome.conclude(HUBSPOT, {"deals": "REQUIRES_REAUTHORIZATION"})
    assert outcome.status == "partial"
    assert outcome.message == "Deals are not available with this grant (REQUIRES_REAUTHORIZATION)."
