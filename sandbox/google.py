"""What the twins of Google's services have in common: the authorisation server's quirks, errors, whose account it is.

Like the real ones they list their tools to anybody, answer with structured content, give a refresh token only to who
asks for offline access, and never rotate it.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey

from sandbox.oauth import CLIENT_ID, CLIENT_SECRET
from sandbox.provider import OAuthFacts, Refusal
from sandbox.world import Organization

ERRORS = {
    401: ("UNAUTHENTICATED", "authError", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "insufficientPermissions", "The caller does not have permission."),
    404: ("NOT_FOUND", "notFound", "Requested entity was not found."),
    429: ("RESOURCE_EXHAUSTED", "rateLimitExceeded", "Quota exceeded."),
}


def oauth_facts(scope: str, in_words: str) -> OAuthFacts:
    """Google's authorisation server, for one service."""
    return OAuthFacts(
        authorize_path="/o/oauth2/v2/auth",
        token_path="/token",  # noqa: S106 - a path
        revoke_path="/revoke",
        userinfo_path="/v1/userinfo",
        expires_in=3599,
        client_auth=("post", "basic"),
        requires_pkce=False,
        rotates=False,
        sends_issuer=False,
        scopes={
            "openid": "know who you are",
            "https://www.googleapis.com/auth/userinfo.email": "see your email address",
            scope: in_words,
        },
        for_refresh_token={"access_type": "offline", "prompt": "consent"},
    )


def error_body(status: int) -> dict[str, Any]:
    """Google's errors, as its REST APIs write them."""
    state, reason, message = ERRORS.get(status, ("INTERNAL", "backendError", "Internal error encountered."))
    return {
        "error": {
            "code": status,
            "message": message,
            "status": state,
            "errors": [{"domain": "global", "reason": reason, "message": message}],
        }
    }


def page_token(offset: int) -> str:
    """Where the next page of a list begins, in the opaque form that only the server reads."""
    return base64.urlsafe_b64encode(f"page:{offset}".encode()).decode()


def offset_of(token: str | None) -> int:
    """Where a page begins; `Refusal` for a token that was never given."""
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("page:"))
    except ValueError:
        raise Refusal(json.dumps(error_body(400))) from None


def token_extras(organization: Organization) -> dict[str, Any]:
    """The ID token of the account's owner: the admin, as on the consent page."""
    claims = {"iss": "https://accounts.google.com", "aud": CLIENT_ID, **user_info(organization)}
    return {"id_token": jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET * 2))}


def user_info(organization: Organization) -> dict[str, Any]:
    """What Google tells of whose account it is, to who asked for `openid` and the address."""
    return {"sub": account_id(organization), "email": organization.admin.email, "email_verified": True}


class UserInfo:
    """OpenID Connect's UserInfo endpoint, which tells the same as the ID token did, for as long as the grant lives."""

    scope = "openid"

    def read(self, organization: Organization, path: str, asked: Mapping[str, str]) -> Any:
        if path != "userinfo":
            raise Refusal("Requested entity was not found.", status=404)
        return user_info(organization)

    def refusal_body(self, refusal: Refusal) -> dict[str, Any]:
        return error_body(refusal.status)

    def spoil(self, kind: str, arguments: Mapping[str, Any], answer: Any) -> Any:
        """Nobody's, or somebody's who has no name; there are no rows to spoil in another way."""
        return {"empty": {}, "malformed_item": {**answer, "sub": {"no": "id"}}}.get(kind, answer)


def account_id(organization: Organization) -> str:
    """Google's own number of the account."""
    return f"1{zlib.crc32(organization.slug.encode()):020d}"
