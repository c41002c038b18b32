"""What fails on the way to a provider's server is tried again, told apart, or given up, and nothing is lost of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from boots_pipeline.providers.base import Provider
from boots_pipeline.providers.gmail import GMAIL
from boots_pipeline.providers.hubspot import HubSpot
from boots_pipeline.resources import mcp_gateway, mcp_line
from tests.conftest import Connected
from tests.http_server import Handler, serving

SEARCH = {"tool": "search_crm_objects"}
TOTAL = 120


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that wait for ten seconds give up after one."""
    monkeypatch.setattr(mcp_line, "_CALL_SECONDS", 1)


def assert_all_is_kept(connected: Connected) -> None:
    assert connected.kept() == connected.truth()
    job = connected.job()
    assert (job["status"], job["items_seen"], job["documents_added"]) == ("completed", TOTAL, TOTAL)
    assert connected.waiting() == 0


# Tokens on the way


@pytest.mark.parametrize("after", [0, 5])
def test_a_401_costs_one_refresh_and_goes_on(connected: Connected, small_pages: None, after: int) -> None:
    connected.outside.fault(kind="expire_tokens", after=after, **SEARCH)
    assert connected.sync().status == "completed"
    assert len(connected.calls("token")) == 2  # the grant's own and one refresh
    assert_all_is_kept(connected)


def test_a_single_401_without_a_reason_is_the_same(connected: Connected, small_pages: None) -> None:
    connected.outside.fault(kind="status", status=401, after=3, **SEARCH)
    assert connected.sync().status == "completed"
    assert len(connected.calls("token")) == 2
    assert_all_is_kept(connected)


def test_401_for_ever_needs_a_person_and_is_no_loop(connected: Connected) -> None:
    connected.outside.fault(kind="status", status=401, times=None, **SEARCH)
    outcome = connected.sync()
    assert (outcome.status, outcome.error_class) == ("failed", "needs_reauth")
    assert len(connected.calls("token")) <= 1 + 2
    assert len(connected.calls("search_crm_objects")) == 2
    assert connected.source()["status"] == "needs_reauth"
    assert connected.source()["status_message"] == outcome.message == "HubSpot refused the token. Connect again."
    assert connected.waiting() == 0


def test_a_token_endpoint_that_is_down_is_waited_for(connected: Connected) -> None:
    connected.outside.fault(kind="expire_tokens", **SEARCH)
    connected.outside.fault(kind="status", status=503, tool="token", times=2)
    assert connected.sync().status == "completed"
    assert_all_is_kept(connected)


def test_a_revoked_grant_stops_at_once(connected: Connected) -> None:
    connected.owner.execute("update connected_sources set refresh_token_vault_id = null, token_expires_at = now()")
    began = time.monotonic()
    outcome = connected.sync()
    assert (outcome.status, outcome.error_class) == ("failed", "needs_reauth")
    assert time.monotonic() - began < 3
    assert connected.calls("tools/list") == []


def test_no_token_goes_where_a_row_says(connected: Connected) -> None:
    with listening() as (url, met):
        connected.owner.execute("update connected_sources set mcp_server_url = %s", [f"{url}/hubspot/mcp"])
        connected.outside.control("DELETE", "calls")
        outcome = connected.sync()
    assert (outcome.status, outcome.error_class) == ("failed", "config")
    assert met == []
    assert connected.outside.control("GET", "calls") == []
    assert connected.source()["status"] == "error"


