"""A database in the state of hosted Supabase: who migrates is no superuser, two files of the sprint were applied by
hand, the API's roles are granted everything by default. It becomes what a fresh one is, and no more of it is open."""

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from boots_pipeline.local.postgres import DatabaseUrls, embedded_postgres
from boots_pipeline.migrations import SQL_FOLDER, migrate, read_migrations
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.supabase_vault import SupabaseVault
from tests.folders import server_folder
from tests.test_vault import STAND_IN as VAULT

SCENE = Path(__file__).with_name("supabase_stand_in.sql")
BY_HAND = [migration.version for migration in read_migrations()][:2]


@pytest.fixture(scope="module")
def hosted() -> Iterator[DatabaseUrls]:
    """Its URLs, migrated. On a server of its own, since its roles are everybody's on a server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with server_folder() as folder, embedded_postgres(folder / "data") as socket_dir:
            urls = DatabaseUrls.on_socket(socket_dir, "supabase")
            first = DatabaseUrls.on_socket(socket_dir, "postgres").owner
            with psycopg.connect(first, autocommit=True) as connection:
                connection.execute("create role supabase_admin login superuser")
            with psycopg.connect(first.replace("postgres@", "supabase_admin@"), autocommit=True) as connection:
                connection.execute("alter role postgres rename to bootstrap")
                connection.execute("create database supabase")
            with psycopg.connect(urls.owner.replace("postgres@", "supabase_admin@"), autocommit=True) as connection:
                connection.execute(VAULT.read_text())
                connection.execute(SCENE.read_text())
            _apply_by_hand(urls.owner, folder / "sql")
            migrate(urls.owner, assume_applied=frozenset(BY_HAND))
            try:
                yield urls
            finally:
                # The server is stopped by the role that it was made with.
                with psycopg.connect(first.replace("postgres@", "supabase_admin@"), autocommit=True) as connection:
                    connection.execute("alter role postgres rename to hosted_postgres")
                    connection.execute("alter role bootstrap rename to postgres")


def _apply_by_hand(url: str, folder: Path) -> None:
    """The portal's tables and the sprint's first two files, pasted into a dashboard: no history."""
    shutil.copytree(
        SQL_FOLDER, folder, ignore=lambda _, names: [n for n in names if n[:14].isdigit() and n[:14] not in BY_HAND]
    )
    migrate(url, folder=folder)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop schema supabase_migrations cascade")


_SCHEMA = """
select table_schema, table_name, column_name, data_type, column_default, is_nullable
  from information_schema.columns where table_schema in ('public', 'private') order by 1, 2, 3
"""
_POLICIES = """
select schemaname, tablename, policyname, permissive, roles::text, cmd, qual, with_check
  from pg_policies where schemaname in ('public', 'private', 'pgmq') order by 1, 2, 3
"""
_OPEN = """
select 'table ' || c.oid::regclass || ' to ' || acl.grantee::regrole || ': ' || acl.privilege_type as open
  from pg_class c, aclexplode(c.relacl) acl
 where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'pgmq'::regnamespace)
   and acl.grantee::regrole::text in ('anon', 'authenticated')
union all
select 'function ' || p.oid::regprocedure || ' to ' || acl.grantee::regrole || ': ' || acl.privilege_type
  from pg_proc p, aclexplode(p.proacl) acl
 where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
   and acl.grantee::regrole::text in ('anon', 'authenticated')
 order by 1
"""


def _rows(url: str, question: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(question).fetchall()


def test_it_becomes_what_a_fresh_database_is(hosted: DatabaseUrls, urls: DatabaseUrls) -> None:
    assert _rows(hosted.owner, _SCHEMA) == _rows(urls.owner, _SCHEMA)
    assert _rows(hosted.owner, _POLICIES) == _rows(urls.owner, _POLICIES)
    assert migrate(hosted.owner) == []


def test_no_more_is_open_than_on_a_fresh_one(hosted: DatabaseUrls, urls: DatabaseUrls) -> None:
    # Supabase grants whatever is made in public to anon and authenticated, TRUNCATE included, which no policy stops.
    assert _rows(hosted.owner, _OPEN) == _rows(urls.owner, _OPEN)


def test_pipeline_and_pages_reach_their_tokens_and_nothing_else_does(hosted: DatabaseUrls) -> None:
    org_id, admin, vault = uuid4(), uuid4(), SupabaseVault()
    with psycopg.connect(hosted.owner, autocommit=True) as owner:
        owner.execute("insert into organizations (id, slug, name) values (%s, 'harbour', 'Harbour')", [org_id])
        owner.execute("insert into organization_members values (%s, %s, 'admin')", [org_id, admin])
        (source_id,) = owner.execute(
            "insert into connected_sources (org_id, provider) values (%s, 'hubspot') returning id", [org_id]
        ).fetchone()
    worker, web = Database(hosted.worker, application="worker"), Database(hosted.web, application="web")
    try:
        with worker.connection() as connection:
            vault.check(connection)
        with worker.organisation(org_id) as transaction:
            secret = vault.for_connection(org_id, source_id, transaction).store_token("token", "refresh")
        with web.user(admin, org_id=org_id, as_authenticated=False) as transaction:
            tokens = vault.for_connection(org_id, source_id, transaction)
            assert tokens.read_token(secret, "refresh") == "token"
            tokens.delete_tokens()
    finally:
        worker.close()
        web.close()
    for url in (hosted.worker, hosted.web):
        with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from vault.decrypted_secrets")
    with psycopg.connect(hosted.owner) as owner:
        assert owner.execute("select count(*) from vault.secrets").fetchone() == (0,)


def test_the_portals_own_server_still_searches(hosted: DatabaseUrls) -> None:
    # Supabase gives service_role every function of public, and a portal's server calls the searches with it.
    with psycopg.connect(hosted.owner, autocommit=True) as owner:
        owner.execute("set role service_role")
        for search in ("match_source_documents('[1]', 5, %s)", "match_client_intelligence('[1]', 5, %s)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no such organisation"):
                owner.execute(f"select * from public.{search}", [uuid4()])
