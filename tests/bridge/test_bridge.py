"""The bridge, asked as any MCP client may ask it: who gets in, what is read, what is refused, how failures show."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any

import httpx
import pytest

from boots_pipeline.local.sandboxed import bridge_environment, sandbox_environment
from boots_pipeline.providers.quickbooks import QUICKBOOKS
from boots_pipeline.settings import Settings, provider_settings
from mcp_bridge import quickbooks, tools
from mcp_bridge.quickbooks import Caller, Failure, QuickBooks, Refused
from mcp_bridge.tools import TOOLS
from oauth_app.authorisation import authorisation_url, exchange, redirect_uri
from tests.outside import Outside
from tests.sandbox.shapes import facts, shape

QUERY = {"provider": "quickbooks", "tool": "query"}
ALL = "SELECT * FROM Customer WHERE Active IN (true, false) MAXRESULTS 3"


@dataclass
class Asker:
    """A program that holds a company's token."""

    outside: Outside
    token: str
    realm: str
    http: httpx.Client

    def post(self, tool: str, arguments: dict[str, Any], **changed: str) -> httpx.Response:
        """A bare call, where status and headers show. `changed` replaces headers; an empty one goes."""
        headers = {
            "Authorization": f"Bearer {self.token}", "QuickBooks-Realm-Id": self.realm,
            "Accept": "application/json, text/event-stream", **changed,
        }  # fmt: skip
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        headers = {name: value for name, value in headers.items() if value}
        return self.http.post(f"{self.outside.bridge}/mcp", json=call, headers=headers)

    def ask(self, tool: str, **arguments: Any) -> Any:
        """The data of an answer."""
        result = self.post(tool, arguments).raise_for_status().json()["result"]
        assert not result.get("isError"), result
        return result["structuredContent"]

    def refused(self, tool: str, **arguments: Any) -> str:
        """The text of a tool's error."""
        result = self.post(tool, arguments).raise_for_status().json()["result"]
        assert result["isError"]
        return str(result["content"][0]["text"])


@pytest.fixture
def asker(outside: Outside) -> Iterator[Asker]:
    """A program with a grant of one company's admin."""
    state, verifier, redirect = token_urlsafe(48), token_urlsafe(48), redirect_uri(QUICKBOOKS, Settings())
    back = httpx.URL(outside.consent(authorisation_url(QUICKBOOKS, state, verifier, redirect), "harbour-joinery"))
    grant = exchange(QUICKBOOKS, back.params["code"], verifier, redirect, back.params)
    with httpx.Client(timeout=30) as http:
        yield Asker(outside, grant.access_token, grant.account.id, http)


def test_it_has_three_of_karellens_tools_and_all_of_them_read() -> None:
    real = facts("karellen")
    for tool in TOOLS:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        for name, told in tool.input_schema["properties"].items():
            star = "*" if name in tool.input_schema["required"] else ""
            assert f"{name}{star}: {shape(told)}" in real[tool.name]
    assert {tool.name for tool in TOOLS} == {"qbo_query", "qbo_cdc", "qbo_get"}


def test_a_query_changes_and_a_record_are_read(asker: Asker) -> None:
    told = asker.ask("qbo_query", query=ALL)
    assert (len(told["Customer"]), told["startPosition"], told["maxResults"]) == (3, 1, 3)
    assert asker.ask("qbo_query", query="SELECT COUNT(*) FROM Invoice")["totalCount"] > 10
    assert asker.ask("qbo_query", query="SELECT * FROM Invoice WHERE Id = '99999'") == {}
    first = told["Customer"][0]
    assert asker.ask("qbo_get", entity="customer", id=first["Id"]) == first
    assert asker.ask("qbo_get", entity="CompanyInfo")["CompanyName"] == "Harbour Joinery"
    asker.outside.control("POST", "advance", days=1)
    (response,) = asker.ask("qbo_cdc", entities=["Invoice", "Payment"], changed_since="2026-11-20T18:00:00Z")["result"]
    invoices, payments = response["QueryResponse"]
    assert {each["status"] for each in invoices["Invoice"] if "status" in each} == {"Deleted"}
    assert payments["Payment"]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Basic dTpw"}, 401),
        ({"Authorization": "Bearer of another"}, 401),
        ({"QuickBooks-Realm-Id": ""}, 400),
        ({"QuickBooks-Realm-Id": "1/../2"}, 400),
        ({"QuickBooks-Realm-Id": "4620816360000000001"}, 403),
        ({"QuickBooks-Realm-Id": "1" * 21}, 400),
    ],
)
def test_nobody_gets_in_without_a_token_and_its_company(asker: Asker, changed: dict[str, str], status: int) -> None:
    answer = asker.post("qbo_query", {"query": ALL}, **changed)
    assert answer.status_code == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    if status == 400 or not changed.get("Authorization", "Bearer").startswith("Bearer"):
        assert asker.outside.control("GET", "calls")[-1]["endpoint"] == "token"  # nothing went on to QuickBooks


