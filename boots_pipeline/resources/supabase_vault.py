"""Supabase Vault, which seals inside the database with a key that only the server has.

The pipeline and the pages reach it through three SQL functions that open one connection's secrets
(sql/…_supabase_vault.sql): whoever could read the vault's own view would read every tenant's tokens. Tokens travel
as bound parameters, since a statement's text may be logged.
"""

from uuid import UUID

import psycopg

from boots_pipeline.errors import ConfigError
from boots_pipeline.resources.database import Connection
from boots_pipeline.resources.vault import NO_SUCH_TOKEN, ConnectionVault, Purpose


class SupabaseVault:
    """The vault of a database with the extension `supabase_vault` 0.3 or later."""

    def check(self, connection: Connection) -> None:
        """Refuse a database without it."""
        row = connection.execute("select private.has_supabase_vault() as there").fetchone()
        if row is None or not row["there"]:
            raise ConfigError(
                "VAULT is supabase, but this database has no Supabase Vault 0.3 or later: run `create extension "
                "supabase_vault cascade`, or set VAULT=envelope and VAULT_KEYS."
            )

    def for_connection(self, org_id: UUID, connection_id: UUID, transaction: Connection) -> ConnectionVault:
        """The tokens of one connection."""
        return _SupabaseConnectionVault(org_id, connection_id, transaction)


class _SupabaseConnectionVault:
    def __init__(self, org_id: UUID, connection_id: UUID, transaction: Connection) -> None:
        self._org_id = org_id
        self._connection_id = connection_id
        self._transaction = transaction

    def store_token(self, token: str, purpose: Purpose) -> UUID:
        row = self._transaction.execute(
            "select private.vault_store(%s, %s, %s, %s) as id", [self._org_id, self._connection_id, purpose, token]
        ).fetchone()
        assert row is not None
        return UUID(str(row["id"]))

    def read_token(self, vault_id: UUID, purpose: Purpose) -> str:
        try:
            with self._transaction.transaction():  # a secret that does not open must not end the caller's transaction
                row = self._transaction.execute(
                    "select private.vault_read(%s, %s, %s, %s) as token",
                    [self._org_id, self._connection_id, purpose, vault_id],
                ).fetchone()
        except (psycopg.InternalError, psycopg.DataError):
            raise ConfigError(
                "A stored token does not open: the vault's key is wrong, or the row was changed."
            ) from None
        if row is None or row["token"] is None:
            raise ConfigError(NO_SUCH_TOKEN)
        return str(row["token"])

    def delete_tokens(self) -> None:
        self._transaction.execute("select private.vault_delete(%s, %s)", [self._org_id, self._connection_id])
