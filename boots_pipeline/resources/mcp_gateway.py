"""The only way to a provider's MCP server: streamable HTTP, our bearer, read-only tools, errors sorted into our
classes.

A session reads the server's tools first. Arguments follow the live input schema; a tool that is not on the provider's
read-only list is never called. A 401 costs one refresh and goes on. Failures that usually pass are tried again here,
and so are waits of up to 30 s; what lasts longer is the sync engine's business.
"""

import asyncio
import json
import logging
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2
import orjson
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from boots_pipeline.errors import BadPage, BootsError, ConfigError, Forbidden, NeedsReauth, RateLimited, Transient
from boots_pipeline.providers.base import Document, Provider, Tools
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.tokens import TokenService

_CALL_SECONDS = 60  # the whole of a call, not only silence: a server that drips a byte a second ends too
_LONGEST_WAIT = 30  # seconds waited inside a run; longer ones go back to the queue
_ANSWER_BYTES = 64 * 1024 * 1024  # one SSE event; the SDK's own cap is 1 MiB, less than a page of long records
_ATTEMPTS = 4
_CUT = 599  # no status of HTTP's: the connection failed before the answer was whole
_OF_THE_WIRE = (
    "content-encoding",
    "content-length",
    "transfer-encoding",
)  # no longer true of what was read and decoded

# The SDK logs whole requests and answers at INFO and tracebacks of a cut connection at ERROR; we report both ourselves.
for _noisy in ("mcp", "httpx2", "httpcore2"):
    logging.getLogger(_noisy).setLevel(logging.CRITICAL)


class McpGateway:
    """Opens sessions with providers' MCP servers on behalf of connections."""

    def __init__(self, database: Database, tokens: TokenService) -> None:
        self._database = database
        self._tokens = tokens

    @asynccontextmanager
    async def session(self, org_id: UUID, source_id: UUID, provider: Provider) -> AsyncIterator[Tools]:
        """The tools of one connection. Use it from one task. Raises the classes of `boots_pipeline.errors`."""
        session = _Session(provider, _Bearer(self._tokens, org_id, source_id, provider))
        async with session:
            yield session

    def read_document(
        self, org_id: UUID, source_id: UUID, provider: Provider, stream: str, external_id: str
    ) -> Document | None:
        """One record as it is at the provider now; None when it is gone. For a proposal's live calls."""

        async def read() -> Document | None:
            async with self.session(org_id, source_id, provider) as tools:
                item = await provider.read(tools, stream, external_id)
                return provider.document(stream, item.payload) if item else None

        return asyncio.run(read())


class _Bearer(httpx2.Auth):
    """Puts the token on every request; on a 401 renews it once and asks again."""

    def __init__(self, tokens: TokenService, org_id: UUID, source_id: UUID, provider: Provider) -> None:
        self._tokens = tokens
        self._of = (org_id, source_id, provider)

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        token = await asyncio.to_thread(self._tokens.access_token, *self._of)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            token = await asyncio.to_thread(self._tokens.access_token, *self._of, refused=token)
            request.headers["Authorization"] = f"Bearer {token}"
            yield request


