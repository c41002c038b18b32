"""Who somebody is by Supabase's word: its access tokens, verified.

The settings say how they are signed (the project's published keys, or its legacy shared secret), never a token's own
header. A valid token proves who signed in, and nothing else: what they may do is read from the members table at each
request. Supabase signs for other roles with the same keys (service_role, anonymous users); those are nobody here.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import httpx
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet, OctKey
from joserfc.jws import extract_compact

from boots_pipeline.errors import ConfigError, Transient
from boots_pipeline.settings import Settings

_LEEWAY_SECONDS = 10
_LONGEST_TOKEN = 16 * 1024
_LONGEST_KEY_SET = 64 * 1024
_SHORTEST_SECRET = 32
_KEYS_LAST_SECONDS = 600  # as long as Supabase's own edge keeps them: a withdrawn key is out after that
_GRACE_SECONDS = 1_800  # for as long more, where Supabase does not answer when it is asked again
_ANSWER_SECONDS = 5
_ASK_AGAIN_SECONDS = 30  # tokens with made-up key ids make us ask no more often than this


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who signed in at Supabase."""

    id: UUID
    email: str


class NotSignedIn(Exception):
    """The token is no proof of anything. Why is for nobody's eyes."""


class SupabaseSignIn:
    """Verifies access tokens of one Supabase project."""

    def __init__(self, issuer: str, algorithms: list[str], key_of: Callable[[str | None], Key]) -> None:
        self._algorithms = algorithms
        self._key_of = key_of
        self._claims = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": "authenticated"},
            role={"essential": True, "value": "authenticated"},
            exp={"essential": True},
            sub={"essential": True},
        )

    def verify(self, token: str) -> User:
        """The user of an access token. Raises NotSignedIn, and Transient when Supabase does not tell its keys."""
        if len(token) > _LONGEST_TOKEN:
            raise NotSignedIn
        try:
            key = self._key_of(extract_compact(token.encode()).headers().get("kid"))
            claims = jwt.decode(token, key, algorithms=self._algorithms).claims
            self._claims.validate(claims)
            if claims.get("is_anonymous") is True:
                raise NotSignedIn
            return User(UUID(claims["sub"]), str(claims.get("email") or ""))
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
            raise NotSignedIn from None


def supabase_sign_in(settings: Settings) -> SupabaseSignIn | None:
    """As SUPABASE_URL and SUPABASE_JWT_SECRET say; None without them. Raises ConfigError."""
    if settings.supabase_url is None:
        if settings.supabase_jwt_secret is not None:
            raise ConfigError("SUPABASE_JWT_SECRET is set and SUPABASE_URL is not: it says who the issuer is.")
        return None
    issuer = f"{settings.supabase_url.rstrip('/')}/auth/v1"
    if settings.supabase_jwt_secret is None:
        return SupabaseSignIn(issuer, ["ES256", "RS256"], _PublishedKeys(f"{issuer}/.well-known/jwks.json").key)
    secret = settings.supabase_jwt_secret.get_secret_value()
    if len(secret.encode()) < _SHORTEST_SECRET:
        raise ConfigError(f"SUPABASE_JWT_SECRET must be at least {_SHORTEST_SECRET} bytes; copy it whole.")
    shared = OctKey.import_key(secret)
    return SupabaseSignIn(issuer, ["HS256"], lambda kid: shared)


@dataclass
class _PublishedKeys:
    """A project's public keys (RFC 7517), asked for when they are needed and kept for ten minutes; longer, where
    Supabase does not answer. One asks at a time, for five seconds at most, and nobody again within half a minute."""

    url: str
    _keys: dict[str, Key] = field(default_factory=dict)
    _told_at: float = float("-inf")
    _asked_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def key(self, kid: str | None) -> Key:
        """The key with this id. Raises NotSignedIn when there is none."""
        if not isinstance(kid, str):
            raise NotSignedIn
        with self._lock:
            age = time.monotonic() - self._told_at
            wanted = kid not in self._keys or age > _KEYS_LAST_SECONDS
            if wanted and time.monotonic() - self._asked_at > _ASK_AGAIN_SECONDS:
                self._asked_at = time.monotonic()
                with contextlib.suppress(Transient):
                    self._keys, self._told_at = self._ask(), time.monotonic()
                    age = 0
            if age > _KEYS_LAST_SECONDS + _GRACE_SECONDS:
                raise Transient("Supabase did not tell its signing keys. Try again in a minute.")
            if kid not in self._keys:
                raise NotSignedIn
            return self._keys[kid]

    def _ask(self) -> dict[str, Key]:
        try:
            until = time.monotonic() + _ANSWER_SECONDS
            with httpx.stream("GET", self.url, timeout=_ANSWER_SECONDS, follow_redirects=False) as answer:
                answer.raise_for_status()
                body = b""
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > _LONGEST_KEY_SET or time.monotonic() > until:
                        raise ValueError("too long")
            keys = KeySet.import_key_set(orjson.loads(body)).keys
        except (httpx.HTTPError, JoseError, ValueError, TypeError, KeyError):
            raise Transient("Supabase did not tell its signing keys. Try again in a minute.") from None
        # Public keys only: a shared secret that is published would let anybody sign.
        return {key.kid: key for key in keys if key.kid and key.key_type in ("EC", "RSA")}
