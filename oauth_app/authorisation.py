"""The conversation with a provider's authorisation server: the address to send a person to, a code for tokens, and
giving a grant back. Authlib speaks the protocol, within the limits of `resources.tokens`; here is what people are told.

Nothing here touches the database: no connection is held while a provider takes its time.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError

from boots_pipeline.errors import BadPage, ConfigError, NeedsReauth, Transient, alone
from boots_pipeline.providers.base import Account, Provider
from boots_pipeline.resources.short_answers import ANSWER_SECONDS
from boots_pipeline.resources.tokens import (
    NO_TOKEN_RESPONSE,
    OUR_FAULT,
    expiry,
    oauth_client,
    token_in,
)
from boots_pipeline.settings import Settings, provider_settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grant:
    """What a provider gave: never logged, so it does not show its tokens."""

    access_token: str
    refresh_token: str
    expires_at: datetime
    scopes: list[str]
    account: Account

    def __repr__(self) -> str:
        return f"Grant(account={self.account.id!r})"


def redirect_uri(provider: Provider, settings: Settings) -> str:
    """Where the provider sends the browser back to: told in advance, never taken from a request."""
    told = provider_settings(provider.env_prefix).redirect_uri
    return told or f"{settings.public_base_url.rstrip('/')}/api/integrations/{provider.name}/callback"


def authorisation_url(provider: Provider, state: str, verifier: str, return_to: str) -> str:
    """Where to send the person."""
    url, _ = _client(provider, return_to).create_authorization_url(
        provider.oauth.authorization_url,
        state=state,
        code_verifier=verifier,
        **provider.oauth.authorize_parameters,
    )
    return str(url)


def exchange(provider: Provider, code: str, verifier: str, return_to: str, callback: Mapping[str, str]) -> Grant:
    """Turn the one-time code into a grant: once, since a code that may have been used is not asked for again.

    Raises Transient, NeedsReauth, ConfigError or BadPage, with what to tell the person.
    """
    with alone():
        answer = _answer(provider, code, verifier, return_to)
    return _read(provider, answer, callback)


def _answer(provider: Provider, code: str, verifier: str, return_to: str) -> Mapping[str, Any]:
    try:
        return asyncio.run(_fetch(provider, code, verifier, return_to))
    except OAuthError as error:
        if error.error in OUR_FAULT:
            raise ConfigError(
                f"{provider.title} does not know this application: its operator must check "
                f"{provider.env_prefix}CLIENT_ID and {provider.env_prefix}CLIENT_SECRET."
            ) from None
        raise NeedsReauth(f"{provider.title} did not accept the answer. Press Connect to try again.") from None
    except (httpx2.HTTPError, TimeoutError):
        raise Transient(
            f"{provider.title} did not answer in time or not properly. Press Connect to try again."
        ) from None
    except NO_TOKEN_RESPONSE:
        raise BadPage(f"{provider.title} answered in a way that we do not understand.") from None


async def _fetch(provider: Provider, code: str, verifier: str, return_to: str) -> Mapping[str, Any]:
    async with asyncio.timeout(ANSWER_SECONDS), _client(provider, return_to) as client:
        answer: Mapping[str, Any] = await client.fetch_token(
            provider.oauth.token_url, grant_type="authorization_code", code=code, code_verifier=verifier
        )
    return answer


def revoke(provider: Provider, refresh_token: str, settings: Settings) -> bool:
    """Give a grant back, as well as can be: what we hold is deleted whatever the provider says."""
    if provider.oauth.revocation_url is None:
        return False
    try:
        accepted = asyncio.run(_revoke(provider, provider.oauth.revocation_url, refresh_token, settings))
    except (httpx2.HTTPError, TimeoutError, AuthlibBaseError, ConfigError, ValueError):
        accepted = False
    if not accepted:
        logger.warning("%s did not confirm that a grant was revoked", provider.name)
    return accepted


async def _revoke(provider: Provider, url: str, refresh_token: str, settings: Settings) -> bool:
    async with asyncio.timeout(ANSWER_SECONDS), _client(provider, redirect_uri(provider, settings)) as client:
        if provider.oauth.revokes_json:
            signed = (client.client_id, client.client_secret)
            response = await client.post(url, json={"token": refresh_token}, auth=signed)
        else:
            response = await client.revoke_token(  # type: ignore[no-untyped-call]  # its stub has no types
                url,
                token=refresh_token,
                token_type_hint="refresh_token",  # noqa: S106
            )
    return bool(response.is_success)


def _client(provider: Provider, return_to: str) -> AsyncOAuth2Client:
    return oauth_client(
        provider,
        scope=" ".join(provider.oauth.scopes) or None,
        redirect_uri=return_to,
        code_challenge_method="S256",
    )


def _read(provider: Provider, answer: Mapping[str, Any], callback: Mapping[str, str]) -> Grant:
    account = provider.account_of(answer, callback)
    if account is None:
        raise BadPage(f"{provider.title} did not say whose account this is. Press Connect to try again.")
    scopes = _scopes(answer)
    if scopes and not set(provider.oauth.scopes) <= set(scopes):
        raise NeedsReauth(
            f"{provider.title} was not allowed to show everything that is needed. Press Connect and leave all "
            "boxes ticked."
        )
    return Grant(
        access_token=_token(provider, answer, "access_token"),
        refresh_token=_token(provider, answer, "refresh_token"),
        expires_at=expiry(answer),
        scopes=scopes,
        account=account,
    )


def _token(provider: Provider, answer: Mapping[str, Any], name: str) -> str:
    token = token_in(answer, name)
    if token is None:
        raise BadPage(f"{provider.title} gave no lasting access ({name} is missing). Press Connect to try again.")
    return token


def _scopes(answer: Mapping[str, Any]) -> list[str]:
    told = answer.get("scope") or answer.get("scopes") or []
    if isinstance(told, str):
        return told.split()
    return [str(scope) for scope in told] if isinstance(told, list) else []
