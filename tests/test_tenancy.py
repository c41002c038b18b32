"""No tenant sees another: what the roles may do and what their policies show."""

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID, uuid4

import psycopg
import pytest

from boots_pipeline.errors import ConfigError, DatabaseError
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.resources.database import Database
from tests.conftest import Organisation

OURS = ("boots_worker", "boots_web", "boots_dispatch", "boots_audit", "authenticated", "anon")
PORTALS_OWN = {"organizations", "organization_members", "org_brain", "proposals", "jobs"}


@pytest.fixture
def tables(owner: psycopg.Connection) -> list[str]:
    """Every table of a tenant, in any schema of ours."""
    rows = owner.execute(
        """select format('%I.%I', table_schema, table_name) as name from information_schema.columns
            where column_name = 'org_id' and table_schema in ('public', 'private')
              and (table_schema, table_name) in (select table_schema, table_name from information_schema.tables
                                                  where table_type = 'BASE TABLE')
            order by 1"""
    ).fetchall()
    return [row["name"] for row in rows]


@pytest.fixture
def two(
    owner: psycopg.Connection, new_organisation: Callable[[str], Organisation]
) -> tuple[Organisation, Organisation]:
    """Two organisations with a row in every table that the pipeline writes."""
    pair = new_organisation("harbour"), new_organisation("meridian")
    for organisation in pair:
        of = {"org": organisation.id, "source": uuid4(), "job": uuid4(), "document": uuid4(), "client": uuid4()}
        for statement in (
            "insert into connected_sources (org_id, id, provider, status) "
            "values (%(org)s, %(source)s, 'hubspot', 'active')",
            "insert into ingestion_jobs (org_id, id, source_id, kind) values (%(org)s, %(job)s, %(source)s, 'full')",
            "insert into sync_streams values (%(org)s, %(source)s, 'deals', now())",
            "insert into ingestion_seen values (%(org)s, %(job)s, 'deals', '1')",
            "insert into quarantined_items values (%(org)s, %(source)s, 'deals', '1', 'why')",
            "insert into sync_schedules values (%(org)s, %(source)s, 'delta', now())",
            """insert into source_documents (org_id, id, source_id, provider, document_type, external_id, content_hash,
                                             payload_hash)
               values (%(org)s, %(document)s, %(source)s, 'hubspot', 'deals', '1', '', '')""",
            "insert into source_document_passages (org_id, document_id, position, content) "
            "values (%(org)s, %(document)s, 1, '')",
            "insert into embedding_models (org_id, active) values (%(org)s, 'm')",
            "insert into client_intelligence (org_id, client_name, client_id) values (%(org)s, 'c', %(client)s)",
            "insert into client_keys values (%(org)s, 'k', %(client)s)",
            "insert into client_documents values (%(org)s, %(document)s, %(client)s)",
            "insert into org_brain (org_id, title, content) values (%(org)s, 't', 'c')",
            "insert into proposals (org_id, title, brief) values (%(org)s, 't', 'b')",
            "insert into jobs (org_id, job_type) values (%(org)s, 'proposal')",
            """insert into private.app_secrets (id, org_id, connection_id, purpose, key_id, wrapped_key, body)
               values (gen_random_uuid(), %(org)s, %(source)s, 'access', 'k', '', '')""",
        ):
            owner.execute(statement, of)
    return pair


def seen_by(connection: psycopg.Connection, table: str) -> set[UUID] | None:
    """Whose rows a role sees; None when it may not even ask."""
    try:
        with connection.transaction():
            return {row[0] for row in connection.execute(f"select org_id from {table}").fetchall()}
    except psycopg.errors.InsufficientPrivilege:
        return None


def test_the_worker_sees_nobody_without_a_job_and_one_with_it(
    urls: DatabaseUrls, tables: list[str], two: tuple[Organisation, Organisation]
) -> None:
    harbour, meridian = two
    shown = 0
    with psycopg.connect(urls.worker) as connection:
        for table in tables:
            assert not seen_by(connection, table), table
        for organisation in (harbour, meridian):
            connection.execute("select set_config('app.org_id', %s, false)", [str(organisation.id)])
            for table in tables:
                seen = seen_by(connection, table)
                assert seen in (None, set(), {organisation.id}), table
                shown += seen == {organisation.id}
        for nobody in ("", str(uuid4())):
            connection.execute("select set_config('app.org_id', %s, false)", [nobody])
            assert not any(seen_by(connection, table) for table in tables)
    assert shown == 2 * 16  # each of the tables that were filled


