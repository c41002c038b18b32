"""What Google's services have in common: one authorisation server, one way to say whose account it is, one shape of
errors.

Facts of 2026-11 (docs/providers.md names the sources): a refresh token comes with the first consent only, unless
consent is asked for again, and is not rotated; no tool names the account, the ID token does at the consent and the
UserInfo endpoint at any time; 403 says both "not allowed" and "too fast", and only its reason tells them apart.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError

from boots_pipeline.errors import BadPage
from boots_pipeline.providers.answers import Trouble, stated_status
from boots_pipeline.providers.base import Account, OAuthFacts, Provider, Tools

# Said in an error's `reason` or `status`, in text or in JSON.
_REASONS = {
    "rateLimitExceeded": 429,
    "userRateLimitExceeded": 429,
    "RATE_LIMIT_EXCEEDED": 429,
    "RESOURCE_EXHAUSTED": 429,
    "authError": 401,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "insufficientFilePermissions": 403,
    "exportSizeLimitExceeded": 403,
    "notFound": 404,
    "NOT_FOUND": 404,
    "UNAVAILABLE": 503,
}
_REASON = re.compile(rf'\\?"(?:reason|status)\\?"\s*:\s*\\?"({"|".join(_REASONS)})\b')
_CODE = re.compile(r'\\?"code\\?"\s*:\s*([1-5]\d\d)\b')


def google_oauth(scope: str) -> OAuthFacts:
    """The authorisation server, asked for one service's scope and for whose account it is."""
    return OAuthFacts(
        issuer="https://accounts.google.com",
        authorization_url="https://accounts.google.com/o/oauth2/v2/auth",
        token_url="https://oauth2.googleapis.com/token",  # noqa: S106 an address
        revocation_url="https://oauth2.googleapis.com/revoke",
        userinfo_url="https://openidconnect.googleapis.com/v1/userinfo",
        discovery_url="https://accounts.google.com/.well-known/openid-configuration",
        client_auth="client_secret_post",
        scopes=("openid", "https://www.googleapis.com/auth/userinfo.email", scope),
        # Without these there is no refresh token, or none at the second consent.
        authorize_parameters={"access_type": "offline", "prompt": "consent"},
    )


async def google_account(tools: Tools) -> Account:
    """Whose account it is now. `sub` never changes; the address may, and then it is another name for the same."""
    account = _account(await tools.user_info())
    if account is None:
        raise BadPage("Google did not say whose account this is.")
    return account


class GoogleProvider(Provider):
    """One of Google's services."""

    def account_of(self, token_response: Mapping[str, Any], callback: Mapping[str, str]) -> Account | None:
        return _account(_claims(token_response.get("id_token")))

    def trouble(self, status: int, text: str) -> Trouble:
        if reason := _REASON.search(text):
            return Trouble(_REASONS[reason[1]])
        code = _CODE.search(text)
        return Trouble(status or (int(code[1]) if code else stated_status(text)))


def _account(claims: Mapping[str, Any]) -> Account | None:
    subject, address = claims.get("sub"), claims.get("email")
    if not isinstance(subject, str) or not subject:
        return None
    return Account(subject, address if isinstance(address, str) else None)


def _claims(id_token: Any) -> Mapping[str, Any]:
    """What an ID token says. Its signature need not be checked: it came from the token endpoint itself, over TLS
    (OpenID Connect Core §3.1.3.7)."""
    if not isinstance(id_token, str):
        return {}
    try:
        claims = orjson.loads(jws.extract_compact(id_token.encode()).payload)
    except (JoseError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
