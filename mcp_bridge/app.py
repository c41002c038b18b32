"""The MCP server over streamable HTTP: stateless, JSON answers, a bearer token and a company with every request.

A tool's failure is a status of HTTP, not a text: who gets a 401 renews its token once, who gets a 429 waits for as long
as it is told to.
"""

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_bridge.quickbooks import Caller, Failure, QuickBooks, Refused
from mcp_bridge.tools import HANDLERS, TOOLS

REALM_HEADER = "quickbooks-realm-id"
_CALL = "mcp_bridge.call"
_REALM = re.compile(r"[0-9]{1,20}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_LONGEST_REQUEST = 64 * 1024
_VALIDATORS = {tool.name: Draft202012Validator(tool.input_schema) for tool in TOOLS}


@dataclass
class _Call:
    """One request: who makes it, and what became of it."""

    caller: Caller
    failure: Failure | None = None


@dataclass(frozen=True)
class _Gate:
    """Lets nobody through without a token and a company, and answers with the failure where there was one."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if (refusal := _objection(headers)) is not None:
            await refusal(scope, receive, send)
            return
        call = _Call(Caller(headers[REALM_HEADER], headers["authorization"].partition(" ")[2]))

        async def answer(message: Message) -> None:
            if call.failure is None:
                await send(message)
            elif message["type"] == "http.response.start":
                await _refusal(call.failure)(scope, receive, send)

        await self.app({**scope, _CALL: call}, receive, answer)


def create_app(api_url: str) -> Starlette:
    """The server, in front of the accounting API at `api_url` (no slash at the end)."""
    # Each call names its company: the pool is everybody's, and no cookie of one is sent for another.
    http = httpx.AsyncClient(timeout=httpx.Timeout(60, connect=10), follow_redirects=False, cookies=_no_cookies())
    api = QuickBooks(http, api_url)

    async def list_tools(context: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=TOOLS)

    async def call_tool(context: ServerRequestContext[Any, Request], params: CallToolRequestParams) -> CallToolResult:
        if params.name not in HANDLERS:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
        assert context.request is not None, "there is a request behind every call over HTTP"
        call: _Call = context.request.scope[_CALL]
        arguments = params.arguments or {}
        try:
            for error in _VALIDATORS[params.name].iter_errors(arguments):
                raise Refused(f"Invalid arguments for {params.name}: {error.json_path}")
            answer = await HANDLERS[params.name](api, call.caller, arguments)
        except Refused as refused:
            return CallToolResult(content=[TextContent(type="text", text=str(refused))], is_error=True)
        except Failure as failure:
            call.failure = failure
            return CallToolResult(content=[], is_error=True)
        # The data once: a second copy as text would double every page.
        return CallToolResult(content=[], structured_content=answer)

    server: Server[Any] = Server(
        "boots-quickbooks-bridge", version="1.0.0", on_list_tools=list_tools, on_call_tool=call_tool
    )
    manager = StreamableHTTPSessionManager(server, json_response=True, stateless=True)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with manager.run(), http:
            yield

    async def healthy(request: Request) -> Response:
        return JSONResponse({"ok": True})

    return Starlette(
        routes=[Route("/healthz", healthy), Route("/mcp", _Gate(manager.asgi_app), methods=["POST"])],
        lifespan=lifespan,
    )


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _objection(headers: Headers) -> Response | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not _TOKEN.fullmatch(token):
        return JSONResponse({"error": "A bearer token is needed."}, 401, {"WWW-Authenticate": "Bearer"})
    if not _REALM.fullmatch(headers.get(REALM_HEADER, "")):
        return JSONResponse({"error": f"The header {REALM_HEADER} must be the company's number."}, 400)
    if not headers.get("content-length", "").isdigit() or int(headers["content-length"]) > _LONGEST_REQUEST:
        return JSONResponse({"error": "The request is too long, or does not say how long it is."}, 413)
    return None


def _refusal(failure: Failure) -> Response:
    headers = {"Retry-After": failure.retry_after} if failure.retry_after else {}
    if failure.status == 401:
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return JSONResponse({"error": str(failure)}, failure.status, headers)