def test_a_request_that_is_too_long_is_not_read(asker: Asker) -> None:
    assert asker.post("qbo_query", {"query": "x" * 70_000}).status_code == 413


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM Customer",
        "UPDATE Customer SET Active = false",
        "SELECT * FROM Vendor",
        "SELECT * FROM Customer; DELETE FROM Customer",
        "SELECT * FROM Customer\nWHERE Id = '1'",
        "INSERT INTO Customer VALUES (1) SELECT * FROM Customer",
        "SELECT * FROM Customer " + "x" * 4000,
        "",
    ],
)
def test_only_a_select_from_what_is_known_goes_on(asker: Asker, query: str) -> None:
    asker.refused("qbo_query", query=query)
    assert asker.outside.control("GET", "calls")[-1]["endpoint"] == "token"


@pytest.mark.parametrize(
    "query",
    [
        "select" + " " * 3990 + "x",
        "select " + "a, " * 1330,
        "select a" + " " * 1990 + "," + " " * 1990 + "from",
        "select " + "a." * 1990 + " from ",
        "select a" + " from" * 798 + ";",
    ],
    ids=["blanks", "commas", "blanks-and-a-comma", "dots", "froms"],
)
def test_a_hostile_query_is_refused_at_once(query: str) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient() as http:
            await tools.query(QuickBooks(http, "http://127.0.0.1:9"), Caller("1", "none"), {"query": query})

    assert 3950 <= len(query) <= 4000
    began = time.process_time()
    with pytest.raises(Refused):
        asyncio.run(ask())
    assert time.process_time() - began < 0.5


def test_fields_may_be_named() -> None:
    for fields in ("Id", "Id, DisplayName", "Id ,MetaData.LastUpdatedTime", "*", "count(*)"):
        assert tools._QUERY.fullmatch(f"select  {fields}  from Customer where Id = '1'"), fields


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("qbo_get", {"entity": "Customer"}),
        ("qbo_get", {"entity": "Customer", "id": "1/../../../2/query"}),
        ("qbo_get", {"entity": "Customer/1?x=", "id": "1"}),
        ("qbo_get", {"entity": "Customer", "id": 1}),
        ("qbo_get", {}),
        ("qbo_cdc", {"entities": ["Customer", "Vendor"], "changed_since": "2026-11-20"}),
        ("qbo_cdc", {"entities": ["Customer"], "changed_since": "yesterday&entities=Vendor"}),
        ("qbo_cdc", {"entities": [], "changed_since": "2026-11-20"}),
        ("qbo_query", {"query": ALL, "output_path": "/somewhere"}),
    ],
)
def test_no_argument_leads_elsewhere(asker: Asker, tool: str, arguments: dict[str, Any]) -> None:
    asker.refused(tool, **arguments)
    assert asker.outside.control("GET", "calls")[-1]["endpoint"] == "token"


