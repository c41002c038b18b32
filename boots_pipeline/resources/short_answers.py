"""How an authorisation server is listened to: for so long and so much, and to no answer that points elsewhere. What is
sent there is secret, and nobody else is told it.
"""

import logging
from collections.abc import AsyncIterator

import httpx2

from boots_pipeline.resources.certificates import certificates

ANSWER_SECONDS = 20  # for the whole of an answer: a trickle never meets a timeout between two bytes
TIMEOUT = httpx2.Timeout(10, connect=5)
_LONGEST_ANSWER = 64 * 1024

# They log what a server says in its status line and headers, which may be what it was sent.
for _noisy in ("httpx2", "httpcore2"):
    logging.getLogger(_noisy).setLevel(logging.CRITICAL)


def bounded_transport() -> httpx2.AsyncBaseTransport:
    """For a client whose use is inside `asyncio.timeout(ANSWER_SECONDS)`."""
    return _BoundedTransport(httpx2.AsyncHTTPTransport(verify=certificates()))


class _BoundedTransport(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if 300 <= response.status_code < 400:
            await response.aclose()
            raise httpx2.RemoteProtocolError("a redirect", request=request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _BoundedStream(response.stream, request)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, request: httpx2.Request) -> None:
        self._inner = inner
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._inner:
            received += len(chunk)
            if received > _LONGEST_ANSWER:
                raise httpx2.ReadError("the answer is too long", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