def test_a_redirect_is_not_followed(connected: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as (elsewhere, met), listening(redirect_to=elsewhere) as (url, _):
        monkeypatch.setattr(mcp_gateway, "_ATTEMPTS", 1)
        monkeypatch.setattr(HubSpot, "mcp_url", url)
        connected.owner.execute("update connected_sources set mcp_server_url = %s", [url])
        assert connected.sync().status == "queued"
    assert met == []


@contextmanager
def listening(redirect_to: str | None = None) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A stranger's server: the headers of every request that reached it."""
    met: list[dict[str, str]] = []

    class Stranger(Handler):
        def do_POST(self) -> None:
            met.append(dict(self.headers))
            self.send_response(307 if redirect_to else 200)
            if redirect_to:
                self.send_header("Location", redirect_to)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving(Stranger) as address:
        yield address, met


def test_another_accounts_data_is_not_written(connected: Connected) -> None:
    connected.owner.execute("update connected_sources set external_account_id = '999'")
    outcome = connected.sync()
    assert (outcome.status, outcome.error_class) == ("failed", "needs_reauth")
    assert "another HubSpot account" in str(outcome.message)
    assert connected.documents() == {}
    assert connected.calls("search_crm_objects") == []


@pytest.mark.parametrize(("times", "status"), [(1, "completed"), (None, "failed")])
def test_a_401_of_a_tool_costs_one_refresh_too(
    connected: Connected, small_pages: None, times: int | None, status: str
) -> None:
    connected.outside.fault(kind="tool_error", status=401, times=times, **SEARCH)
    connected.outside.control("DELETE", "calls")
    outcome = connected.sync()
    assert outcome.status == status
    assert len(connected.calls("token")) == 1
    if status == "failed":
        assert outcome.error_class == "needs_reauth"
        assert len(connected.calls("search_crm_objects")) == 2


# Failures that pass


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500, "times": 2},
        {"kind": "cut"},
        {"kind": "html"},
        {"kind": "status", "status": 429, "retry_after": 1},
        {"kind": "duplicate", "times": None},
        {"kind": "reorder", "times": None},
        {"kind": "cycle", "times": None},
    ],
    ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}",
)
def test_what_passes_is_gone_through_in_one_run(connected: Connected, small_pages: None, fault: dict[str, Any]) -> None:
    connected.outside.fault(after=2, **SEARCH, **fault)
    assert connected.sync().status == "completed", connected.job()
    assert_all_is_kept(connected)


def test_a_server_that_does_not_answer_is_given_up(connected: Connected, impatient: None) -> None:
    connected.outside.fault(kind="slow", seconds=1.5, tool="get_user_details")
    assert connected.sync().status == "completed"
    assert_all_is_kept(connected)


def test_what_lasts_goes_back_to_the_queue_with_what_was_kept(
    connected: Connected, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_gateway, "_ATTEMPTS", 2)
    connected.outside.fault(kind="status", status=500, after=5, times=None, **SEARCH)
    outcome = connected.sync()
    assert (outcome.status, outcome.error_class) == ("queued", "transient")
    assert outcome.message == "HubSpot failed with HTTP 500. Trying again in 60 s."
    assert connected.job()["items_seen"] == 40  # two pages of companies, two of contacts
    assert connected.job()["attempt"] == 0  # what was kept is progress
    assert connected.queue.read(10) == []
    connected.outside.control("DELETE", "faults")
    connected.outside.control("DELETE", "calls")
    connected.wake()
    job = connected.take()
    assert job.attempt == 1
    assert connected.run(job).status == "completed"
    assert len(connected.calls("search_crm_objects")) == 5 + 5
    assert_all_is_kept(connected)


def test_an_error_of_a_tool_is_no_empty_page(connected: Connected, small_pages: None) -> None:
    connected.outside.fault(kind="tool_error", after=2, **SEARCH)
    outcome = connected.sync()
    assert (outcome.status, outcome.error_class) == ("queued", "bad_page")
    assert connected.job()["items_seen"] == 20
    connected.wake()
    assert connected.sync().status == "completed"
    assert_all_is_kept(connected)


def test_a_long_retry_after_frees_the_worker_and_costs_no_attempt(connected: Connected, small_pages: None) -> None:
    connected.outside.fault(kind="status", status=429, retry_after=600, after=5, **SEARCH)
    outcome = connected.sync()
    assert (outcome.status, outcome.error_class) == ("queued", "rate_limited")
    job = connected.job()
    assert (job["status"], job["attempt"], job["lease_token"], job["items_seen"]) == ("queued", 0, None, 40)
    ahead = connected.owner.execute(
        "select extract(epoch from vt - now()) as vt, extract(epoch from retry_after - now()) as until "
        "from pgmq.q_ingestion_queue, ingestion_jobs"
    ).fetchone()
    assert 500 < ahead["vt"] <= 600
    assert 500 < ahead["until"] <= 600
    connected.wake()
    job = connected.take()
    assert job.attempt == 1
    assert connected.run(job).status == "completed"
    assert_all_is_kept(connected)


