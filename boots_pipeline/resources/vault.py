"""Where tokens live. The envelope keeps them sealed on plain Postgres; Supabase Vault will implement the same
interface.

Each token is sealed with AES-256-GCM under a data key of its own, the data key under a key of the ring. Both seals
are bound to organisation, connection, purpose and version, so a row that was moved or swapped does not open. The ring
comes from VAULT_KEYS or VAULT_KEY_FILE as `id:base64,id:base64`: the first encrypts, all decrypt. No key, no start.
"""

import base64
import hashlib
import hmac
import os
import stat
from pathlib import Path
from typing import Literal, Protocol, Self
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from boots_pipeline.errors import ConfigError
from boots_pipeline.resources.database import Connection
from boots_pipeline.settings import Settings

Purpose = Literal["access", "refresh"]
_NONCE = 12


class ConnectionVault(Protocol):
    """The tokens of one connection, inside the caller's transaction."""

    def store_token(self, token: str, purpose: Purpose) -> UUID:
        """Keep a token, replacing the one of the same purpose; returns its id."""
        ...

    def read_token(self, vault_id: UUID) -> str:
        """The token. Raises ConfigError when it does not open: wrong key, or a row that was tampered with."""
        ...

    def delete_tokens(self) -> None:
        """Forget every token of the connection."""
        ...


class Vault(Protocol):
    """Hands out the vault of one connection."""

    def check_keys(self, connection: Connection) -> None:
        """Refuse, with ConfigError, keys that are not those of this database."""
        ...

    def for_connection(self, org_id: UUID, connection_id: UUID, transaction: Connection) -> ConnectionVault:
        """`transaction` must admit the organisation (`Database.organisation`, or `user(..., org_id=...)`)."""
        ...


class KeyRing:
    """The keys that wrap data keys, by id. The first encrypts."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys.values()):
            raise ConfigError("VAULT_KEYS must be id:base64 pairs of 32 bytes each, separated by commas.")
        self._keys = keys
        self.primary = next(iter(keys))

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `id:base64,id:base64`."""
        keys = {}
        for entry in text.strip().split(","):
            key_id, _, encoded = entry.strip().partition(":")
            try:
                keys[key_id] = base64.b64decode(encoded, validate=True)
            except ValueError:
                raise ConfigError("VAULT_KEYS must be id:base64 pairs, separated by commas.") from None
        return cls(keys)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The ring of this process. Refuses to go on without one."""
        if settings.vault_keys is not None:
            return cls.parse(settings.vault_keys.get_secret_value())
        if settings.vault_key_file is not None:
            return cls.parse(_read_private(settings.vault_key_file))
        raise ConfigError(
            "No vault key: set VAULT_KEYS or VAULT_KEY_FILE. `boots up` and `boots demo` make one in .boots/."
        )

    def fingerprints(self) -> dict[str, bytes]:
        """What may be stored of each key, to tell a wrong one at start."""
        return {key_id: hmac.digest(key, b"vault-key-check-v1", hashlib.sha256) for key_id, key in self._keys.items()}

    def seal(self, plaintext: bytes, bound_to: bytes, key_id: str | None = None) -> bytes:
        """Nonce and ciphertext, under the primary key or a named one."""
        return _seal(self._keys[key_id or self.primary], plaintext, bound_to)

    def open(self, sealed: bytes, bound_to: bytes, key_id: str) -> bytes:
        """The plaintext. Raises ConfigError."""
        if key_id not in self._keys:
            raise ConfigError(f"The vault key {key_id!r} is missing from VAULT_KEYS; put it back behind the others.")
        return _open(self._keys[key_id], sealed, bound_to)


class EnvelopeVault:
    """The vault on plain Postgres: private.app_secrets holds only what is sealed."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def check_keys(self, connection: Connection) -> None:
        """Refuse a key that has the id of another one: it would seal what nobody can open. Run once at start.

        `connection` is in autocommit: of two processes that start with different keys, the second is refused.
        """
        for key_id, fingerprint in self._ring.fingerprints().items():
            connection.execute(
                "insert into private.vault_keys (key_id, fingerprint) values (%s, %s) on conflict do nothing",
                [key_id, fingerprint],
            )
            stored = connection.execute(
                "select fingerprint from private.vault_keys where key_id = %s", [key_id]
            ).fetchone()
            if stored is None or not hmac.compare_digest(bytes(stored["fingerprint"]), fingerprint):
                raise ConfigError(f"The vault key {key_id!r} is not the one that this database was sealed with.")

    def for_connection(self, org_id: UUID, connection_id: UUID, transaction: Connection) -> ConnectionVault:
        """The tokens of one connection."""
        return _EnvelopeConnectionVault(self._ring, org_id, connection_id, transaction)

    def seal(self, plaintext: str, *bound_to: str) -> bytes:
        """Seal something short-lived that has no row of its own, such as a PKCE verifier."""
        return self._ring.primary.encode() + b":" + self._ring.seal(plaintext.encode(), _bind("short", *bound_to))

    def open(self, sealed: bytes, *bound_to: str) -> str:
        """Open what `seal` made for the same parts."""
        key_id, _, body = bytes(sealed).partition(b":")
        return self._ring.open(body, _bind("short", *bound_to), key_id.decode()).decode()


