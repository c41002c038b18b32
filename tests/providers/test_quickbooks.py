"""QuickBooks: a listing that nothing slips through, and the books as the engine keeps them, over the real bridge."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from secrets import token_urlsafe
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boots_pipeline.errors import BadPage, ConfigError
from boots_pipeline.knowledge.rollup import roll_up
from boots_pipeline.providers import quickbooks
from boots_pipeline.providers.base import Provider
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.providers.quickbooks import QUICKBOOKS, IntuitServer, QueryServer
from boots_pipeline.providers.quickbooks_records import moment
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from boots_pipeline.resources.live import LiveDocuments
from boots_pipeline.resources.mcp_gateway import McpGateway
from boots_pipeline.settings import Settings, provider_settings
from oauth_app.authorisation import authorisation_url, exchange, redirect_uri, revoke
from tests.conftest import Connected
from tests.outside import Outside

QUERY = {"provider": "quickbooks", "tool": "query"}


@pytest.fixture
def books(connected_to: Callable[[Provider], Connected], monkeypatch: pytest.MonkeyPatch) -> Connected:
    """QuickBooks that was connected just now, in small pages."""
    monkeypatch.setattr(quickbooks, "_PAGE", 7)
    return connected_to(QUICKBOOKS)


def told(books: Connected, days: int = 1) -> dict[str, Any]:
    """The next days, and what they changed in these books."""
    report = books.outside.control("POST", "advance", days=days)
    return report["organizations"][books.organisation.slug]["quickbooks"]


# What a server is, and what its errors amount to


def test_a_server_is_known_by_its_tools() -> None:
    assert QUICKBOOKS.profile_of(QueryServer.tools | {"qbo_create"}).name == QueryServer.name
    assert QUICKBOOKS.profile_of(IntuitServer.tools | {"create_invoice"}).name == IntuitServer.name
    with pytest.raises(ConfigError, match=r"for our QuickBooks server the tools qbo_cdc are missing"):
        QUICKBOOKS.profile_of({"qbo_query", "qbo_get"})


@pytest.mark.parametrize(
    ("text", "status", "wait"),
    [
        ("QuickBooks API error (HTTP 429, THROTTLE): message=ThrottleExceeded", 429, 60),
        ('Error searching customers: Unknown error: {"fault":{"error":[{"message":"message=ThrottleExceeded; '
         'errorCode=003001; statusCode=429"}],"type":"THROTTLE"}}', 429, 60),
        ('{"Fault":{"Error":[{"Message":"no","code":"3100"}],"type":"AUTHORIZATION"}}', 403, None),
        (r'{\"fault\":{\"error\":[],\"type\":\"AUTHENTICATION\"}}', 401, None),
        ("Error getting customer: Object Not Found", 0, None),
    ],
)  # fmt: skip
def test_its_errors_state_their_status(text: str, status: int, wait: float | None) -> None:
    assert (QUICKBOOKS.trouble(0, text).status, QUICKBOOKS.trouble(0, text).wait) == (status, wait)


def test_the_company_comes_with_the_callback_only() -> None:
    assert QUICKBOOKS.account_of({}, {"realmId": "4620816365009870280"}).id == "4620816365009870280"
    for realm in ("", "../1", "46 20", "٤٢", "1" * 21):
        assert QUICKBOOKS.account_of({"realmId": "1"}, {"realmId": realm}) is None


def test_a_grant_is_given_back_as_json(outside: Outside) -> None:
    state, verifier, redirect = token_urlsafe(48), token_urlsafe(48), redirect_uri(QUICKBOOKS, Settings())
    back = httpx.URL(outside.consent(authorisation_url(QUICKBOOKS, state, verifier, redirect), "harbour-joinery"))
    grant = exchange(QUICKBOOKS, back.params["code"], verifier, redirect, back.params)
    assert revoke(QUICKBOOKS, grant.refresh_token, Settings())
    assert [call["status"] for call in outside.control("GET", "calls") if call.get("endpoint") == "revoke"] == [200]


# A listing by date of change


def record(number: int, second: int) -> dict[str, Any]:
    when = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=second)
    return {"Id": str(number), "MetaData": {"LastUpdatedTime": when.isoformat()}}


@given(st.integers(0, 30), st.lists(st.integers(1, 3), max_size=10), st.integers(0, 2**32), st.booleans())
def test_nothing_slips_through_a_listing_while_things_change(
    crowd: int, later: list[int], seed: int, moves: bool
) -> None:
    rng, there = Random(seed), [record(number, second) for number, second in enumerate([0] * crowd + later)]
    met: dict[str, str] = {}
    clock = 10

    async def ask(bounds: quickbooks.Bounds, order: str, place: int) -> list[Any]:
        nonlocal clock
        compared = {">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b}
        found = [each for each in there if all(compared[op](updated(each), moment(at)) for op, at in bounds)]
        found.sort(key=(lambda each: each["Id"]) if order == "Id" else updated)
        page = [dict(each) for each in found[place - 1 : place - 1 + quickbooks._PAGE]]
        if moves and there and clock < 30:  # afterwards it holds still, as a company does at night
            clock += 1
            rng.shuffle(there)
            there[:3] = [record(int(each["Id"]), clock) for each in there[:3]]
        return page

    async def list_from(start: str) -> None:
        async for page in quickbooks._listing(ask, "invoices", {"from": start}):
            met.update({item.external_id: str(item.updated_at) for item in page.items})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(quickbooks, "_PAGE", 4)
        patched.setattr(quickbooks, "_MOST_READINGS", 50)
        asyncio.run(list_from(quickbooks._EVER))
        assert met.keys() == {each["Id"] for each in there}
        clock = 30
        asyncio.run(list_from(max(met.values(), default=quickbooks._EVER)))  # the delta after it
    assert met == {each["Id"]: str(updated(each)) for each in there}


def updated(each: dict[str, Any]) -> datetime:
    when = moment(each["MetaData"]["LastUpdatedTime"])
    assert when is not None
    return when


def test_a_listing_that_does_not_move_ends() -> None:
    async def ask(bounds: quickbooks.Bounds, order: str, place: int) -> list[Any]:
        return [record(Random(place).randrange(10**6) + number, 0) for number in range(quickbooks._PAGE)][::-1]

    async def listed() -> None:
        async for _ in quickbooks._listing(ask, "invoices", {"from": "2026-11-02T00:00:00Z"}):
            pass

    with pytest.raises(BadPage, match="does not move forward"):
        asyncio.run(listed())


def test_a_listing_that_goes_round_in_one_moment_ends() -> None:
    crowd, asked = [record(number, 0) for number in range(1500)], 0

    async def ask(bounds: quickbooks.Bounds, order: str, place: int) -> list[Any]:
        """A server to which ">" is ">=": beyond the moment it begins with it again."""
        nonlocal asked
        asked += 1
        return crowd[place - 1 : place - 1 + quickbooks._PAGE]

    async def listed() -> None:
        async for _ in quickbooks._listing(ask, "invoices", {"from": quickbooks._EVER}):
            assert asked < 20, "it is still listing"

    with pytest.raises(BadPage, match="does not move forward"):
        asyncio.run(listed())


# The books, through the engine


def test_everything_is_kept_and_belongs_to_somebody(books: Connected) -> None:
    assert books.source()["external_account_name"] is None, "the consent tells a number only"
    assert books.sync().status == "completed", books.job()
    assert books.source()["external_account_name"] == "Harbour Joinery", "and the books whose they are"
    assert books.kept() == books.truth()
    assert books.job()["items_expected"] == sum(map(len, books.truth().values()))
    documents = books.documents()
    assert all(row["client_keys"][0].startswith("quickbooks.customer:") for row in documents.values())
    titles = {row["title"] for row in documents.values()}
    assert {"Old Mill", "Gorsegate's \\ Boathouse", "Walk-in customer 25"} <= titles
    assert any(title.endswith(" / Ground floor / Counter") for title in titles)
    calls = books.outside.control("GET", "calls")
    assert {call["tool"] for call in calls if "tool" in call} == {"query", "companyinfo"}
    assert all(call["arguments"]["minorversion"] == "75" for call in calls if "tool" in call)


def test_customers_are_the_clients_that_hubspot_knows(
    books: Connected, connected_to: Callable[[Provider], Connected], database: Database, embedder: WordllamaEmbedder
) -> None:
    books.sync()
    connected_to(HUBSPOT).sync()
    roll_up(database, embedder, books.organisation.id)
    rows = books.owner.execute("select client_id, provider_ids from client_intelligence").fetchall()
    both = [row for row in rows if {"hubspot", "quickbooks"} <= row["provider_ids"].keys()]
    assert len(both) > 5
    client_of = {number: row["client_id"] for row in rows for number in row["provider_ids"].get("quickbooks", ())}
    assert client_of.keys() == books.kept()["customers"]
    about = {row["document_id"]: row["client_id"] for row in books.owner.execute("select * from client_documents")}
    for (stream, external_id), row in books.documents().items():
        named = external_id if stream == "customers" else row["raw_payload"]["CustomerRef"]["value"]
        assert about[row["id"]] == client_of[named]


def test_a_delta_brings_changes_and_deletions(books: Connected) -> None:
    books.sync()
    before = books.documents()
    assert books.sync("delta").status == "completed"
    assert books.documents() == before
    for _ in range(3):
        report = told(books)
        before = books.documents()
        outcome = books.sync("delta")
        assert outcome.status == "completed", books.job()
        assert books.kept() == books.truth()
        gone = sum(len(changes["deleted"]) for changes in report.values())
        assert outcome.kept.removed == gone > 0
        after = books.documents()
        for stream, changes in report.items():
            for bumped in changes["bumped"]:
                assert before[stream, bumped]["written"] == after[stream, bumped]["written"]
            for changed in changes["changed"]:
                assert before[stream, changed]["written"] != after[stream, changed]["written"]
    # No month has passed: else it would be this machine's clock that said from when on is asked.
    assert {call["status"] for call in books.calls("cdc")} == {200}


def test_a_full_answer_of_changes_is_gone_on_from_its_end(books: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    books.sync()
    monkeypatch.setattr(quickbooks, "_MOST_CHANGES", 3)
    told(books, days=4)
    books.outside.fault(provider="quickbooks", tool="cdc", match={"entities": "Invoice"}, kind="truncated", times=2)
    assert books.sync("delta").status == "completed"
    assert books.kept() == books.truth()


def test_what_was_deleted_is_asked_for_where_the_last_run_stopped(books: Connected) -> None:
    books.sync()
    told(books)
    invoices = {"provider": "quickbooks", "tool": "cdc", "match": {"entities": "Invoice"}}
    books.outside.fault(kind="status", status=429, retry_after=100, **invoices)
    assert books.sync("delta").status == "queued"
    books.outside.control("DELETE", "calls")
    books.wake()
    assert books.sync().status == "completed"
    assert books.kept() == books.truth()
    assert not [call for call in books.calls("query") if "Invoice" in call["arguments"]["query"]]


def test_after_a_month_the_weekly_listing_finds_what_is_told_no_longer(
    books: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.sync()
    told(books, days=40)
    today = datetime.fromisoformat(books.outside.control("GET", "world")["today"]).replace(tzinfo=UTC)
    monkeypatch.setattr(quickbooks, "_LOOK_BACK", datetime.now(UTC) - today + timedelta(days=28))
    assert books.sync("delta").status == "completed", books.job()
    assert {call["status"] for call in books.calls("cdc")} == {400, 200}
    assert books.kept() != books.truth()
    while books.sync("reconcile").status == "partial":  # so much vanished at once that it has to be seen twice
        assert "vanished at once" in books.job()["error_message"]
    assert books.kept() == books.truth()


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "expire_tokens"},
        {"kind": "tool_error", "status": 401},
        {"kind": "html"},
        {"kind": "duplicate", "times": None},
        {"kind": "reorder"},
    ],
    ids=lambda fault: "-".join(str(part) for part in fault.values()),
)
def test_what_passes_is_gone_through(books: Connected, fault: dict[str, Any]) -> None:
    books.outside.fault(after=2, **QUERY, **fault)
    assert books.sync().status == "completed", books.job()
    assert books.kept() == books.truth()
    refreshed = fault["kind"] == "expire_tokens" or fault.get("status") == 401
    assert len(books.calls("token")) == 1 + refreshed


def test_throttling_that_names_no_pause_waits_a_minute(books: Connected) -> None:
    books.outside.fault(kind="tool_error", status=429, **QUERY)
    outcome = books.sync()
    assert (outcome.status, outcome.error_class) == ("queued", "rate_limited")
    assert "60 s" in books.job()["error_message"]


def test_a_truncated_page_is_noticed(books: Connected) -> None:
    books.outside.fault(kind="truncated", after=3, **QUERY)
    assert books.sync().status == "partial"
    assert "counted" in books.job()["error_message"]
    assert books.sync("reconcile").status == "completed"
    assert books.kept() == books.truth()


def test_a_malformed_record_is_counted_and_found_later(books: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    books.outside.fault(kind="malformed_item", after=3, **QUERY)
    assert books.sync().status == "partial"
    assert books.sync("reconcile").status == "completed"
    assert books.kept() == books.truth()
    # It may be any of those that the listing did not meet, so none of them is taken for deleted.
    monkeypatch.setattr(quickbooks, "_PAGE", 1000)
    books.outside.fault(kind="malformed_item", times=None, **QUERY)
    assert books.sync("reconcile").status == "partial"
    assert books.kept() == books.truth()


def test_another_company_than_the_one_connected_is_not_read(books: Connected) -> None:
    books.owner.execute("update connected_sources set external_account_id = '4620816360000000001'")
    outcome = books.sync()
    assert (outcome.status, outcome.error_class) == ("failed", "permission")
    assert books.documents() == {}


# Intuit's open-source server


@pytest.fixture
def intuit(books: Connected, monkeypatch: pytest.MonkeyPatch) -> Connected:
    """QuickBooks at the open-source server's address, which is signed in to the company that is connected."""
    url = f"{books.outside.url}/quickbooks/intuit/mcp"
    monkeypatch.setattr(quickbooks.QuickBooks, "mcp_url", url)
    monkeypatch.setenv("QUICKBOOKS_REALM_ID", books.source()["external_account_id"])
    provider_settings.cache_clear()
    books.owner.execute("update connected_sources set mcp_server_url = %s", [url])
    return books