def test_five_failures_are_a_failed_sync(connected: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_gateway, "_ATTEMPTS", 1)
    connected.outside.fault(kind="status", status=503, times=None, **SEARCH)
    for _ in range(4):
        assert connected.sync().status == "queued"
        connected.wake()
    outcome = connected.sync()
    assert (outcome.status, outcome.error_class) == ("failed", "transient")
    assert connected.source()["status"] == "error"
    assert connected.waiting() == 0


def test_a_right_that_is_missing_is_said_in_words(connected: Connected) -> None:
    connected.outside.fault(kind="status", status=403, times=None, **SEARCH)
    outcome = connected.sync()
    assert (outcome.status, outcome.error_class) == ("failed", "permission")
    assert "more rights" in str(outcome.message)


# Items that cannot be kept


def test_a_malformed_item_is_named_and_comes_in_later(connected: Connected, small_pages: None) -> None:
    connected.outside.fault(kind="malformed_item", match={"objectType": "deals"}, **SEARCH)
    outcome = connected.sync()
    assert (outcome.status, outcome.error_class) == ("partial", "bad_item")
    assert outcome.message == "1 item could not be kept."
    (named,) = connected.owner.execute("select * from quarantined_items").fetchall()
    assert (named["stream"], named["reason"], named["attempts"]) == ("deals", "its properties are not an object", 1)
    missing = connected.truth()["deals"] - connected.kept()["deals"]
    assert missing == {named["external_id"]}
    job = connected.job()
    assert (job["items_seen"], job["items_expected"], job["items_quarantined"]) == (TOTAL, TOTAL, 1)
    assert connected.source()["status"] == "active"

    # It is asked for by id, and as long as it stays bad it stays named.
    connected.outside.fault(kind="malformed_item", tool="get_crm_objects")
    assert connected.sync("delta").status == "partial"
    (named,) = connected.owner.execute("select * from quarantined_items").fetchall()
    assert named["attempts"] == 2
    assert connected.sync("delta").status == "completed"
    assert connected.owner.execute("select * from quarantined_items").fetchall() == []
    assert connected.kept() == connected.truth()


def test_a_second_claim_remembers_what_the_first_could_not_keep(connected: Connected, small_pages: None) -> None:
    connected.outside.fault(kind="malformed_item", match={"objectType": "companies"}, **SEARCH)
    connected.outside.fault(kind="status", status=429, retry_after=600, match={"objectType": "deals"}, **SEARCH)
    assert connected.sync().status == "queued"
    connected.wake()
    outcome = connected.sync()
    assert outcome.status == "partial"
    assert outcome.message == "1 item could not be kept."
    assert (outcome.kept.seen, outcome.kept.quarantined) == (TOTAL, 1)


def test_an_item_that_went_bad_keeps_its_last_good_document(connected: Connected) -> None:
    connected.sync()
    connected.outside.fault(kind="malformed_item", match={"objectType": "deals"}, **SEARCH)
    assert connected.sync("full").status == "partial"
    assert connected.kept() == connected.truth()


def test_an_answer_that_no_parser_takes_is_mended_by_the_line_that_met_it(
    connected_to: Callable[[Provider], Connected], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Four tries of four lines would each be some line's first.
    monkeypatch.setattr(mcp_gateway, "_ATTEMPTS", 1)
    mailbox = connected_to(GMAIL)
    mailbox.outside.fault(provider="gmail", tool="get_thread", kind="raw", raw=r'"half": "\ud83e"')
    mailbox.outside.fault(provider="gmail", tool="get_thread", kind="raw", raw=r'"half": "\ud83e"')
    assert mailbox.sync().status == "completed", mailbox.job()
    assert mailbox.kept() == mailbox.truth()
