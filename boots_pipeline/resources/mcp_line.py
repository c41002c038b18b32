"""One connection with an MCP server: streamable HTTP with our bearer on every request, opened again when it breaks.

A 401, of the server or of a tool, costs one refresh. Whatever fails comes out as a class of ours: the SDK tells only
that something did, so the transport notes what it was.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from boots_pipeline.errors import BadPage, BootsError, ConfigError, Transient
from boots_pipeline.mending import mended
from boots_pipeline.providers.answers import Answer
from boots_pipeline.providers.base import Provider
from boots_pipeline.resources.certificates import certificates
from boots_pipeline.resources.mcp_errors import error_of

_CALL_SECONDS = 60  # the whole of a call, not only silence: a server that drips a byte a second ends too
_ANSWER_BYTES = 64 * 1024 * 1024  # one SSE event; the SDK's own cap is 1 MiB, less than a page of long records
_ERROR_BYTES = 8 * 1024  # of the body of an error: enough to tell why
_CUT = 599  # no status of HTTP's: the connection failed before the answer was whole
_OF_THE_WIRE = (
    "content-encoding",
    "content-length",
    "transfer-encoding",
)  # no longer true of what was read and decoded

# The SDK logs whole requests and answers at INFO and tracebacks of a cut connection at ERROR; we report both ourselves.
logging.getLogger("mcp").setLevel(logging.CRITICAL)

Schemas = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class _Failure:
    """What the HTTP layer saw of a request that failed: the SDK tells only that it did."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    ours: BootsError | None = None


class _Transport(httpx2.AsyncBaseTransport):
    """Puts the token on every request, renews it once on a 401, reads answers whole, and notes what failed.

    Nothing raises out of here: an error inside the SDK's task group would end it, and with it whoever waits for the
    call. A connection that was cut, or a token that cannot be had, is an answer of status 599 like any other.
    """

    def __init__(self, token: Callable[[str | None], str], headers: Mapping[str, str]) -> None:
        self._inner = httpx2.AsyncHTTPTransport(verify=certificates())
        self._token = token
        self._headers = headers
        self._used: str | None = None
        self._refused: str | None = None
        self.failure: _Failure | None = None
        self.mends = False  # one answer was none that the SDK could parse: its successors are made such

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
            said = response.content[:_ERROR_BYTES].decode("utf-8", "replace") if response.status_code >= 400 else ""
            failure = _Failure(response.status_code, dict(response.headers), said)
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
        request.headers.update({**self._headers, "Authorization": f"Bearer {self._used}"})
        response = await self._inner.handle_async_request(request)
        body = await _read(response)
        if self.mends:
            body = await asyncio.to_thread(lambda: mended(body.decode("utf-8", "replace")).encode())
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


class Line:
    """One connection, for one call at a time."""

    def __init__(self, provider: Provider, token: Callable[[str | None], str], headers: Mapping[str, str]) -> None:
        self._provider = provider
        self._transport = _Transport(token, headers)
        self._holder: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self.schemas: Schemas = {}

    async def open(self) -> None:
        """Connect, and read what tools there are."""
        async with self._sorted_errors(), asyncio.timeout(_CALL_SECONDS):
            opened: asyncio.Future[tuple[Client, Schemas]] = asyncio.Future()
            self._holder = asyncio.create_task(self._hold(opened))
            self._client, self.schemas = await opened

    async def close(self) -> None:
        """Hang up."""
        await self._disconnect()
        await self._transport.aclose()

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool. An answer that the SDK cannot parse is asked for again at once, and mended: the session's next
        try may get another line, which would have to find out for itself."""
        mended_already = self._transport.mends
        try:
            return await self._call(tool, arguments)
        except Transient:
            if mended_already or not self._transport.mends:
                raise
        return await self._call(tool, arguments)

    async def _call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool, on a new connection where the last call broke this one."""
        if self._client is None:
            await self.open()
        assert self._client is not None
        async with self._sorted_errors(), asyncio.timeout(_CALL_SECONDS):
            return _answer(await self._client.call_tool(tool, dict(arguments)))

    def refuse_token(self) -> None:
        """A tool would not take the token that the server took: the next call goes with another one."""
        self._transport.refuse_token()

    async def _hold(self, opened: asyncio.Future[tuple[Client, Schemas]]) -> None:
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
            case _Failure(status=404) if self._client is None:
                return ConfigError(f"There is no MCP server of {title} at its address.")
            case _Failure(status=status) if status == _CUT:
                return Transient(f"{title} hung up.")
            case _Failure(status=status, text=text, headers=headers):
                trouble = self._provider.trouble(status, text)
                if (sorted_out := error_of(title, trouble, headers.get("retry-after"))) is not None:
                    return sorted_out
        if isinstance(error, MCPError) and error.code in (-32601, -32602):
            return ConfigError(f"{title}'s MCP server refused a call that its schema allows; update Boots.")
        self._transport.mends = True
        return Transient(f"The connection to {title} broke, or its answer was no MCP.")


async def _list_schemas(client: Client) -> Schemas:
    schemas: dict[str, Mapping[str, Any]] = {}
    cursor: str | None = None
    while True:
        listed = await client.list_tools(cursor=cursor)
        schemas.update({tool.name: tool.input_schema for tool in listed.tools})
        if listed.next_cursor is None or listed.next_cursor == cursor:
            return schemas
        cursor = listed.next_cursor


def _answer(result: CallToolResult) -> Answer:
    texts = tuple(block.text for block in result.content if isinstance(block, TextContent))
    return Answer(texts, result.structured_content, bool(result.is_error))