@dataclass
class _Failure:
    """What the HTTP layer saw of a call that failed: the SDK tells only that it did."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class _Transport(httpx2.AsyncBaseTransport):
    """Reads answers whole, up to a size, and notes what failed.

    A connection that is cut in the middle of an answer would otherwise end the SDK's task group, and with it the task
    that waits for the call; as an answer of status 599 it is an error like any other.
    """

    def __init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport()
        self.failure = _Failure()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._inner.handle_async_request(request)
            body = await _read(response)
        except httpx2.TransportError:
            response, body = httpx2.Response(_CUT), b""
        if response.status_code >= 400:
            self.failure = _Failure(response.status_code, dict(response.headers))
        headers = [(k, v) for k, v in response.headers.items() if k.lower() not in _OF_THE_WIRE]
        return httpx2.Response(response.status_code, headers=headers, content=body, request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _ANSWER_BYTES:
                raise BadPage(f"The provider's answer is larger than {_ANSWER_BYTES // 1_048_576} MiB.")
    finally:
        await response.aclose()
    return bytes(body)


class _Session:
    """One provider's tools over one MCP session, reopened when the connection breaks."""

    def __init__(self, provider: Provider, bearer: _Bearer) -> None:
        self._provider = provider
        self._bearer = bearer
        self._open = AsyncExitStack()
        self._client: Client | None = None
        self._schemas: dict[str, Mapping[str, Any]] = {}
        self._transport = _Transport()

    async def __aenter__(self) -> "_Session":
        await self._retrying(self._connect)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._disconnect()

    def accepts(self, tool: str, argument: str) -> bool:
        return argument in self._schema(tool).get("properties", {})

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        schema = self._schema(tool)
        known = {name: value for name, value in arguments.items() if name in schema.get("properties", {})}
        if missing := [name for name in schema.get("required", ()) if name not in known]:
            raise ConfigError(f"{self._provider.title}'s tool {tool} now requires {', '.join(missing)}; update Boots.")
        return await self._retrying(self._call_once, tool, known)

    def _schema(self, tool: str) -> Mapping[str, Any]:
        if tool not in self._provider.read_only_tools:
            raise ConfigError(f"The tool {tool} is not on {self._provider.title}'s read-only list.")
        if tool not in self._schemas:
            raise ConfigError(f"{self._provider.title}'s MCP server has no tool {tool}; update Boots, or its grant.")
        return self._schemas[tool]

    async def _retrying(self, attempt: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((Transient, RateLimited)),
            stop=_stop_when_long,
            wait=_wait,
            reraise=True,
        )
        return await retrying(attempt, *arguments)

    async def _call_once(self, tool: str, arguments: dict[str, Any]) -> Any:
        async with self._sorted_errors():
            if self._client is None:
                await self._connect()
            assert self._client is not None
            async with asyncio.timeout(_CALL_SECONDS):
                result = await self._client.call_tool(tool, arguments)
        return _parse(self._provider, result)

    async def _connect(self) -> None:
        async with self._sorted_errors(), asyncio.timeout(_CALL_SECONDS):
            http = httpx2.AsyncClient(
                transport=self._transport, auth=self._bearer, timeout=httpx2.Timeout(_CALL_SECONDS, connect=10)
            )
            await self._open.enter_async_context(http)
            transport = streamable_http_client(
                self._provider.mcp_url, http_client=http, max_sse_event_size=_ANSWER_BYTES, terminate_on_close=False
            )
            client = await self._open.enter_async_context(Client(transport))
            self._schemas = await _list_schemas(client)
            self._client = client

    async def _disconnect(self) -> None:
        self._client = None
        broken, self._open = self._open, AsyncExitStack()
        try:
            await broken.aclose()
        except (MCPError, httpx2.HTTPError, ExceptionGroup):
            return  # it was broken already: that is why it is closed

    @asynccontextmanager
    async def _sorted_errors(self) -> AsyncIterator[None]:
        """Every way in which the SDK and HTTP fail, as a class of ours. A broken connection is closed."""
        self._transport.failure = _Failure()
        try:
            yield
        except BootsError:
            await self._disconnect()
            raise
        except TimeoutError:
            await self._disconnect()
            raise Transient(f"{self._provider.title} did not answer within {_CALL_SECONDS} s.") from None
        except (MCPError, httpx2.HTTPError, ValueError, ExceptionGroup) as error:
            await self._disconnect()
            raise self._classify(error) from None

    def _classify(self, error: Exception) -> BootsError:
        if ours := _ours_within(error):
            return ours
        title, failure = self._provider.title, self._transport.failure
        match failure.status:
            case 401:
                return NeedsReauth(f"{title} refused the token. Connect again.")
            case 403:
                return Forbidden(f"{title} does not allow this with what was granted. Connect again with more rights.")
            case 429:
                return RateLimited(f"{title} asks us to slow down.", retry_after(failure.headers.get("retry-after")))
            case 404:
                return ConfigError(f"There is no MCP server of {title} at its address.")
            case status if status is not None and status >= 500:
                return Transient(f"{title} failed with HTTP {status}." if status != _CUT else f"{title} hung up.")
        if isinstance(error, MCPError) and error.code in (-32601, -32602):
            return ConfigError(f"{title}'s MCP server refused a call that its schema allows; update Boots.")
        return Transient(f"The connection to {title} broke, or its answer was no MCP.")


def _ours_within(error: BaseException) -> BootsError | None:
    """An error of ours that the SDK's task groups have wrapped: the token service raises inside a request."""
    if isinstance(error, BootsError):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else (error.__cause__, error.__context__)
    return next((found for each in inner if each is not None and (found := _ours_within(each))), None)


async def _list_schemas(client: Client) -> dict[str, Mapping[str, Any]]:
    schemas: dict[str, Mapping[str, Any]] = {}
    cursor: str | None = None
    while True:
        listed = await client.list_tools(cursor=cursor)
        schemas.update({tool.name: tool.input_schema for tool in listed.tools})
        if listed.next_cursor is None or listed.next_cursor == cursor:
            return schemas
        cursor = listed.next_cursor


def _parse(provider: Provider, result: CallToolResult) -> Any:
    if result.is_error:
        raise _tool_error(provider, " ".join(b.text for b in result.content if isinstance(b, TextContent)))
    if result.structured_content is not None:
        return result.structured_content
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    if len(texts) != 1:
        raise BadPage(f"{provider.title} answered with {len(texts)} blocks of text where one of JSON was due.")
    try:
        return orjson.loads(texts[0])
    except orjson.JSONDecodeError:
        pass
    try:
        # The standard parser takes what orjson does not: NaN and lone surrogates, which the sanitiser then sees to.
        return json.loads(texts[0])
    except (ValueError, RecursionError):
        raise BadPage(f"{provider.title} answered with something that is no JSON.") from None


def _tool_error(provider: Provider, text: str) -> BootsError:
    """A tool's own error: the status stands in its text when it stands anywhere. The text itself is not repeated."""
    status = re.search(r"\b(401|403|404|429|5\d\d)\b", text)
    code = int(status[1]) if status else 0
    if code == 401:
        return NeedsReauth(f"{provider.title} refused the token. Connect again.")
    if code == 429 or "RATE_LIMIT" in text:
        return RateLimited(f"{provider.title} asks us to slow down.", retry_after(None))
    if code == 403:
        return Forbidden(f"{provider.title} does not allow this with what was granted.")
    if code >= 500:
        return Transient(f"{provider.title} failed with status {code}.")
    return BadPage(f"{provider.title}'s tool answered with an error.")


def retry_after(header: str | None) -> float:
    """Seconds to wait, between one and 3,600; 10 when the provider does not say so in seconds."""
    try:
        return min(3600.0, max(1.0, float(header or "")))
    except ValueError:
        return 10.0


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited):
        return error.retry_after
    # Full jitter: many workers that failed together must not come back together.
    return random.uniform(0.1, 0.5 * 2**state.attempt_number)  # noqa: S311 not a secret


def _stop_when_long(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited) and error.retry_after > _LONGEST_WAIT:
        return True
    return stop_after_attempt(_ATTEMPTS)(state)
