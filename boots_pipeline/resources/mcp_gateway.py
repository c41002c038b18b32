"""The only way to a provider's MCP server: streamable HTTP, our bearer, read-only tools, errors sorted into our
classes.

A session reads the server's tools first. Arguments follow the live input schema; a tool that is not on the provider's
read-only list is never called. A 401, of the server or of a tool, costs one refresh and goes on. Failures that usually
pass are tried again here, and so are waits of up to 30 s; what lasts longer is the sync engine's business.
"""

import asyncio
import json
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from uuid import UUID

import httpx2
import orjson
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from boots_pipeline.errors import BadPage, BootsError, ConfigError, Forbidden, NeedsReauth, RateLimited, Transient
from boots_pipeline.providers.base import Provider, Tools
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
# Where a tool's error states an HTTP status: at its beginning ("403 Forbidden"), or called one.
_STATUS = re.compile(
    r"""^\s*(?:error:?\s*)?([1-5]\d\d)(?=\s*$|\s*:|\s+-|\s+(?-i:[A-Z]))
      | \bstatus(?:[ _]?code)?\\?["']?[ :=]+["']?([1-5]\d\d)\b
      | \bHTTP(?:/[\d.]+)?[ :]+([1-5]\d\d)\b""",
    re.IGNORECASE | re.VERBOSE,
)
# HubSpot's words for the same.
_CATEGORIES = {
    "INVALID_AUTHENTICATION": 401,
    "EXPIRED_AUTHENTICATION": 401,
    "MISSING_SCOPES": 403,
    "RATE_LIMITS": 429,
}
_CATEGORY = re.compile(rf'\\?"category\\?"\s*:\s*\\?"({"|".join(_CATEGORIES)})\b')
_RATE_LIMIT = re.compile(r'\\?"(?:policyName\\?"\s*:\s*\\?"\w|errorType\\?"\s*:\s*\\?"RATE_LIMIT)')

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
        """The tools of one connection. One call at a time. Raises the classes of `boots_pipeline.errors`."""
        token = partial(self._tokens.access_token, org_id, source_id, provider)
        session = _Session(provider, token)
        try:
            await session.open()
            yield session
        finally:
            await session.close()


