"""Attacks 18 to 22: who the database and the pages take somebody for. (17, the forged token, is the sign-in's:
tests/oauth_app.)
"""

import json
from typing import Any
from uuid import UUID

import psycopg
import pytest

from boots_pipeline.errors import DatabaseError
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.resources.database import Database
from tests.tenancy.conftest import Attacker, member_session
from tests.tenancy.scene import REMOVED, A, B, Connection, Table

NOBODY = UUID(int=7)


def shown(attacker: Attacker, tables: list[Table]) -> set[Any]:
    """Whose rows a session sees in all tables, and how it is refused where it fails."""
    found: set[Any] = set()
    for table in tables:
        rows = attacker.attempt(f"select {table.tenant} as whose from {table.name}")
        found |= {rows} if isinstance(rows, str) else {row["whose"] for row in rows}
    return found - {"42501"}


def test_attack_18_an_organisation_in_the_users_own_metadata(urls: DatabaseUrls, tables: list[Table]) -> None:
    told = {"org_id": str(B.id), "role": "owner", "sub": str(B.admin)}
    for sub, expected in ((A.member, {A.id}), (REMOVED, set())):
        claims = {
            "sub": str(sub),
            "user_metadata": told,
            "app_metadata": told,
            "org_id": str(B.id),
            "role": "service_role",
        }
        with member_session(urls, json.dumps(claims)) as attacker:
            assert shown(attacker, tables) == expected


def test_attack_19_a_token_outlives_the_membership(urls: DatabaseUrls, tables: list[Table], owner: Connection) -> None:
    member = owner.execute("select gen_random_uuid() as id").fetchone()["id"]
    owner.execute("insert into organization_members values (%s, %s, 'admin')", [A.id, member])
    with member_session(urls, json.dumps({"sub": str(member)})) as attacker:
        assert shown(attacker, tables) == {A.id}
        owner.execute("delete from organization_members where user_id = %s", [member])
        assert shown(attacker, tables) == set()
        joined = "insert into connected_sources (org_id, provider, connected_by) values (%s, 'gmail', %s)"
        assert attacker.attempt(joined, [A.id, member]) == "42501"


@pytest.mark.parametrize("claims", [
    "", "{}", "null", '{"sub": null}', '{"sub": ""}', f'{{"sub": "{NOBODY}"}}', '{"role": "service_role"}',
])  # fmt: skip
def test_attack_20_claims_that_name_nobody(urls: DatabaseUrls, tables: list[Table], claims: str) -> None:
    with member_session(urls, claims) as attacker:
        assert shown(attacker, tables) <= {"22P02"}


@pytest.mark.parametrize(
    "claims", [f'{{"sub": "{A.member} or true"}}', '{"sub": "%"}', '{"sub": ["x"]}', "[]", "{", "x"]
)
def test_attack_20_claims_that_are_none(urls: DatabaseUrls, tables: list[Table], claims: str) -> None:
    """They raise, or they name nobody; a row they never show."""
    with member_session(urls, claims) as attacker:
        assert shown(attacker, tables) <= {"22P02"}


@pytest.fixture
def one_connection(urls: DatabaseUrls) -> Any:
    """The pages' pool with one connection, which everybody gets after everybody else."""
    database = Database(urls.web, application="one", size=1)
    yield database
    database.close()


def nobody_is_left(database: Database) -> None:
    """The next borrower is boots_web again, on behalf of nobody, and sees the tables that he means."""
    with database.connection() as connection:
        now = connection.execute(
            """select current_user, auth.uid() as user_id, private.current_org() as org_id,
                      to_regclass('proposals')::oid = 'public.proposals'::regclass::oid as ours"""
        ).fetchone()
    assert now == {"current_user": "boots_web", "user_id": None, "org_id": None, "ours": True}
    with pytest.raises(DatabaseError, match="42501"), database.connection() as connection:
        connection.execute("select * from organizations")


def test_attack_21_the_next_borrower_of_a_connection(one_connection: Database) -> None:
    with one_connection.user(A.member, org_id=A.id) as transaction:
        backend = transaction.execute("select pg_backend_pid() as pid").fetchone()
        assert transaction.execute("select id from organizations").fetchall() == [{"id": A.id}]
    nobody_is_left(one_connection)
    with pytest.raises(DatabaseError), one_connection.user(A.member, org_id=A.id) as transaction:
        transaction.execute("select 1 / 0")
    nobody_is_left(one_connection)
    with one_connection.user(B.member) as transaction:
        assert transaction.execute("select id from organizations").fetchall() == [{"id": B.id}]
        assert transaction.execute("select pg_backend_pid() as pid").fetchone() == backend


@pytest.mark.parametrize("left", [
    f"select set_config('request.jwt.claims', '{{\"sub\": \"{A.member}\"}}', false)",
    f"select set_config('request.jwt.claim.sub', '{A.member}', false)",
    f"select set_config('app.org_id', '{A.id}', false)",
    "set session role authenticated",
    "set search_path = pg_temp",
    "create temp table proposals as select * from public.proposals",
])  # fmt: skip
def test_attack_21_what_a_statement_left_for_the_session(one_connection: Database, left: str) -> None:
    with one_connection.user(A.member) as transaction:
        transaction.execute(left)
    nobody_is_left(one_connection)


def test_attack_21_the_pipelines_next_job(urls: DatabaseUrls) -> None:
    database = Database(urls.worker, application="one", size=1)
    seen = "select distinct org_id from source_documents"
    try:
        for organisation in (A, B):
            with database.organisation(organisation.id) as transaction:
                assert transaction.execute(seen).fetchall() == [{"org_id": organisation.id}]
            with database.connection() as connection:
                assert connection.execute(seen).fetchall() == []
    finally:
        database.close()


@pytest.mark.parametrize("named", ["", str(NOBODY)])
def test_attack_22_no_job_no_rows(worker: Attacker, tables: list[Table], named: str) -> None:
    worker.connection.execute("select set_config('app.org_id', %s, true)", [named])
    assert shown(worker, tables) == set()


def test_attack_22_a_setting_of_a_transaction_where_there_is_none(database: Database, web_database: Database) -> None:
    """In autocommit it ends with its own statement, and the next one sees nothing: it fails closed."""
    with database.connection() as connection:
        connection.execute("select set_config('app.org_id', %s, true)", [str(A.id)])
        assert connection.execute("select * from source_documents").fetchall() == []
    with web_database.connection() as connection:
        connection.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps({"sub": str(A.member)})])
        connection.execute("set local role authenticated")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from source_documents")
