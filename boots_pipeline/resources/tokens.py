"""Access tokens that are good now: read from the vault, refreshed when they are about to end or were refused.

One refresh at a time per connection, across processes: the connection's row is locked (FOR NO KEY UPDATE, which
ingestion's foreign keys do not wait for), the token read again, and what the provider answers is committed before
anybody uses it. This is the one lock of the project that is held across an outside call, for 20 s at most: two
refreshes of one token would revoke it.

The OAuth client is here too, and what is taken for a token and for its life: the pages connect with the same.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from boots_pipeline.errors import BootsError, ConfigError, NeedsReauth, Transient, alone
from boots_pipeline.providers.base import Provider
from boots_pipeline.resources.database import Connection, Database
from boots_pipeline.resources.short_answers import ANSWER_SECONDS, TIMEOUT, bounded_transport
from boots_pipeline.resources.vault import Vault
from boots_pipeline.settings import provider_settings

OUR_FAULT = frozenset({"invalid_client", "unauthorized_client"})
# What Authlib raises over an answer that is none.
NO_TOKEN_RESPONSE = (AuthlibBaseError, ValueError, TypeError, ArithmeticError, RecursionError)
_LONGEST_TOKEN = 16 * 1024
_ASSUMED_LIFE = 3_600
_LONGEST_LIFE = 366 * 24 * 3_600
_RECONNECT = "The connection was revoked, has run out, or lost its renewed token when a process died. Connect again."


@dataclass(frozen=True)
class Grant:
    """What a connection's row says of its token."""

    access_id: UUID
    refresh_id: UUID | None
    expires_at: datetime | None
    mcp_server_url: str | None


class TokenService:
    """Hands out access tokens of connections; the only thing that spends refresh tokens."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._keys_are_right = False

    def access_token(self, org_id: UUID, source_id: UUID, provider: Provider, refused: str | None = None) -> str:
        """A token that lasts for a while. `refused`: one that the provider would not take, so not that one again.

        Blocks, for as long as a refresh takes: not for an event loop's own thread. Raises NeedsReauth, Transient or
        ConfigError.
        """
        self._check_keys()
        with self._database.organisation(org_id) as transaction:
            grant = _read_grant(transaction, org_id, source_id, provider)
            token = self._vault.for_connection(org_id, source_id, transaction).read_token(grant.access_id, "access")
        if token != refused and _lasts(grant, provider):
            return token
        return self._refresh(org_id, source_id, provider, refused)

    def _check_keys(self) -> None:
        # Once a process, before it reads or seals anything: a wrong key would seal what nobody can open.
        if not self._keys_are_right:
            with self._database.connection() as connection:
                self._vault.check(connection)
            self._keys_are_right = True

    def _refresh(self, org_id: UUID, source_id: UUID, provider: Provider, refused: str | None) -> str:
        with self._database.organisation(org_id) as transaction:
            # Others wait here for as long as one refresh may take.
            transaction.execute("set local lock_timeout = '25s'")
            transaction.execute(
                "select 1 from connected_sources where org_id = %s and id = %s for no key update", [org_id, source_id]
            )
            grant = _read_grant(transaction, org_id, source_id, provider)
            vault = self._vault.for_connection(org_id, source_id, transaction)
            token = vault.read_token(grant.access_id, "access")
            if token != refused and _lasts(grant, provider):
                return token
            if grant.refresh_id is None:
                raise NeedsReauth(_RECONNECT)
            renewed = asyncio.run(_spend(provider, vault.read_token(grant.refresh_id, "refresh")))
            access_id = vault.store_token(renewed.access_token, "access")
            # Most rotate, some do not answer with a refresh token at all: then the old one stays.
            refresh_id = vault.store_token(renewed.refresh_token, "refresh") if renewed.refresh_token else None
            transaction.execute(
                """update connected_sources
                      set access_token_vault_id = %s, refresh_token_vault_id = coalesce(%s, refresh_token_vault_id),
                          token_expires_at = %s, updated_at = clock_timestamp()
                    where org_id = %s and id = %s""",
                [access_id, refresh_id, renewed.expires_at, org_id, source_id],
            )
        return renewed.access_token


def expiry(token_response: Mapping[str, Any]) -> datetime:
    """When an access token ends. An answer that does not say is taken for an hour, never for ever."""
    try:
        seconds = int(token_response.get("expires_in"))  # type: ignore[arg-type]  # whatever it is, int() says
    except (TypeError, ValueError, OverflowError):
        seconds = _ASSUMED_LIFE
    return datetime.now(UTC) + timedelta(seconds=min(max(0, seconds), _LONGEST_LIFE))


def token_in(token_response: Mapping[str, Any], name: str) -> str | None:
    """A token of an answer; None when it is missing or nothing that could be one."""
    token = token_response.get(name)
    return token if isinstance(token, str) and 0 < len(token) <= _LONGEST_TOKEN else None


def oauth_client(provider: Provider, **options: Any) -> AsyncOAuth2Client:
    """An OAuth client with the provider's credentials, that follows nobody and listens to short answers only.

    Its use belongs inside `asyncio.timeout(ANSWER_SECONDS)`. Raises ConfigError when there are no credentials.
    """
    told = provider_settings(provider.env_prefix)
    if not told.client_id or told.client_secret is None:
        raise ConfigError(
            f"{provider.title} has no OAuth client: set {provider.env_prefix}CLIENT_ID and "
            f"{provider.env_prefix}CLIENT_SECRET (docs/providers.md says where to get them)."
        )
    return AsyncOAuth2Client(
        told.client_id,
        told.client_secret.get_secret_value(),
        token_endpoint_auth_method=provider.oauth.client_auth,
        revocation_endpoint_auth_method=provider.oauth.client_auth,
        timeout=TIMEOUT,
        follow_redirects=False,
        transport=bounded_transport(),
        **options,
    )


@dataclass(frozen=True)
class _Renewed:
    """What a refresh gave; a refresh token only when it was rotated. Neither is shown where it is."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: datetime


