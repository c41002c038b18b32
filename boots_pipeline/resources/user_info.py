"""Whose token it is, by the word of the authorisation server: OpenID Connect's UserInfo endpoint (Core §5.3).

The token goes to the address that the registry or the environment names, and a 401 costs one refresh, as on the way to
an MCP server.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import orjson

from boots_pipeline.errors import BadPage, ConfigError, Transient
from boots_pipeline.providers.answers import Trouble
from boots_pipeline.providers.base import Provider
from boots_pipeline.resources.mcp_errors import error_of
from boots_pipeline.resources.short_answers import ANSWER_SECONDS, TIMEOUT, bounded_transport


async def user_info(provider: Provider, token: Callable[[str | None], str]) -> Mapping[str, Any]:
    """The claims. `token` gives an access token, and another one than the refused one that it is told.

    Raises NeedsReauth, Forbidden, RateLimited, Transient, BadPage or ConfigError.
    """
    used = await asyncio.to_thread(token, None)
    answer, trouble = await _ask(provider, used)
    if trouble is not None and trouble.status == 401:
        answer, trouble = await _ask(provider, await asyncio.to_thread(token, used))
    if trouble is not None:
        told = error_of(provider.title, trouble, answer.headers.get("retry-after"))
        raise told or BadPage(f"{provider.title} refused to say whose account this is (HTTP {trouble.status}).")
    try:
        claims = orjson.loads(answer.content)
    except ValueError:
        claims = None
    if not isinstance(claims, dict):
        raise BadPage(f"{provider.title} answered with something else than whose account this is.")
    return claims


async def _ask(provider: Provider, token: str) -> tuple[httpx2.Response, Trouble | None]:
    """An answer, read whole; and what it amounts to, where it is none of success."""
    url = provider.oauth.userinfo_url
    if url is None:
        raise ConfigError(f"{provider.title} has no address that tells whose token it is.")
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            httpx2.AsyncClient(transport=bounded_transport(), timeout=TIMEOUT, follow_redirects=False) as client,
        ):
            answer = await client.get(url, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})
    except (httpx2.HTTPError, TimeoutError):
        raise Transient(f"{provider.title} did not say whose account this is.") from None
    return answer, None if answer.status_code == 200 else provider.trouble(answer.status_code, answer.text)
