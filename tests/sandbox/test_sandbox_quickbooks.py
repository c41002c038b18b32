"""The QuickBooks twin: Intuit's OAuth, the accounting API with its traps, and Intuit's open-source MCP server."""

import json
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from sandbox.oauth import CLIENT_ID, CLIENT_SECRET
from tests.sandbox.shapes import facts, shape

BACK = "http://127.0.0.1:9/api/integrations/quickbooks/callback"
SIGNED = httpx.BasicAuth(CLIENT_ID, CLIENT_SECRET)


class Books:
    """A program that was let into one company's books."""

    def __init__(self, outside: Any, account: str = "harbour-joinery") -> None:
        self.outside, self.account = outside, account
        asked = {
            "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": BACK, "state": "opaque",
            "scope": "com.intuit.quickbooks.accounting",
        }  # fmt: skip
        agreed = {"account": account, "decision": "allow"}
        back = outside.http.post("/quickbooks/connect/oauth2", params=asked, data=agreed).headers["location"]
        self.callback = httpx.URL(back).params
        self.realm = self.callback["realmId"]
        code = {"grant_type": "authorization_code", "code": self.callback["code"], "redirect_uri": BACK}
        self.tokens = self.token(**code).raise_for_status().json()

    def token(self, **form: str) -> httpx.Response:
        return self.outside.http.post("/quickbooks/oauth2/v1/tokens/bearer", data=form, auth=SIGNED)

    def get(self, path: str, realm: str | None = None, **asked: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        parameters = {"minorversion": "75", **asked}
        return self.outside.http.get(
            f"/quickbooks/v3/company/{realm or self.realm}/{path}", params=parameters, headers=headers
        )

    def query(self, query: str) -> dict[str, Any]:
        return self.get("query", query=query).raise_for_status().json()["QueryResponse"]

    def truth(self) -> dict[str, Any]:
        return self.outside._json("GET", "/_control/truth")["organizations"][self.account]["quickbooks"]


@pytest.fixture
def books(outside: Any) -> Books:
    return Books(outside)


def test_the_company_comes_with_the_callback_and_a_spent_refresh_token_is_dead(books: Books) -> None:
    assert books.realm == books.truth()["account"]["id"]
    assert "iss" not in books.callback
    assert "realmId" not in books.tokens
    spent = books.tokens["refresh_token"]
    books.tokens = books.token(grant_type="refresh_token", refresh_token=spent).raise_for_status().json()
    assert books.query("select count(*) from Invoice")["totalCount"]
    assert books.token(grant_type="refresh_token", refresh_token=spent).json()["error"] == "invalid_grant"


def test_a_grant_is_revoked_by_json_only(books: Books) -> None:
    revoke = "/quickbooks/v2/oauth2/tokens/revoke"
    told = {"token": books.tokens["refresh_token"]}
    assert books.outside.http.post(revoke, data=told, auth=SIGNED).status_code == 400
    assert books.outside.http.post(revoke, json=told, auth=SIGNED).status_code == 200
    refused = books.get("query", query="select * from Invoice")
    assert refused.status_code == 401
    assert refused.json()["fault"]["type"] == "AUTHENTICATION"


def test_the_query_language_has_its_traps(books: Books) -> None:
    customers = books.truth()["customers"]
    active = {number for number, customer in customers.items() if customer["Active"]}
    assert books.query("select count(*) from Customer")["totalCount"] == len(active) < len(customers)
    everybody = "select * from Customer where Active in (true, false) orderby Id maxresults 1000"
    found = [each["Id"] for each in books.query(everybody)["Customer"]]
    assert found == sorted(customers)  # as texts: 10 comes before 9
    assert books.query("select * from Invoice where Id = 'none'") == {}
    second = books.query("select * from Customer orderby Id startposition 2 maxresults 2")
    assert [each["Id"] for each in second["Customer"]] == sorted(active)[1:3]
    named = "select * from Customer where DisplayName = 'Gorsegate\\'s \\\\ Boathouse'"
    assert len(books.query(named)["Customer"]) == 1
    invoice = max(books.truth()["invoices"].values(), key=lambda each: each["MetaData"]["LastUpdatedTime"])
    updated = invoice["MetaData"]["LastUpdatedTime"]
    at = " AND ".join(f"MetaData.LastUpdatedTime {operator} '{updated}'" for operator in (">=", "<="))
    assert invoice["Id"] in [each["Id"] for each in books.query(f"select * from Invoice where {at}")["Invoice"]]
    for wrong in (
        "select * from Vendor",
        "select * from Customer where Active = true or Id = '1'",
        "delete from Customer",
    ):
        refused = books.get("query", query=wrong)
        assert refused.status_code == 400
        assert refused.json()["Fault"]["type"] == "ValidationFault"


def test_one_company_is_not_read_with_the_others_token(outside: Any) -> None:
    ours, theirs = Books(outside), Books(outside, "meridian-signage")
    assert ours.realm != theirs.realm
    assert ours.get("query", realm=theirs.realm, query="select * from Invoice").status_code == 403
    assert ours.truth()["customers"].keys() & theirs.truth()["customers"].keys()  # ids are a company's own


def test_the_world_is_the_same_one_and_has_the_awkward_cases(books: Books) -> None:
    truth, hubspot = books.truth(), books.outside.truth(books.account)
    names = {company["properties"]["name"] for company in hubspot["companies"].values()}
    customers, invoices = truth["customers"].values(), truth["invoices"].values()
    assert len({each.get("CompanyName") for each in customers} & names) > 5
    assert {each.get("Level") for each in customers} == {None, 1, 2}
    assert any(each["DisplayName"].endswith(" (deleted)") and not each["Active"] for each in customers)
    assert any(each.get("PrivateNote") == "Voided" and each["TotalAmt"] == 0 for each in invoices)
    assert any(each.get("CurrencyRef", {}).get("value") == "USD" and "ExchangeRate" in each for each in invoices)
    assert any("DocNumber" not in each and "name" not in each["CustomerRef"] for each in invoices)
    for each in invoices:
        assert each["CustomerRef"]["value"] in truth["customers"]
    offsets = {
        each["MetaData"]["LastUpdatedTime"][-6:]
        for stream in ("customers", "invoices")
        for each in truth[stream].values()
    }
    assert offsets == {"-07:00", "-08:00"}


def test_a_day_changes_all_that_can_change_and_the_feed_tells(books: Books) -> None:
    before = books.truth()
    report = books.outside.advance(days=1)["organizations"][books.account]["quickbooks"]
    for bumped in report["invoices"]["bumped"]:
        then, now = before["invoices"][bumped], books.truth()["invoices"][bumped]
        assert now == then | {"MetaData": now["MetaData"], "SyncToken": str(int(then["SyncToken"]) + 1)}
        assert now["MetaData"]["LastUpdatedTime"] != then["MetaData"]["LastUpdatedTime"]
    before = books.truth()
    report = books.outside.advance(days=3)["organizations"][books.account]["quickbooks"]
    happened = {change for changes in report.values() for change, ids in changes.items() if ids}
    assert happened == {
        "created", "changed", "bumped", "renamed", "made inactive", "made active", "merged", "deleted"
    }  # fmt: skip
    after = books.truth()
    feed = books.get("cdc", entities="Customer,Invoice", changedSince="2026-11-21T18:00:00Z").json()["CDCResponse"]
    customers, invoices = feed[0]["QueryResponse"]
    deleted = {each["Id"] for each in invoices["Invoice"] if each.get("status") == "Deleted"}
    assert deleted == set(report["invoices"]["deleted"])
    assert deleted & before["invoices"].keys() == before["invoices"].keys() - after["invoices"].keys()
    assert not [each for each in customers["Customer"] if each.get("status") == "Deleted"]
    too_old = books.get("cdc", entities="Invoice", changedSince="2026-10-01T00:00:00Z")
    assert too_old.status_code == 400


@pytest.mark.anyio
async def test_intuits_server_has_the_tools_of_the_real_one_and_its_errors_are_texts(books: Books) -> None:
    headers = {"Authorization": f"Bearer {books.tokens['access_token']}"}
    async with httpx2.AsyncClient(headers=headers, verify=False) as http:
        transport = streamable_http_client(f"{books.outside.base_url}/quickbooks/intuit/mcp", http_client=http)
        async with Client(transport) as client:
            listed = (await client.list_tools()).tools
            assert {tool.name: shape(tool.input_schema) for tool in listed} == facts("intuit")
            filters = [{"field": "Id", "value": "1"}]
            found = await client.call_tool("search_invoices", {"params": {"criteria": {"filters": filters}}})
            assert found.content[0].text == "Found 1 invoices"
            assert json.loads(found.content[1].text) == books.truth()["invoices"]["1"]
            one = await client.call_tool("get_customer", {"params": {"id": "1"}})
            assert one.content[0].text == "Customer:"
            for tool, params in (("get_customer", {"id": "none"}), ("create_customer", {"customer": {}})):
                refused = await client.call_tool(tool, {"params": params})
                assert not refused.is_error
                assert refused.content[0].text.startswith("Error ")
