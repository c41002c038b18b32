"""What a listing's end allows: no tombstone on a doubt, no watermark past what was not handed out."""

import pytest

from tests.conftest import Connected

LISTED = {"tool": "search_crm_objects", "match": {"objectType": "contacts"}}


def contacts_stream(connected: Connected) -> dict[str, object]:
    return connected.owner.execute("select * from sync_streams where stream = 'contacts'").fetchone()


def test_an_empty_listing_deletes_nothing_until_another_one_says_the_same(connected: Connected) -> None:
    connected.sync()
    watermark = contacts_stream(connected)["watermark"]
    connected.outside.fault(kind="empty", **LISTED)
    outcome = connected.sync("reconcile")
    assert outcome.status == "partial"
    assert outcome.message == "60 contacts vanished at once: kept until the next full listing confirms it."
    assert connected.kept() == connected.truth()
    assert contacts_stream(connected)["vanished"] == 60
    assert contacts_stream(connected)["watermark"] == watermark

    # A delta is no confirmation, whatever it finds.
    assert connected.sync("delta").status == "completed"
    assert contacts_stream(connected)["vanished"] == 60

    connected.outside.fault(kind="empty", **LISTED)
    outcome = connected.sync("reconcile")
    assert (outcome.status, outcome.kept.removed) == ("completed", 60)
    assert connected.kept()["contacts"] == set()

    # And what comes back is kept again, vectors and all.
    assert connected.sync("full").status == "completed"
    assert connected.kept() == connected.truth()
    assert all(document["embedding"] is not None for document in connected.documents().values())


def test_a_listing_that_is_well_again_takes_the_suspicion_back(connected: Connected) -> None:
    connected.sync()
    connected.outside.fault(kind="empty", **LISTED)
    connected.sync("reconcile")
    assert connected.sync("reconcile").status == "completed"
    assert contacts_stream(connected)["vanished"] == 0
    connected.outside.fault(kind="empty", **LISTED)
    assert connected.sync("reconcile").status == "partial"
    assert connected.kept() == connected.truth()


def test_a_listing_that_ends_early_is_partial_and_deletes_nothing(connected: Connected, small_pages: None) -> None:
    connected.sync()
    connected.outside.fault(kind="empty", after=2, **LISTED)
    outcome = connected.sync("full")
    assert outcome.status == "partial"
    assert outcome.message == "HubSpot counted 40 more contacts than it handed out."
    assert connected.kept() == connected.truth()
    stream = contacts_stream(connected)
    assert (stream["shortfall"], stream["shortfall_runs"]) == (40, 1)
    job = connected.job()
    assert (job["items_seen"], job["items_expected"]) == (80, 120)


def test_a_shortfall_holds_the_watermark_for_three_runs_and_then_asks_for_everything(
    connected: Connected, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected.sync()
    held = contacts_stream(connected)["watermark"]
    connected.outside.control("POST", "advance", days=12)
    for run in (1, 2, 3):
        connected.outside.control("DELETE", "faults")
        connected.outside.fault(kind="empty", after=1, times=None, **LISTED)
        outcome = connected.sync("delta")
        assert outcome.status == "partial", outcome
        assert contacts_stream(connected)["watermark"] == held
        assert contacts_stream(connected)["shortfall_runs"] == run
    connected.outside.control("DELETE", "faults")
    connected.outside.fault(kind="empty", after=1, times=None, **LISTED)
    assert connected.sync("delta").status == "partial"
    assert contacts_stream(connected)["watermark"] > held
    assert contacts_stream(connected)["shortfall"] > 0
    following = connected.job()
    assert (following["status"], following["kind"]) == ("queued", "reconcile")
    connected.outside.control("DELETE", "faults")
    assert connected.sync().status == "completed"
    assert connected.kept() == connected.truth()
    assert contacts_stream(connected)["shortfall"] == 0


def test_another_account_replaces_what_the_one_before_left(connected: Connected) -> None:
    connected.sync()
    other = connected.owner.execute(
        """insert into source_documents (org_id, source_id, provider, document_type, external_id, content_hash,
                                         payload_hash)
           select org_id, source_id, provider, document_type, '9' || external_id, '', '' from source_documents
           returning 1"""
    ).fetchall()
    assert len(other) == 120
    # As complete_connection does when the account is another one.
    connected.owner.execute("delete from sync_streams")
    outcome = connected.sync("full")
    assert (outcome.status, outcome.kept.removed) == ("completed", 120)
    assert connected.kept() == connected.truth()


def test_only_what_is_missing_twice_is_deleted(connected: Connected) -> None:
    connected.sync()
    for external_ids in ("'9' || external_id", "'8' || external_id"):
        connected.owner.execute(
            f"""insert into source_documents (org_id, source_id, provider, document_type, external_id, content_hash,
                                              payload_hash)
                select org_id, source_id, provider, document_type, {external_ids}, '', '' from source_documents
                 where document_type = 'contacts' and external_id !~ '^[89]'"""
        )
        outcome = connected.sync("reconcile")
        # The second listing misses the first sixty again, and another sixty for the first time.
        assert outcome.verdicts["contacts"].vanished == 60
    assert outcome.verdicts["contacts"].removed == 60
    left = connected.kept()["contacts"] - connected.truth()["contacts"]
    assert {external_id[0] for external_id in left} == {"8"}
    assert connected.sync("reconcile").status == "completed"
    assert connected.kept() == connected.truth()


def test_what_comes_back_is_under_no_suspicion(connected: Connected) -> None:
    connected.sync()
    connected.outside.fault(kind="empty", times=1, tool="search_crm_objects", match={"objectType": "contacts"})
    connected.sync("reconcile")
    connected.outside.control("DELETE", "faults")
    connected.sync("reconcile")
    marked = connected.owner.execute("select count(*) as n from source_documents where vanished_at is not null")
    assert marked.fetchone()["n"] == 0
    assert connected.kept() == connected.truth()
