"""QuickBooks' accounting API over HTTP, as far as reading goes, and what its answers amount to.

Facts of 2026-11 (docs/providers.md): errors are spelled `Fault` or `fault`, and may come with status 200; throttling
asks for a minute's pause and does not say so; a proxy's error is a page of HTML.
"""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from boots_pipeline.mending import mended

PRODUCTION = "https://quickbooks.api.intuit.com"
_MINOR_VERSION = "75"  # the lowest that is served since August 2025
_SECONDS = 50.0  # for the whole of an answer: our callers give up after 60
_MOST_BYTES = 32 * 1024 * 1024  # a thousand invoices are 5 MB
_THROTTLED_SECONDS = "60"
# What a Fault's type amounts to, by how it begins.
_STATUS_OF = {"AUTHENTICATION": 401, "AUTHORIZATION": 403, "THROTTLE": 429, "SYSTEM": 502, "SERVICE": 502}
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # of a surrogate pair, or a whole one
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """Whose company, and the token that opens it: for one request, and in no log."""

    realm: str
    token: str = field(repr=False)


class Failure(Exception):
    """Not an answer: what the caller of the MCP server gets as the HTTP status of its request."""

    def __init__(self, status: int, text: str, retry_after: str | None = None) -> None:
        super().__init__(text)
        self.status, self.retry_after = status, retry_after


class Refused(Exception):
    """The call is not one that can be answered: an MCP tool error."""


@dataclass(frozen=True)
class QuickBooks:
    """The accounting API at one address."""

    http: httpx.AsyncClient
    api_url: str = PRODUCTION

    async def read(self, caller: Caller, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """The JSON at a path below a company. Raises Failure, Refused."""
        try:
            async with asyncio.timeout(_SECONDS):
                response, body = await self._ask(caller, path, parameters)
        except (TimeoutError, httpx.TimeoutException):
            raise Failure(504, f"QuickBooks did not answer within {_SECONDS:.0f} s.") from None
        except httpx.HTTPError:
            raise Failure(502, "The connection with QuickBooks failed.") from None
        return await asyncio.to_thread(_sorted_out, response, body)  # 32 MiB take a second

    async def _ask(self, caller: Caller, path: str, parameters: Mapping[str, str]) -> tuple[httpx.Response, bytes]:
        request = self.http.build_request(
            "GET",
            f"{self.api_url}/v3/company/{caller.realm}/{path}",
            params={**parameters, "minorversion": _MINOR_VERSION},
            headers={"Authorization": f"Bearer {caller.token}", "Accept": "application/json"},
        )
        response = await self.http.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise Failure(502, f"QuickBooks' answer is larger than {_MOST_BYTES // 1_048_576} MiB.")
        finally:
            await response.aclose()
        # The number by which Intuit's support finds a request; the path holds no more than whose company it was.
        _log.info("%s: %d, intuit_tid %s", path, response.status_code, response.headers.get("intuit_tid", "-"))
        return response, bytes(body)


def _sorted_out(response: httpx.Response, body: bytes) -> dict[str, Any]:
    """The data, or what its absence means."""
    told = _json(body)
    fault = next((told[name] for name in ("Fault", "fault") if isinstance(told.get(name), dict)), None)
    status = response.status_code
    if status < 400 and fault is not None:
        kind = str(fault.get("type", "")).upper()
        status = next((number for name, number in _STATUS_OF.items() if kind.startswith(name)), 400)
    if status in (401, 403) or status >= 500:
        raise Failure(status, f"QuickBooks answered with {status}.")
    if status == 429:
        raise Failure(429, "QuickBooks is throttling.", response.headers.get("retry-after", _THROTTLED_SECONDS))
    if status >= 400:
        raise Refused(f"QuickBooks refused the call: {_reason(fault)}")
    if status >= 300 or not told:
        raise Failure(502, "QuickBooks answered with something that is no data.")
    return told


def _json(body: bytes) -> dict[str, Any]:
    text = body.decode("utf-8", "replace")
    # Half a surrogate pair is read, and could not be sent on.
    for made in (mended,) if _HALF.search(text) else (str, mended):
        with suppress(ValueError, RecursionError):
            told = json.loads(made(text))
            return told if isinstance(told, dict) else {}
    return {}


def _reason(fault: Mapping[str, Any] | None) -> str:
    """The first error of a fault, for people."""
    errors = (fault or {}).get("Error") or (fault or {}).get("error")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    told = [first.get(name) for name in ("code", "Message", "message", "Detail", "detail", "element")]
    return ", ".join(dict.fromkeys(str(part)[:300] for part in told if part)) or "it does not say why"
