"""A real sandbox on an ephemeral port, and a person and a program who use it over HTTP."""

import base64
import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from sandbox.app import create_app
from sandbox.oauth import CLIENT_ID, CLIENT_SECRET

CALLBACK = "http://127.0.0.1:9/api/integrations/hubspot/callback"
VERIFIER = "a-verifier-that-is-long-enough-to-be-one-of-rfc-7636"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SIGNED = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


@dataclass
class Outside:
    """The sandbox as its users see it."""

    base_url: str
    http: httpx.Client

    # -- levers

    def world(self) -> dict[str, Any]:
        return self._json("GET", "/_control/world")

    def truth(self, slug: str = "harbour-joinery") -> dict[str, Any]:
        return self._json("GET", "/_control/truth")["organizations"][slug]["hubspot"]

    def advance(self, days: int = 1) -> dict[str, Any]:
        return self._json("POST", "/_control/advance", json={"days": days})

    def order(self, **fault: Any) -> None:
        self._json("POST", "/_control/faults", json={"faults": [{"provider": "hubspot", **fault}]})

    def calls(self) -> list[dict[str, Any]]:
        return self._json("GET", "/_control/calls")

    def _json(self, method: str, path: str, **more: Any) -> Any:
        return self.http.request(method, path, **more).raise_for_status().json()

    # -- OAuth

    def authorize(self, account: str = "harbour-joinery", decision: str = "allow", **changed: str) -> httpx.Response:
        """The visitor gets the page and sends its form. `changed` replaces parameters; an empty one goes."""
        asked = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": CALLBACK,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "state": "opaque",
            **changed,
        }
        asked = {name: value for name, value in asked.items() if value}
        page = self.http.get("/hubspot/oauth/authorize/user", params=asked)
        if page.status_code != 200:
            return page
        return self.http.post(page.url, data={"account": account, "decision": decision})

    def code(self, account: str = "harbour-joinery") -> str:
        return answered(self.authorize(account))["code"]

    def token(self, **form: str) -> httpx.Response:
        return self.http.post("/hubspot/oauth/v3/token", data={**SIGNED, **form})

    def exchange(self, code: str, **changed: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self.token(**{**form, "code": code, **changed})

    def refresh(self, refresh_token: str) -> httpx.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def tokens(self, account: str = "harbour-joinery") -> dict[str, Any]:
        return self.exchange(self.code(account)).raise_for_status().json()

    # -- MCP

    def ping(self, access_token: str | None) -> httpx.Response:
        """A bare call: what the SDK's client hides (status, headers) shows here."""
        headers = {"Accept": "application/json, text/event-stream"}
        if access_token is not None:
            headers["Authorization"] = f"Bearer {access_token}"
        call = {"name": "get_user_details", "arguments": {}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        return self.http.post("/hubspot/mcp", json=message, headers=headers)

    @contextlib.asynccontextmanager
    async def hubspot(
        self, account: str = "harbour-joinery", mode: str = "auto", path: str = "hubspot/mcp"
    ) -> AsyncIterator["Hub"]:
        headers = {"Authorization": f"Bearer {self.tokens(account)['access_token']}"}
        # No TLS here, and loading the certificates anew for each test would take longer than the test.
        async with httpx2.AsyncClient(headers=headers, verify=False) as http:
            transport = streamable_http_client(f"{self.base_url}/{path}", http_client=http)
            async with Client(transport, mode=mode) as client:
                yield Hub(client)

    @contextlib.asynccontextmanager
    async def stranger(self, path: str) -> AsyncIterator[Client]:
        """A program without a token."""
        async with (
            httpx2.AsyncClient(verify=False) as http,
            Client(streamable_http_client(f"{self.base_url}/{path}", http_client=http)) as client,
        ):
            yield client


@dataclass
class Hub:
    """A program that is connected to the HubSpot twin."""

    client: Client

    async def raw(self, tool: str, **arguments: Any) -> CallToolResult:
        return await self.client.call_tool(tool, arguments)

    async def ask(self, tool: str, **arguments: Any) -> Any:
        result = await self.raw(tool, **arguments)
        assert not result.is_error, text_of(result)
        return json.loads(text_of(result))

    async def refused(self, tool: str, **arguments: Any) -> str:
        result = await self.raw(tool, **arguments)
        assert result.is_error
        return text_of(result)

    async def search(self, kind: str, *filters: dict[str, Any], **more: Any) -> dict[str, Any]:
        groups = {"filterGroups": [{"filters": list(filters)}]} if filters else {}
        answer: dict[str, Any] = await self.ask("search_crm_objects", objectType=kind, **groups, **more)
        return answer

    async def found(self, kind: str, *filters: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
        """All pages."""
        page = await self.search(kind, *filters, limit=200, **more)
        found = page["results"]
        while "offset" in page:
            page = await self.search(kind, *filters, limit=200, offset=page["offset"], **more)
            found += page["results"]
        assert len(found) == page["total"]
        return found


def text_of(result: CallToolResult) -> str:
    [block] = result.content
    assert isinstance(block, TextContent)
    return block.text


def answered(response: httpx.Response) -> dict[str, str]:
    """What the authorisation server told the application through the visitor's browser."""
    assert response.status_code == 303, response.text
    target = urlsplit(response.headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == CALLBACK
    return dict(parse_qsl(target.query))


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(create_app(7, "small", base_url), log_level="critical", ws="none")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        deadline = time.monotonic() + 10
        while not running.started and time.monotonic() < deadline:
            time.sleep(0.01)
        assert running.started
        yield base_url
        running.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server) as client:
        yield client


@pytest.fixture
def outside(server: str, http: httpx.Client) -> Outside:
    http.post("/_control/reset").raise_for_status()
    return Outside(server, http)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
