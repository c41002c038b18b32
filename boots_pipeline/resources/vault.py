"""Where tokens live, as everybody but the two vaults themselves sees it: Supabase Vault where the database has it, our
envelope on any Postgres. One of them holds all tokens of a database; VAULT says which.
"""

from typing import Literal, Protocol
from uuid import UUID

from boots_pipeline.resources.database import Connection

Purpose = Literal["access", "refresh"]
NO_SUCH_TOKEN = "The vault holds no such token for this connection; disconnect and connect again."  # noqa: S105


class ConnectionVault(Protocol):
    """The tokens of one connection, inside the caller's transaction."""

    def store_token(self, token: str, purpose: Purpose) -> UUID:
        """Keep a token, replacing the one of the same purpose; returns its id."""
        ...

    def read_token(self, vault_id: UUID, purpose: Purpose) -> str:
        """The token. Raises ConfigError when there is none of this connection and purpose, or it does not open: wrong
        key, or a row that was tampered with."""
        ...

    def delete_tokens(self) -> None:
        """Forget every token of the connection."""
        ...


class Vault(Protocol):
    """Hands out the vault of one connection."""

    def check(self, connection: Connection) -> None:
        """Refuse, with ConfigError, a database whose tokens this could not open. `connection` is in autocommit."""
        ...

    def for_connection(self, org_id: UUID, connection_id: UUID, transaction: Connection) -> ConnectionVault:
        """`transaction` must admit the organisation (`Database.organisation`, or `user(..., org_id=...)`)."""
        ...
