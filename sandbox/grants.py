"""What an authorisation server remembers: codes, tokens, and who they belong to. No HTTP here.

A grant is one consent. Where a provider rotates, its refresh token changes with every use; using a dead one kills the
whole grant, since then two parties hold it (RFC 9700 §4.14).
"""

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

CODE_LIFETIME = 60


class InvalidGrant(Exception):
    """The code or token is unknown, used, expired, or was issued for something else."""


@dataclass(eq=False)
class Grant:
    """One organisation's consent, to what was asked for."""

    organization: str
    scopes: tuple[str, ...] = ()
    lasting: bool = True  # whether it comes with a refresh token
    revoked: bool = False


@dataclass(frozen=True)
class Code:
    grant: Grant
    redirect_uri: str
    challenge: str | None  # None: PKCE was not used
    expires: float


@dataclass(frozen=True)
class Access:
    grant: Grant
    expires: float


@dataclass
class GrantBook:
    """Every code and token of one provider. Time is monotonic: lifetimes, not dates."""

    expires_in: int
    rotates: bool = True
    kept: Path | None = None  # a file that outlives the process: who has connected stays connected
    codes: dict[str, Code] = field(default_factory=dict)
    used_codes: dict[str, Grant] = field(default_factory=dict)
    access: dict[str, Access] = field(default_factory=dict)
    refresh: dict[str, Grant] = field(default_factory=dict)
    dead_refresh: dict[str, Grant] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kept is not None and self.kept.exists():
            self.refresh = {token: Grant(*of) for token, of in json.loads(self.kept.read_text()).items()}

    def secrets(self) -> set[str]:
        """Every code and token that was ever given out: what must be found nowhere."""
        return {*self.codes, *self.used_codes, *self.access, *self.refresh, *self.dead_refresh}

    def issue_code(self, grant: Grant, redirect_uri: str, challenge: str | None) -> str:
        code = secrets.token_urlsafe(24)
        self.codes[code] = Code(grant, redirect_uri, challenge, time.monotonic() + CODE_LIFETIME)
        return code

    def redeem(self, code: str, redirect_uri: str, verifier: str | None) -> Grant:
        """Once. A second attempt revokes what the first one got."""
        if code in self.used_codes:
            self.used_codes[code].revoked = True
            raise InvalidGrant("the code was used before")
        issued = self.codes.pop(code, None)
        if issued is None:
            raise InvalidGrant("the code is unknown")
        self.used_codes[code] = issued.grant
        if issued.expires < time.monotonic():
            raise InvalidGrant("the code has expired")
        if issued.redirect_uri != redirect_uri:
            raise InvalidGrant("the redirect_uri differs from the one of the authorization request")
        if issued.challenge and not secrets.compare_digest(s256(verifier or ""), issued.challenge):
            raise InvalidGrant("the code_verifier does not match")
        return issued.grant

    def rotate(self, refresh_token: str) -> Grant:
        if refresh_token in self.dead_refresh:
            self.dead_refresh[refresh_token].revoked = True
            raise InvalidGrant("the refresh token was used before; the whole grant is revoked")
        grant = self.refresh.get(refresh_token)
        if grant is None or grant.revoked:
            raise InvalidGrant("the refresh token is unknown or revoked")
        if self.rotates:
            self.dead_refresh[refresh_token] = self.refresh.pop(refresh_token)
        return grant

    def issue_tokens(self, grant: Grant, *, refreshed: bool = False) -> tuple[str, str | None]:
        """An access token, and a refresh token where this grant is due one: at first, and when they rotate."""
        access = secrets.token_urlsafe(32)
        self.access[access] = Access(grant, time.monotonic() + self.expires_in)
        if not grant.lasting or (refreshed and not self.rotates):
            return access, None
        refresh = secrets.token_urlsafe(32)
        self.refresh[refresh] = grant
        self._keep()
        return access, refresh

    def grant_of(self, access_token: str) -> Grant | None:
        """The consent that this token stands for, or None if it opens nothing."""
        access = self.access.get(access_token)
        if access is None or access.grant.revoked or access.expires < time.monotonic():
            return None
        return access.grant

    def is_active(self, token: str) -> bool:
        grant = self.refresh.get(token)
        return self.grant_of(token) is not None or (grant is not None and not grant.revoked)

    def revoke(self, token: str) -> None:
        """A refresh token takes its grant along. Unknown tokens are no error (RFC 7009)."""
        if grant := self.refresh.pop(token, None):
            grant.revoked = True
        self.access.pop(token, None)
        self._keep()

    def expire_access_tokens(self) -> None:
        self.access.clear()

    def clear(self) -> None:
        for kept in (self.codes, self.used_codes, self.access, self.refresh, self.dead_refresh):
            kept.clear()
        self._keep()

    def _keep(self) -> None:
        """Refresh tokens only: whoever has one gets an access token, as after any hour."""
        if self.kept is not None:
            alive = {
                token: [grant.organization, grant.scopes] for token, grant in self.refresh.items() if not grant.revoked
            }
            self.kept.write_text(json.dumps(alive))


def s256(verifier: str) -> str:
    """RFC 7636 §4.2. Any text may come in as a verifier; what is not ASCII cannot match."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