def without_payments(held: dict[str, set[str]]) -> dict[str, set[str]]:
    return {stream: ids for stream, ids in held.items() if stream != "payments"}


def test_intuits_server_brings_all_but_payments(intuit: Connected) -> None:
    assert intuit.sync().status == "completed", intuit.job()
    assert without_payments(intuit.kept()) == without_payments(intuit.truth())
    assert intuit.kept()["payments"] == set()
    called = {call["tool"] for call in intuit.outside.control("GET", "calls") if "tool" in call}
    assert called == IntuitServer.tools
    for _ in range(2):
        before, report = intuit.documents(), told(intuit)
        assert intuit.sync("delta").status == "completed"
        # It tells of no deletion: what is kept beyond the truth is what was deleted.
        kept, truth = without_payments(intuit.kept()), without_payments(intuit.truth())
        assert all(truth[stream] <= kept[stream] for stream in truth)
        for stream, changes in report.items():
            for changed in changes["changed"]:
                assert before[stream, changed]["written"] != intuit.documents()[stream, changed]["written"]
    assert intuit.sync("reconcile").status == "completed"
    assert without_payments(intuit.kept()) == without_payments(intuit.truth())


def test_intuits_server_misses_nobody_who_wakes_between_the_halves_of_a_listing(
    intuit: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    intuit.sync()
    woken: list[str] = []
    searched = quickbooks._searched

    async def moving(tools: Any, stream: str, active: bool | None, *rest: Any, **options: Any) -> list[Any]:
        if active is False and not woken:  # the active ones have been listed, and the others have not
            woken.extend((await asyncio.to_thread(told, intuit))["customers"]["made active"])
        records = await searched(tools, stream, active, *rest, **options)
        if stream == "customers" and active and not woken and len(records) < quickbooks._PAGE:
            records[-1]["MetaData"]["LastUpdatedTime"] = "9999-12-31T00:00:00Z"  # which says nothing of when that was
        return records

    monkeypatch.setattr(quickbooks, "_searched", moving)
    assert intuit.sync("reconcile").status == "completed"
    assert woken
    assert set(woken) <= intuit.kept()["customers"]
    assert without_payments(intuit.kept()) == without_payments(intuit.truth())


@pytest.mark.parametrize("realm", ["4620816360000000001", ""], ids=["another", "unset"])
def test_intuits_server_is_asked_nothing_for_another_company(
    intuit: Connected, monkeypatch: pytest.MonkeyPatch, database: Database, gateway: McpGateway, realm: str
) -> None:
    external_id = next(iter(intuit.truth()["invoices"]))
    live = LiveDocuments(database, gateway)
    assert live.read(intuit.organisation.id, "quickbooks", "invoices", external_id) is not None
    intuit.outside.control("DELETE", "calls")
    monkeypatch.setenv("QUICKBOOKS_REALM_ID", realm)
    provider_settings.cache_clear()
    with pytest.raises(ConfigError, match="speaks for one company"):
        live.read(intuit.organisation.id, "quickbooks", "invoices", external_id)
    outcome = intuit.sync()
    assert (outcome.status, outcome.error_class) == ("failed", "config")
    assert "Set QUICKBOOKS_REALM_ID to the number" in intuit.job()["error_message"]
    assert intuit.documents() == {}
    assert not [call for call in intuit.outside.control("GET", "calls") if "tool" in call]


def test_intuits_server_has_the_same_of_every_record(intuit: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    intuit.sync()
    kept = {key: (row["title"], row["content"], row["client_keys"]) for key, row in intuit.documents().items()}
    monkeypatch.undo()
    for name, value in intuit.outside.environment().items():
        monkeypatch.setenv(name, value)
    intuit.owner.execute("update connected_sources set mcp_server_url = %s", [QUICKBOOKS.mcp_url])
    intuit.sync("full")
    now = {key: (row["title"], row["content"], row["client_keys"]) for key, row in intuit.documents().items()}
    assert {key: now[key] for key in kept} == kept
    assert intuit.kept() == intuit.truth()


@pytest.mark.parametrize(
    ("status", "ends"), [(429, ("queued", "rate_limited")), (500, ("completed", None)), (401, ("completed", None))]
)
def test_intuits_errors_are_texts_and_never_data(intuit: Connected, status: int, ends: tuple[str, str | None]) -> None:
    intuit.outside.fault(provider="quickbooks", tool="search_invoices", kind="tool_error", status=status, after=1)
    outcome = intuit.sync()
    assert (outcome.status, outcome.error_class) == ends, intuit.job()
    assert not [row for row in intuit.documents().values() if "Error" in row["content"] or "Fault" in row["content"]]
    assert intuit.job()["items_quarantined"] == 0


def test_a_block_that_is_missing_is_noticed(intuit: Connected) -> None:
    intuit.outside.fault(provider="quickbooks", tool="search_estimates", kind="truncated")
    outcome = intuit.sync()
    assert (outcome.status, outcome.error_class) == ("queued", "bad_page")