def test_there_is_no_tool_that_writes(asker: Asker) -> None:
    answer = asker.post("qbo_create", {"entity": "Customer", "data": {}})
    assert "Unknown tool" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "expire_tokens"}, 401),
        ({"kind": "status", "status": 403}, 403),
        ({"kind": "status", "status": 500}, 500),
        ({"kind": "tool_error", "status": 401}, 401),
        ({"kind": "tool_error", "status": 403}, 403),
        ({"kind": "tool_error", "status": 500}, 502),
        ({"kind": "html"}, 502),
        ({"kind": "cut"}, 502),
    ],
)
def test_a_failure_is_a_status_of_http(asker: Asker, fault: dict[str, Any], status: int) -> None:
    asker.outside.fault(**QUERY, **fault)
    answer = asker.post("qbo_query", {"query": ALL})
    assert answer.status_code == status
    assert asker.token not in answer.text + str(answer.headers)
    if fault["kind"] != "expire_tokens":
        assert asker.ask("qbo_query", query=ALL)["Customer"]


def test_throttling_says_how_long(asker: Asker) -> None:
    for fault, wait in (
        ({"kind": "status", "status": 429, "retry_after": 7}, "7"),
        ({"kind": "status", "status": 429}, "60"),
        ({"kind": "tool_error", "status": 429}, "60"),
    ):
        asker.outside.fault(**QUERY, **fault)
        answer = asker.post("qbo_query", {"query": ALL})
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, wait)


def test_quickbooks_own_refusal_is_an_error_of_the_tool(asker: Asker) -> None:
    assert "4001" in asker.refused("qbo_query", query="SELECT * FROM Customer WHERE Active = true OR Id = '2'")


def read(asker: Asker, path: str = "query") -> dict[str, Any]:
    """Through the bridge's own client, in this process."""

    async def ask() -> dict[str, Any]:
        async with httpx.AsyncClient() as http:
            api = QuickBooks(http, f"{asker.outside.url}/quickbooks")
            return await api.read(Caller(asker.realm, asker.token), path, {"query": ALL})

    return asyncio.run(ask())


def test_an_answer_that_does_not_end_is_given_up(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickbooks, "_SECONDS", 0.2)
    asker.outside.fault(kind="slow", seconds=0.6, **QUERY)
    with pytest.raises(Failure) as failure:
        read(asker)
    assert failure.value.status == 504


def test_an_answer_that_is_too_large_is_cut_off(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickbooks, "_MOST_BYTES", 1000)
    with pytest.raises(Failure, match="larger") as failure:
        read(asker)
    assert failure.value.status == 502


def test_where_nobody_answers_it_fails(asker: Asker) -> None:
    dead = Asker(Outside("http://127.0.0.1:9", asker.outside.bridge), asker.token, asker.realm, asker.http)
    with pytest.raises(Failure) as failure:
        read(dead)
    assert failure.value.status == 502


def test_it_reads_the_sandbox_until_there_is_an_app_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIENT_ID", "MCP_URL", "API_URL"):
        monkeypatch.delenv(f"QUICKBOOKS_{name}", raising=False)
    provider_settings.cache_clear()
    assert bridge_environment("http://b") == {"QUICKBOOKS_MCP_URL": "http://b/mcp"}
    played = sandbox_environment("http://s")
    assert played["QUICKBOOKS_API_URL"] == "http://s/quickbooks"
    assert "QUICKBOOKS_MCP_URL" not in played
    monkeypatch.setenv("QUICKBOOKS_CLIENT_ID", "an app")
    monkeypatch.setenv("QUICKBOOKS_API_URL", "https://development.example")
    provider_settings.cache_clear()
    assert bridge_environment("http://b")["QUICKBOOKS_API_URL"] == "https://development.example"
    assert not [name for name in sandbox_environment("http://s") if name.startswith("QUICKBOOKS_")]
    provider_settings.cache_clear()


def test_no_token_is_logged(asker: Asker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert read(asker)["QueryResponse"]
    assert "query: 200, intuit_tid" in caplog.text
    assert asker.token not in caplog.text
    assert asker.token not in repr(Caller(asker.realm, asker.token))


def test_whoever_has_read_its_line_may_ask_at_once() -> None:
    command = [sys.executable, "-m", "mcp_bridge", "--port"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*command, port], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: Cannot listen at 127.0.0.1:{port} (Address already in use). Try another --port.\n"
    with subprocess.Popen(
        [*command, port], env=os.environ | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE
    ) as bridge:
        try:
            assert bridge.stdout is not None
            assert bridge.stdout.readline()
            assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        finally:
            bridge.terminate()