class _EnvelopeConnectionVault:
    def __init__(self, ring: KeyRing, org_id: UUID, connection_id: UUID, transaction: Connection) -> None:
        self._ring = ring
        self._org_id = org_id
        self._connection_id = connection_id
        self._transaction = transaction

    def store_token(self, token: str, purpose: Purpose) -> UUID:
        held = self._transaction.execute(
            """select id, version from private.app_secrets
                where org_id = %s and connection_id = %s and purpose = %s for update""",
            [self._org_id, self._connection_id, purpose],
        ).fetchone()
        secret_id = held["id"] if held else uuid4()
        version = held["version"] + 1 if held else 1
        data_key = AESGCM.generate_key(256)
        bound_to = self._bound_to(secret_id, purpose, version)
        self._transaction.execute(
            """insert into private.app_secrets (id, org_id, connection_id, purpose, version, key_id, wrapped_key, body)
               values (%s, %s, %s, %s, %s, %s, %s, %s)
               on conflict (org_id, id) do update set version = excluded.version, key_id = excluded.key_id,
                 wrapped_key = excluded.wrapped_key, body = excluded.body, updated_at = clock_timestamp()""",
            [
                secret_id, self._org_id, self._connection_id, purpose, version, self._ring.primary,
                self._ring.seal(data_key, bound_to), _seal(data_key, token.encode(), bound_to),
            ],
        )  # fmt: skip
        return secret_id

    def read_token(self, vault_id: UUID) -> str:
        row = self._transaction.execute(
            """select purpose, version, key_id, wrapped_key, body from private.app_secrets
                where org_id = %s and connection_id = %s and id = %s""",
            [self._org_id, self._connection_id, vault_id],
        ).fetchone()
        if row is None:
            raise ConfigError("The vault holds no such token for this connection; disconnect and connect again.")
        bound_to = self._bound_to(vault_id, row["purpose"], row["version"])
        data_key = self._ring.open(bytes(row["wrapped_key"]), bound_to, row["key_id"])
        return _open(data_key, bytes(row["body"]), bound_to).decode()

    def delete_tokens(self) -> None:
        self._transaction.execute(
            "delete from private.app_secrets where org_id = %s and connection_id = %s",
            [self._org_id, self._connection_id],
        )

    def _bound_to(self, secret_id: UUID, purpose: str, version: int) -> bytes:
        return _bind("token", str(self._org_id), str(self._connection_id), str(secret_id), purpose, str(version))


def _bind(*parts: str) -> bytes:
    # Length-prefixed, so that no two splits of the same characters are the same.
    return b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in ("boots.vault.v1", *parts))


def _seal(key: bytes, plaintext: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, bound_to)


def _open(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to)
    except InvalidTag:
        raise ConfigError("A stored token does not open: the key is wrong, or the row was changed.") from None


def _read_private(path: Path) -> str:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise ConfigError(f"The vault key file {path} does not exist.") from None
    if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.geteuid():
        raise ConfigError(f"The vault key file {path} must belong to this user, with mode 0600.")
    return path.read_text()
