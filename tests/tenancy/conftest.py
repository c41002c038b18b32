"""One database with the scene set, for all of tests/tenancy, and attackers with the real roles. What is done there is
undone, and no test leaves a trace in the other organisation.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from boots_pipeline.local.postgres import DatabaseUrls
from tests.tenancy.matrix import undone
from tests.tenancy.scene import A, B, Connection, Table, populate, read_tables

_PATH = "-c search_path=public,extensions"


@pytest.fixture(scope="session")
def urls(postgres: str) -> DatabaseUrls:
    """The scene's database."""
    urls = DatabaseUrls.on_socket(postgres, "boots_tenancy")
    with psycopg.connect(DatabaseUrls.on_socket(postgres, "postgres").owner, autocommit=True) as connection:
        connection.execute("create database boots_tenancy template template_boots")
    with psycopg.connect(urls.owner, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
        populate(connection)
    return urls


@pytest.fixture
def superuser(urls: DatabaseUrls) -> Iterator[Connection]:
    """A session that becomes each caller in turn; nothing that it does is kept."""
    with psycopg.connect(urls.owner, row_factory=psycopg.rows.dict_row) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def tables(superuser: Connection) -> list[Table]:
    """Every table that holds rows of tenants."""
    return [table for table in read_tables(superuser) if table.tenant]


@dataclass(frozen=True)
class Attacker:
    """Somebody of organisation A with any SQL that he likes, and Postgres's own answers, unscrubbed."""

    connection: Connection

    def attempt(self, statement: str | sql.Composed, parameters: Any = None) -> list[dict[str, Any]] | str:
        """The rows that came back, or the SQLSTATE of the refusal. Undone either way."""
        return self._ask(statement, parameters, lambda cursor: cursor.fetchall() if cursor.description else [])

    def touched(self, statement: str) -> int | str:
        """How many rows it reached, or the SQLSTATE."""
        return self._ask(statement, None, lambda cursor: cursor.rowcount)

    def _ask(self, statement: Any, parameters: Any, answer: Callable[[psycopg.Cursor[Any]], Any]) -> Any:
        try:
            with undone(self.connection):
                return answer(self.connection.execute(statement, parameters))
        except psycopg.Error as error:
            return error.sqlstate


@contextmanager
def member_session(urls: DatabaseUrls, claims: str) -> Iterator[Attacker]:
    """A session as the pages open it for a user, with the claims given."""
    with psycopg.connect(urls.web, row_factory=psycopg.rows.dict_row, options=_PATH) as connection:
        connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        connection.execute("set local role authenticated")
        yield Attacker(connection)
        connection.rollback()


@pytest.fixture
def member(urls: DatabaseUrls) -> Iterator[Attacker]:
    """A member of A."""
    with member_session(urls, json.dumps({"sub": str(A.member), "role": "authenticated"})) as attacker:
        yield attacker


@pytest.fixture
def worker(urls: DatabaseUrls) -> Iterator[Attacker]:
    """The pipeline in a job of A."""
    with psycopg.connect(urls.worker, row_factory=psycopg.rows.dict_row, options=_PATH) as connection:
        connection.execute("select set_config('app.org_id', %s, true)", [str(A.id)])
        yield Attacker(connection)
        connection.rollback()


@pytest.fixture(params=["member", "worker"])
def attacker(request: pytest.FixtureRequest) -> Attacker:
    """Each of the two."""
    found: Attacker = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def b_unchanged(superuser: Connection, tables: list[Table]) -> Iterator[None]:
    """Organisation B has the same rows afterwards, to the letter."""

    def state() -> dict[str, str]:
        return {
            table.name: superuser.execute(
                f"select string_agg(t::text, '' order by t::text) as all from {table.name} t where {table.tenant} = %s",
                [B.id],
            ).fetchone()["all"]
            for table in tables
        }

    before = state()
    assert all(before.values())
    superuser.rollback()
    yield
    assert state() == before