async def _spend(provider: Provider, refresh_token: str) -> _Renewed:
    with alone():
        answer = await _renewal(provider, refresh_token)
    access_token = token_in(answer, "access_token")
    if access_token is None:
        raise Transient(f"{provider.title} answered the renewal without a token.")
    return _Renewed(access_token, token_in(answer, "refresh_token"), expiry(answer))


async def _renewal(provider: Provider, refresh_token: str) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS), oauth_client(provider) as client:
            answer: Mapping[str, Any] = await client.refresh_token(
                provider.oauth.token_url, refresh_token=refresh_token
            )
    except OAuthError as refusal:
        if refusal.error == "invalid_grant":
            raise NeedsReauth(_RECONNECT) from None
        if refusal.error in OUR_FAULT:
            raise ConfigError(f"{provider.title} refused our OAuth client; check its id and secret.") from None
        raise Transient(f"{provider.title} could not renew the access token.") from None
    except (httpx2.HTTPError, TimeoutError, *NO_TOKEN_RESPONSE):
        raise Transient(f"{provider.title} did not answer the renewal of the access token.") from None
    return answer


def _read_grant(transaction: Connection, org_id: UUID, source_id: UUID, provider: Provider) -> Grant:
    row = transaction.execute(
        """select status, access_token_vault_id, refresh_token_vault_id, token_expires_at, mcp_server_url
             from connected_sources where org_id = %s and id = %s and provider = %s""",
        [org_id, source_id, provider.name],
    ).fetchone()
    if row is None or row["access_token_vault_id"] is None:
        raise NeedsReauth("The connection holds no token. Connect again.")
    if row["status"] not in ("active", "error"):
        raise _ended(row["status"])
    if row["mcp_server_url"] != provider.mcp_url:
        # A row that somebody could write must never say where a token goes.
        raise ConfigError(f"The connection's MCP address is not {provider.title}'s; no token was sent. Connect again.")
    return Grant(
        row["access_token_vault_id"], row["refresh_token_vault_id"], row["token_expires_at"], row["mcp_server_url"]
    )


def _ended(status: str) -> BootsError:
    return NeedsReauth(_RECONNECT if status == "needs_reauth" else "The connection was disconnected.")


def _lasts(grant: Grant, provider: Provider) -> bool:
    margin = timedelta(seconds=provider.refresh_margin_seconds)
    return grant.expires_at is not None and grant.expires_at - margin > datetime.now(UTC)