def test_the_worker_writes_for_nobody_else(database: Database, two: tuple[Organisation, Organisation]) -> None:
    harbour, meridian = two
    for statement in (
        "insert into embedding_models (org_id, active) values (%s, 'x') "
        "on conflict (org_id) do update set active = 'x'",
        "insert into client_keys values (%s, 'stolen', gen_random_uuid())",
    ):
        with pytest.raises(DatabaseError, match="42501"), database.organisation(harbour.id) as transaction:
            transaction.execute(statement, [meridian.id])
    with database.organisation(harbour.id) as transaction:
        assert (
            transaction.execute("update source_documents set title = 'x' where org_id = %s", [meridian.id]).rowcount
            == 0
        )
    with pytest.raises(DatabaseError, match="42501"), database.organisation(harbour.id) as transaction:
        transaction.execute("update source_documents set org_id = %s", [meridian.id])


def test_the_setting_of_one_transaction_does_not_reach_the_next(
    urls: DatabaseUrls, two: tuple[Organisation, Organisation]
) -> None:
    database = Database(urls.worker, application="one", size=1)
    with database.organisation(two[0].id) as transaction:
        assert transaction.execute("select count(*) as n from source_documents").fetchone()["n"] == 1
    with database.connection() as connection:
        assert connection.execute("select count(*) as n from source_documents").fetchone()["n"] == 0
    database.close()


@pytest.mark.parametrize("statement", [
    "update connected_sources set mcp_server_url = 'http://elsewhere.example/'",
    "update connected_sources set org_id = gen_random_uuid()",
    "update ingestion_jobs set status = 'completed'",
    "update ingestion_jobs set lease_token = gen_random_uuid()",
    "insert into ingestion_jobs (org_id, source_id, kind) select org_id, id, 'full' from connected_sources",
    "delete from source_documents",
    "delete from connected_sources",
    "select * from private.oauth_states",
    "select * from pgmq.q_ingestion_queue",
    "select pgmq.send('ingestion_queue', '{}')",
    "select private.cancel_live_sync(gen_random_uuid(), gen_random_uuid())",
    "select private.complete_connection(null, null, null, null, null, null, null, null, null)",
    "set role boots_dispatch",
    "create table public.mine ()",
])  # fmt: skip
def test_the_worker_may_do_its_work_and_no_more(
    database: Database, two: tuple[Organisation, Organisation], statement: str
) -> None:
    with pytest.raises(DatabaseError, match="42501"), database.organisation(two[0].id) as transaction:
        transaction.execute(statement)


def test_the_pages_role_reads_no_tenant(
    urls: DatabaseUrls, tables: list[str], two: tuple[Organisation, Organisation]
) -> None:
    with psycopg.connect(urls.web) as connection:
        for setting, value in (("app.org_id", ""), ("request.jwt.claims", f'{{"sub": "{two[0].admin}"}}')):
            connection.execute("select set_config(%s, %s, false)", [setting, value])
            assert not any(seen_by(connection, table) for table in tables)


def test_the_pages_reach_secrets_only_as_an_admin_of_their_organisation(
    web_database: Database, two: tuple[Organisation, Organisation]
) -> None:
    harbour, meridian = two

    def reached(user: UUID) -> int:
        with web_database.user(user, org_id=meridian.id, as_authenticated=False) as transaction:
            for statement in ("update private.app_secrets set version = 2", "delete from private.app_secrets"):
                changed = transaction.execute(statement).rowcount
            return changed

    assert [reached(user) for user in (harbour.admin, meridian.member, uuid4())] == [0, 0, 0]
    insert = """insert into private.app_secrets (id, org_id, connection_id, purpose, key_id, wrapped_key, body)
                select gen_random_uuid(), %s, gen_random_uuid(), 'refresh', 'k', '', ''"""
    with (
        pytest.raises(DatabaseError, match="42501"),
        web_database.user(harbour.admin, org_id=meridian.id, as_authenticated=False) as transaction,
    ):
        transaction.execute(insert, [meridian.id])
    assert reached(meridian.admin) == 1


def test_a_failed_connect_is_told_only_by_its_own_state_or_admin(
    web_database: Database, owner: psycopg.Connection, two: tuple[Organisation, Organisation]
) -> None:
    harbour, meridian = two
    owner.execute("update connected_sources set status = 'pending'")

    def said(organisation: Organisation) -> str | None:
        row = owner.execute(
            "select status_message from connected_sources where org_id = %s", [organisation.id]
        ).fetchone()
        return row["status_message"]

    pending = "select private.fail_pending_connection(%s, 'hubspot', 'no')"
    for user in (harbour.admin, meridian.member):
        with (
            pytest.raises(DatabaseError, match="42501"),
            web_database.user(user, as_authenticated=False) as transaction,
        ):
            transaction.execute(pending, [meridian.id])
    with web_database.user(harbour.admin, as_authenticated=False) as transaction:
        transaction.execute(
            "select private.begin_connection(%s, 'hubspot', 'state', 'browser', 'sealed', 'issuer', 'uri')",
            [harbour.id],
        )
    fail = "select private.fail_connection(%s, 'not so')"
    with web_database.connection() as connection:
        for state in (b"state", b"another"):  # one that nobody used yet, one that never was
            connection.execute(fail, [state])
        assert (said(harbour), said(meridian)) == (None, None)
        connection.execute("select private.consume_oauth_state('state')")
        connection.execute(fail, [b"state"])
    assert (said(harbour), said(meridian)) == ("not so", None)


