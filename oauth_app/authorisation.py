"""The conversation with a provider's authorisation server: the address to send a person to, a code for tokens, and
giving a grant back. Authlib speaks the protocol; here are the limits within which we listen, and what we tell a person.

Nothing here touches the database: no connection is held while a provider takes its time.
"""

import logging
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client, OAuthError

from boots_pipeline.errors import BadPage, ConfigError, NeedsReauth, Transient
from boots_pipeline.providers.base import Account, Provider
from boots_pipeline.settings import Settings, provider_settings

logger = logging.getLogger(__name__)

_TIMEOUT = 10.0
_WHOLE_ANSWER = 20.0  # seconds: a trickle never meets a timeout between two bytes
_MAX_ANSWER = 64 * 1024
_MAX_TOKEN = 16 * 1024
_ASSUMED_LIFE = 3600  # of an access token that does not say
_LONGEST_LIFE = 366 * 24 * 3600
_OUR_FAULT = frozenset({"invalid_client", "unauthorized_client"})


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
    with _client(provider, return_to) as client:
        url, _ = client.create_authorization_url(
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
    with _client(provider, return_to) as client:
        try:
            answer: Mapping[str, Any] = client.fetch_token(
                provider.oauth.token_url, grant_type="authorization_code", code=code, code_verifier=verifier
            )
        except OAuthError as error:
            if error.error in _OUR_FAULT:
                raise ConfigError(
                    f"{provider.title} does not know this application: its operator must check "
                    f"{provider.env_prefix}CLIENT_ID and {provider.env_prefix}CLIENT_SECRET."
                ) from None
            raise NeedsReauth(f"{provider.title} did not accept the answer. Press Connect to try again.") from None
        except httpx2.HTTPError:
            raise Transient(
                f"{provider.title} did not answer in time or not properly. Press Connect to try again."
            ) from None
        except (AuthlibBaseError, ValueError, TypeError):
            raise BadPage(f"{provider.title} answered in a way that we do not understand.") from None
    return _read(provider, answer, callback)


def revoke(provider: Provider, refresh_token: str, settings: Settings) -> bool:
    """Give a grant back, as well as can be: what we hold is deleted whatever the provider says."""
    if provider.oauth.revocation_url is None:
        return False
    try:
        with _client(provider, redirect_uri(provider, settings)) as client:
            response = client.revoke_token(  # type: ignore[no-untyped-call]  # its stub has no types
                provider.oauth.revocation_url,
                token=refresh_token,
                token_type_hint="refresh_token",  # noqa: S106
            )
            accepted = bool(response.is_success)
    except (httpx2.HTTPError, AuthlibBaseError, ConfigError, ValueError):
        accepted = False
    if not accepted:
        logger.warning("%s did not confirm that a grant was revoked", provider.name)
    return accepted


def _client(provider: Provider, return_to: str) -> OAuth2Client:
    told = provider_settings(provider.env_prefix)
    if told.client_id is None or told.client_secret is None:
        raise ConfigError(
            f"{provider.title} is not set up here: its operator must set {provider.env_prefix}CLIENT_ID and "
            f"{provider.env_prefix}CLIENT_SECRET."
        )
    return OAuth2Client(
        client_id=told.client_id,
        client_secret=told.client_secret.get_secret_value(),
        token_endpoint_auth_method=provider.oauth.client_auth,
        revocation_endpoint_auth_method=provider.oauth.client_auth,
        scope=" ".join(provider.oauth.scopes) or None,
        redirect_uri=return_to,
        code_challenge_method="S256",
        timeout=_TIMEOUT,
        follow_redirects=False,
        transport=_BoundedTransport(httpx2.HTTPTransport(verify=_certificates())),
    )


@cache
def _certificates() -> ssl.SSLContext:
    # Reading them takes 50 ms, and every conversation has a client of its own.
    return httpx2.create_ssl_context()


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
        expires_at=datetime.now(UTC) + timedelta(seconds=_life(answer)),
        scopes=scopes,
        account=account,
    )


def _token(provider: Provider, answer: Mapping[str, Any], name: str) -> str:
    token = answer.get(name)
    if not isinstance(token, str) or not token or len(token) > _MAX_TOKEN:
        raise BadPage(f"{provider.title} gave no lasting access ({name} is missing). Press Connect to try again.")
    return token


def _life(answer: Mapping[str, Any]) -> int:
    try:
        return min(max(int(answer["expires_in"]), 0), _LONGEST_LIFE)
    except (KeyError, TypeError, ValueError, OverflowError):
        return _ASSUMED_LIFE


def _scopes(answer: Mapping[str, Any]) -> list[str]:
    told = answer.get("scope") or answer.get("scopes") or []
    if isinstance(told, str):
        return told.split()
    return [str(scope) for scope in told] if isinstance(told, list) else []


class _BoundedTransport(httpx2.BaseTransport):
    """Listens to an answer for so long and so much, and to none that points elsewhere."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._inner.handle_request(request)
        if 300 <= response.status_code < 400:
            response.close()
            raise httpx2.RemoteProtocolError("a redirect", request=request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _BoundedStream(response.stream, request)
        return response

    def close(self) -> None:
        self._inner.close()


class _BoundedStream(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, request: httpx2.Request) -> None:
        self._inner = inner
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        received, deadline = 0, time.monotonic() + _WHOLE_ANSWER
        for chunk in self._inner:
            received += len(chunk)
            if received > _MAX_ANSWER or time.monotonic() > deadline:
                raise httpx2.ReadError("the answer is too long", request=self._request)
            yield chunk

    def close(self) -> None:
        self._inner.close()