@dataclass(frozen=True)
class _Failure:
    """What the HTTP layer saw of a request that failed: the SDK tells only that it did."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    ours: BootsError | None = None


class _Transport(httpx2.AsyncBaseTransport):
    """Puts the token on every request, renews it once on a 401, reads answers whole, and notes what failed.

    Nothing raises out of here: an error inside the SDK's task group would end it, and with it whoever waits for the
    call. A connection that was cut, or a token that cannot be had, is an answer of status 599 like any other.
    """

    def __init__(self, token: Callable[[str | None], str]) -> None:
        self._inner = httpx2.AsyncHTTPTransport()
        self._token = token
        self._used: str | None = None
        self._refused: str | None = None
        self.failure: _Failure | None = None

    def refuse_token(self) -> None:
        """A tool would not take the token that the server took: the next request goes with another one."""
        self._refused = self._used

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._ask(request)
        except httpx2.TransportError:
            response, failure = httpx2.Response(_CUT, request=request), _Failure(_CUT)
        except BootsError as error:
            response, failure = httpx2.Response(_CUT, request=request), _Failure(_CUT, ours=error)
        else:
            failure = _Failure(response.status_code, dict(response.headers))
        if request.method == "POST":
            self.failure = failure if response.status_code >= 400 else None
        return response

    async def _ask(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._send(request)
        if response.status_code == 401:
            self.refuse_token()
            response = await self._send(request)
        return response

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        self._used = await asyncio.to_thread(self._token, self._refused)
        self._refused = None
        request.headers["Authorization"] = f"Bearer {self._used}"
        response = await self._inner.handle_async_request(request)
        body = await _read(response)
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

    def __init__(self, provider: Provider, token: Callable[[str | None], str]) -> None:
        self._provider = provider
        self._transport = _Transport(token)
        self._holder: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self._schemas: Mapping[str, Mapping[str, Any]] = {}

    async def open(self) -> None:
        await self._retrying(self._connect)

    async def close(self) -> None:
        await self._disconnect()
        await self._transport.aclose()

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
                if result.is_error and _told_status(_text(result)) == 401:
                    self._transport.refuse_token()
                    result = await self._client.call_tool(tool, arguments)
        return _parse(self._provider, result)

    async def _connect(self) -> None:
        async with self._sorted_errors(), asyncio.timeout(_CALL_SECONDS):
            opened: asyncio.Future[tuple[Client, Mapping[str, Mapping[str, Any]]]] = asyncio.Future()
            self._holder = asyncio.create_task(self._hold(opened))
            self._client, self._schemas = await opened

    async def _hold(self, opened: asyncio.Future[tuple[Client, Mapping[str, Mapping[str, Any]]]]) -> None:
        """Opens and closes the connection in one task, as the SDK's cancel scopes ask; any task may call through it."""
        timeout = httpx2.Timeout(_CALL_SECONDS, connect=10)
        # The transport outlives the connection: closing it is the session's.
        http = httpx2.AsyncClient(transport=self._transport, timeout=timeout)
        transport = streamable_http_client(
            self._provider.mcp_url, http_client=http, max_sse_event_size=_ANSWER_BYTES, terminate_on_close=False
        )
        try:
            async with Client(transport) as client:
                opened.set_result((client, await _list_schemas(client)))
                await asyncio.Future()
        except Exception as error:
            if opened.done():
                raise
            opened.set_exception(error)

    async def _disconnect(self) -> None:
        holder, self._holder, self._client = self._holder, None, None
        if holder is not None:
            holder.cancel()
            await asyncio.gather(holder, return_exceptions=True)

    @asynccontextmanager
    async def _sorted_errors(self) -> AsyncIterator[None]:
        """Every way in which the SDK and HTTP fail, as a class of ours. The next call opens the connection anew."""
        self._transport.failure = None
        try:
            yield
        except BaseException as error:  # noqa: BLE001 raised again, in our words
            sorted_out = self._classify(error)
            await self._disconnect()
            raise sorted_out from None

    def _classify(self, error: BaseException) -> BaseException:
        title = self._provider.title
        match error:
            case BootsError():
                return error
            case TimeoutError():
                return Transient(f"{title} did not answer within {_CALL_SECONDS} s.")
            case MCPError() | httpx2.HTTPError() | ValueError() | ExceptionGroup():
                failure = self._transport.failure
            case _:
                return error
        match failure:
            case _Failure(ours=BootsError() as ours):
                return ours
            case _Failure(status=401):
                return NeedsReauth(f"{title} refused the token. Connect again.")
            case _Failure(status=403):
                return Forbidden(f"{title} does not allow this with what was granted. Connect again with more rights.")
            case _Failure(status=429, headers=headers):
                return RateLimited(f"{title} asks us to slow down.", retry_after(headers.get("retry-after")))
            case _Failure(status=404) if self._client is None:
                return ConfigError(f"There is no MCP server of {title} at its address.")
            case _Failure(status=status) if status == _CUT:
                return Transient(f"{title} hung up.")
            case _Failure(status=status) if status >= 500:
                return Transient(f"{title} failed with HTTP {status}.")
        if isinstance(error, MCPError) and error.code in (-32601, -32602):
            return ConfigError(f"{title}'s MCP server refused a call that its schema allows; update Boots.")
        return Transient(f"The connection to {title} broke, or its answer was no MCP.")


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
        raise _tool_error(provider, _text(result))
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


def _text(result: CallToolResult) -> str:
    return " ".join(block.text for block in result.content if isinstance(block, TextContent))


def _told_status(text: str) -> int:
    """The HTTP status that a tool's error states; 0 when it states none.

    Only where a status is said to be one: any other number is an id, a limit or somebody's data.
    """
    if category := _CATEGORY.search(text):
        return _CATEGORIES[category[1]]
    if _RATE_LIMIT.search(text):
        return 429
    status = _STATUS.search(text)
    return int(next(number for number in status.groups() if number)) if status else 0


def _tool_error(provider: Provider, text: str) -> BootsError:
    """A tool's own error, by the status that it states. Its text is not repeated."""
    match _told_status(text):
        case 401:
            return NeedsReauth(f"{provider.title} refused the token. Connect again.")
        case 403:
            return Forbidden(f"{provider.title} does not allow this with what was granted.")
        case 429:
            return RateLimited(f"{provider.title} asks us to slow down.", retry_after(None))
        case code if 500 <= code < 600:
            return Transient(f"{provider.title} failed with status {code}.")
    return BadPage(f"{provider.title}'s tool answered with an error.")


def retry_after(header: str | None) -> float:
    """Seconds to wait, between one and 3,600, told as seconds or as a date; 10 when it is neither."""
    try:
        seconds = float(header or "")
    except ValueError:
        try:
            until = parsedate_to_datetime(header or "")
        except (ValueError, OverflowError):
            return 10.0
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(3600.0, max(1.0, seconds))


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