def test_a_user_sees_his_own_organisation(
    web_database: Database, tables: list[str], two: tuple[Organisation, Organisation]
) -> None:
    harbour, _ = two
    for user, expected in ((harbour.member, {harbour.id}), (uuid4(), set())):
        met: set[UUID] = set()
        for table in tables:
            with suppress(DatabaseError), web_database.user(user) as transaction:
                rows = {row["org_id"] for row in transaction.execute(f"select org_id from {table}")}
                assert rows <= expected, table
                met |= rows
        assert met == expected


@pytest.mark.parametrize(
    "column", ["mcp_server_url", "status", "access_token_vault_id", "scopes", "external_account_id", "id"]
)
def test_a_user_fills_three_columns_of_a_connection_and_no_other(
    web_database: Database, new_organisation: Callable[[str], Organisation], column: str
) -> None:
    organisation = new_organisation("harbour")
    insert = "insert into connected_sources (org_id, provider, connected_by{}) values (%s, 'hubspot', %s{})"
    with pytest.raises(DatabaseError, match="42501"), web_database.user(organisation.admin) as transaction:
        transaction.execute(insert.format(f", {column}", ", default"), [organisation.id, organisation.admin])
    for user, org_id in ((uuid4(), organisation.id), (organisation.admin, uuid4())):
        with pytest.raises(DatabaseError, match="42501"), web_database.user(organisation.admin) as transaction:
            transaction.execute(insert.format("", ""), [org_id, user])
    with web_database.user(organisation.admin) as transaction:
        transaction.execute(insert.format("", ""), [organisation.id, organisation.admin])
    for statement in (f"update connected_sources set {column} = default", "delete from connected_sources"):
        with pytest.raises(DatabaseError, match="42501"), web_database.user(organisation.admin) as transaction:
            transaction.execute(statement)
    with pytest.raises(DatabaseError, match="42501"), web_database.user(organisation.admin) as transaction:
        transaction.execute("select mcp_server_url, access_token_vault_id from connected_sources")


def test_no_role_of_ours_is_above_the_policies(owner: psycopg.Connection) -> None:
    roles = owner.execute(
        "select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = any(%s)",
        [list(OURS)],
    ).fetchall()
    assert {role.pop("rolname") for role in roles} == set(OURS)
    assert all(
        role == {"rolsuper": False, "rolbypassrls": False, "rolcreaterole": False, "rolcreatedb": False}
        for role in roles
    )
    owned = owner.execute(
        """select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname in ('public', 'private', 'pgmq') and pg_get_userbyid(c.relowner) = any(%s)""",
        [list(OURS)],
    ).fetchall()
    assert owned == []


def test_every_tenants_table_is_under_forced_policies(owner: psycopg.Connection, tables: list[str]) -> None:
    state = {
        row["name"]: (row["relrowsecurity"], row["relforcerowsecurity"])
        for row in owner.execute(
            "select format('%I.%I', n.nspname, relname) as name, relrowsecurity, relforcerowsecurity "
            "from pg_class c join pg_namespace n on n.oid = c.relnamespace where relkind = 'r'"
        )
    }
    assert len(tables) >= 16
    for table in tables:
        enabled, forced = state[table]
        assert enabled, table
        assert forced or table.removeprefix("public.") in PORTALS_OWN, table


def test_functions_above_the_policies_are_nobodys_by_default(owner: psycopg.Connection) -> None:
    open_to_all = owner.execute(
        """select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
            where p.prosecdef and n.nspname in ('public', 'private')
              and has_function_privilege('anon', p.oid, 'execute')"""
    ).fetchall()
    assert open_to_all == []
    loose = owner.execute(
        """select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
            where p.prosecdef and n.nspname in ('public', 'private')
              and not coalesce(p.proconfig::text like '%%search_path=%%', false)"""
    ).fetchall()
    assert loose == []


def test_a_superusers_address_is_refused(urls: DatabaseUrls) -> None:
    database = Database(urls.owner, application="careless")
    try:
        with pytest.raises(ConfigError, match="superuser"), database.connection():
            pass
    finally:
        database.close()
