"""The vault on plain Postgres: tokens sealed before they reach it, so that the database never sees one.

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
from typing import Self
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from boots_pipeline.errors import ConfigError
from boots_pipeline.resources.database import Connection
from boots_pipeline.resources.vault import NO_SUCH_TOKEN, ConnectionVault, Purpose
from boots_pipeline.settings import Settings

_NONCE = 12
_REWRAPPED_AT_ONCE = 100


class KeyRing:
    """The keys that wrap data keys, by id. The first encrypts."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys.values()):
            raise ConfigError("VAULT_KEYS must be id:base64 pairs of 32 bytes each, separated by commas.")
        self._keys = keys
        self.primary, *self.others = keys

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

    def seal(self, plaintext: bytes, bound_to: bytes) -> bytes:
        """Nonce and ciphertext, under the primary key."""
        return _seal(self._keys[self.primary], plaintext, bound_to)

    def open(self, sealed: bytes, bound_to: bytes, key_id: str) -> bytes:
        """The plaintext. Raises ConfigError."""
        if key_id not in self._keys:
            raise ConfigError(f"The vault key {key_id!r} is missing from VAULT_KEYS; put it back behind the others.")
        return _open(self._keys[key_id], sealed, bound_to)


class EnvelopeVault:
    """The vault on plain Postgres: private.app_secrets holds only what is sealed."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def check(self, connection: Connection) -> None:
        """Refuse a key that has the id of another one: it would seal what nobody can open. Run once at start.

        `connection` is in autocommit: of two processes that start with different keys, the second is refused.
        """
        for key_id, fingerprint in self._ring.fingerprints().items():
            connection.execute(
                "insert into private.vault_keys (key_id, fingerprint) values (%s, %s) on conflict do nothing",
                [key_id, fingerprint],
            )
        self.unknown_keys(connection)

    def unknown_keys(self, connection: Connection) -> list[str]:
        """The ids of keys that this database has not met. Raises ConfigError for one that has the id of another key."""
        rows = connection.execute("select key_id, fingerprint from private.vault_keys").fetchall()
        known = {row["key_id"]: bytes(row["fingerprint"]) for row in rows}
        for key_id, fingerprint in self._ring.fingerprints().items():
            if key_id in known and not hmac.compare_digest(known[key_id], fingerprint):
                raise ConfigError(f"The vault key {key_id!r} is not the one that this database was sealed with.")
        return [key_id for key_id in self._ring.fingerprints() if key_id not in known]

    def for_connection(self, org_id: UUID, connection_id: UUID, transaction: Connection) -> ConnectionVault:
        """The tokens of one connection."""
        return _EnvelopeConnectionVault(self._ring, org_id, connection_id, transaction)

    def rewrap(self, org_id: UUID, transaction: Connection) -> int:
        """Seal the data keys of up to 100 of an organisation's tokens with the primary key; returns how many.

        Tokens that somebody is renewing just now are passed over.
        """
        rows = transaction.execute(
            """select id, connection_id, purpose, version, key_id, wrapped_key from private.app_secrets
                where org_id = %s and key_id <> %s limit %s for update skip locked""",
            [org_id, self._ring.primary, _REWRAPPED_AT_ONCE],
        ).fetchall()
        rewrapped = []
        for row in rows:
            bound_to = _token_bound_to(org_id, row["connection_id"], row["id"], row["purpose"], row["version"])
            data_key = self._ring.open(bytes(row["wrapped_key"]), bound_to, row["key_id"])
            rewrapped.append((self._ring.primary, self._ring.seal(data_key, bound_to), org_id, row["id"]))
        with transaction.cursor() as cursor:
            cursor.executemany(
                "update private.app_secrets set key_id = %s, wrapped_key = %s where org_id = %s and id = %s", rewrapped
            )
        return len(rewrapped)

    def keys_in_use(self, org_id: UUID, transaction: Connection) -> dict[str, int]:
        """How many of an organisation's tokens each key opens."""
        rows = transaction.execute(
            "select key_id, count(*) as tokens from private.app_secrets where org_id = %s group by key_id", [org_id]
        )
        return {row["key_id"]: row["tokens"] for row in rows}


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

    def read_token(self, vault_id: UUID, purpose: Purpose) -> str:
        row = self._transaction.execute(
            """select version, key_id, wrapped_key, body from private.app_secrets
                where org_id = %s and connection_id = %s and id = %s and purpose = %s""",
            [self._org_id, self._connection_id, vault_id, purpose],
        ).fetchone()
        if row is None:
            raise ConfigError(NO_SUCH_TOKEN)
        bound_to = self._bound_to(vault_id, purpose, row["version"])
        data_key = self._ring.open(bytes(row["wrapped_key"]), bound_to, row["key_id"])
        return _open(data_key, bytes(row["body"]), bound_to).decode()

    def delete_tokens(self) -> None:
        self._transaction.execute(
            "delete from private.app_secrets where org_id = %s and connection_id = %s",
            [self._org_id, self._connection_id],
        )

    def _bound_to(self, secret_id: UUID, purpose: str, version: int) -> bytes:
        return _token_bound_to(self._org_id, self._connection_id, secret_id, purpose, version)


def _token_bound_to(org_id: UUID, connection_id: UUID, secret_id: UUID, purpose: str, version: int) -> bytes:
    # Length-prefixed, so that no two splits of the same characters are the same.
    parts = ("boots.vault.v1", "token", str(org_id), str(connection_id), str(secret_id), purpose, str(version))
    return b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)


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
