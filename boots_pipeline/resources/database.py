"""Postgres as a restricted role: pools, and transactions that belong to one organisation or one user.

The queries live with their subject; what belongs here is how a connection is opened, whom it acts for, and how its
errors are stripped of row data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from uuid import UUID

import orjson
import psycopg
from pgvector.psycopg.vector import register_vector_info
from psycopg.rows import DictRow, dict_row
from psycopg.types import TypeInfo
from psycopg_pool import ConnectionPool, PoolTimeout

from boots_pipeline.errors import ConfigError, DatabaseError, InfraError

Connection = psycopg.Connection[DictRow]

# Where pg_temp is not named it comes first: a temporary table would hide ours from the next borrower.
_OPTIONS = "-c TimeZone=UTC -c search_path=public,extensions,pg_temp"

_PATIENCE_SECONDS = 10


class Database:
    """A pool of connections to one URL. Rows are dictionaries, vectors numpy arrays, times UTC."""

    def __init__(self, url: str, *, application: str, size: int = 6) -> None:
        self._url = url
        self._application = application
        self._size = size

    @cached_property
    def _pool(self) -> ConnectionPool[Connection]:
        _refuse_unusable(self._url)
        pool = ConnectionPool(
            self._url,
            connection_class=psycopg.Connection[DictRow],
            kwargs={
                "row_factory": dict_row,
                "application_name": self._application,
                "options": _OPTIONS,
                # Prepared, a statement may keep the plan that was made for another organisation's size.
                "prepare_threshold": None,
            },
            min_size=1,
            max_size=self._size,
            timeout=_PATIENCE_SECONDS,
            max_lifetime=1800,
            configure=_configure,
            reset=_forget_the_borrower,
            check=ConnectionPool.check_connection,
            open=False,
        )
        pool.open()
        return pool

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in autocommit: each statement is its own transaction, on behalf of no organisation."""
        with _safe_errors(), self._pool.connection() as connection:
            connection.set_autocommit(True)
            try:
                yield connection
            finally:
                if not connection.closed:
                    connection.set_autocommit(False)

    @contextmanager
    def organisation(self, org_id: UUID) -> Iterator[Connection]:
        """A transaction whose policies admit one organisation's rows."""
        with _safe_errors(), self._pool.connection() as connection, connection.transaction():
            connection.execute("select set_config('app.org_id', %s, true)", [str(org_id)])
            yield connection

    @contextmanager
    def user(self, user_id: UUID, *, org_id: UUID | None = None, as_authenticated: bool = True) -> Iterator[Connection]:
        """A transaction with a user's claims: as `authenticated`, or as ourselves to call what is ours to call.

        `org_id` admits that organisation's secrets too; only give one whose admin the user was found to be.
        """
        claims = orjson.dumps({"sub": str(user_id), "role": "authenticated"}).decode()
        with _safe_errors(), self._pool.connection() as connection, connection.transaction():
            connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
            if org_id is not None:
                connection.execute("select set_config('app.org_id', %s, true)", [str(org_id)])
            if as_authenticated:
                connection.execute("set local role authenticated")
            yield connection

    def close(self) -> None:
        """Close the pool, if one was opened."""
        if "_pool" in self.__dict__:
            self._pool.close()


def _refuse_unusable(url: str) -> None:
    """Refuse what no connection will mend. Within the pool this would only be a pool that never fills."""
    try:
        connection = psycopg.connect(url, options=_OPTIONS, connect_timeout=_PATIENCE_SECONDS)
    except psycopg.OperationalError:
        raise InfraError(
            "The database does not answer, or does not let this role in. `boots up` starts a local one, `boots "
            "migrate` makes the roles."
        ) from None
    with connection:
        role = connection.execute(
            "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"
        ).fetchone()
        if role is None or role[0]:
            raise ConfigError(
                "This process connected as a superuser or with BYPASSRLS, where row level security does not hold. "
                "Set WORKER_DATABASE_URL to boots_worker and WEB_DATABASE_URL to boots_web."
            )
        if TypeInfo.fetch(connection, "vector") is None:
            raise ConfigError(
                "This role finds no type for vectors in the database: run `boots migrate`, DATABASE_URL being its "
                "owner's."
            )


def _configure(connection: psycopg.Connection[Any]) -> None:
    # Not register_vector(), which asks for four types: we have one. At each connection: a restore makes it anew.
    register_vector_info(connection, TypeInfo.fetch(connection, "vector"))
    connection.commit()


def _forget_the_borrower(connection: psycopg.Connection[Any]) -> None:
    """Settings of a transaction end with it; this is for what a statement set for the session, organisation or role."""
    connection.set_autocommit(True)
    connection.execute("reset all; reset role")
    connection.set_autocommit(False)


@contextmanager
def _safe_errors() -> Iterator[None]:
    """The one place where a Postgres error loses its text, which holds row data."""
    try:
        yield
    except PoolTimeout:
        raise InfraError(
            f"No database connection was free within {_PATIENCE_SECONDS} s, or the database is down."
        ) from None
    except psycopg.Error as error:
        raise DatabaseError(error.sqlstate, error.diag.table_name, error.diag.constraint_name) from None
