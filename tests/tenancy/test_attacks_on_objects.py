"""Attacks 12 to 15, 23 and 24: views, functions, search, what Postgres can do besides rows, queues, secrets, errors."""

import logging
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from boots_pipeline.errors import DatabaseError
from boots_pipeline.resources.database import Database
from tests.tenancy.conftest import Attacker
from tests.tenancy.matrix import CALLERS, acting_as, undone
from tests.tenancy.scene import REMOVED, A, B, Connection
from tests.tenancy.test_lints import offences

pytestmark = pytest.mark.usefixtures("b_unchanged")
REFUSED = "42501"


def test_attack_12_a_view_runs_as_who_asks(superuser: Connection) -> None:
    """There is none. One that is made without thinking is found; one that is made well shows what its reader may."""
    shown = {}
    for kind in ("", "with (security_invoker = true)"):
        with undone(superuser):
            superuser.execute(f"create view public.overview {kind} as select org_id from public.source_documents")
            superuser.execute("grant select on public.overview to authenticated")
            found = offences(superuser, "0010 a view above the policies")
            with acting_as(superuser, CALLERS["A"]):
                rows = superuser.execute("select org_id from public.overview").fetchall()
            shown[kind] = (found, {row["org_id"] for row in rows})
    assert shown == {
        "": (["overview"], {A.id, B.id}),
        "with (security_invoker = true)": ([], {A.id}),
    }


# What the arguments of our functions mean, by type; an organisation is always B's.
_ARGUMENTS: dict[str, Any] = {
    "uuid": B.row,
    "text": "hubspot",
    "bytea": b"state",
    "timestamptz": None,
    "_text": [],
    "int4": 1,
    "interval": None,
}


@pytest.mark.parametrize(("user", "org"), [(A.admin, B), (A.member, A), (B.member, B), (REMOVED, A)])
def test_attack_13_a_function_above_the_policies_asks_who_is_asking(
    urls: Any, superuser: Connection, user: UUID, org: Any
) -> None:
    """An admin of another organisation, and members who are no admins, get nothing from what the pages may call."""
    functions = superuser.execute(
        """select p.oid::regproc::text as name, proargnames[1:pronargs] as arguments,
                  (select array_agg(typname::text order by place)
                     from unnest(proargtypes) with ordinality as a (oid, place) join pg_type t using (oid)) as types
             from pg_proc p where pronamespace = 'private'::regnamespace and prosecdef and proargnames[1] = 'p_org_id'
              and has_function_privilege('boots_web', p.oid, 'execute')"""
    ).fetchall()
    assert len(functions) >= 6
    before = superuser.execute("select string_agg(s::text, '' order by id) from connected_sources s").fetchone()
    for function in functions:
        given = [_ARGUMENTS[kind] for kind in function["types"]]
        given[0] = org.id
        call = f"select * from {function['name']}({', '.join(['%s'] * len(given))})"
        with (
            psycopg.connect(urls.web, row_factory=psycopg.rows.dict_row) as connection,
            connection.transaction(force_rollback=True),
        ):
            claims = f'{{"sub": "{user}", "role": "authenticated"}}'
            connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
            connection.execute("select set_config('app.org_id', %s, true)", [str(org.id)])
            try:
                rows = connection.execute(call, given).fetchall()
            except psycopg.errors.InsufficientPrivilege:
                continue
            assert rows == [{"is_org_admin": False}], function["name"]
    assert superuser.execute("select string_agg(s::text, '' order by id) from connected_sources s").fetchone() == before


def test_attack_13_a_job_is_changed_only_by_who_holds_it(worker: Attacker, owner: Connection) -> None:
    """The pipeline's functions name an organisation; what it has not claimed they do not touch."""
    for call in (
        "select private.renew_sync_lease(%s, %s, %s, 60) as done",
        "select private.finish_sync(%s, %s, %s, 'completed', null, null) as done",
        "select private.release_sync(%s, %s, %s, '0', false, null, null) as done",
    ):
        assert worker.attempt(call, [B.id, B.row, uuid4()]) == [{"done": False}]
    job = owner.execute("select status, lease_token from ingestion_jobs where org_id = %s", [B.id]).fetchone()
    assert job == {"status": "queued", "lease_token": None}


def test_attack_14_what_no_policy_covers_does_not_exist(superuser: Connection) -> None:
    lint = "0016 and 0017 what no policy covers"
    assert offences(superuser, lint) == []
    superuser.execute("create schema reports")
    superuser.execute("create materialized view reports.all_documents as select * from public.source_documents")
    assert offences(superuser, lint) == []  # nobody may read it
    superuser.execute("grant select on reports.all_documents to authenticated")
    assert offences(superuser, lint) == ["reports.all_documents"]


_SEARCHES = (
    "select * from public.match_source_documents('[1, 0]', 5, %s)",
    "select * from public.match_client_intelligence('[1, 0]', 5, %s)",
    f"select * from public.find_source_documents('{A.slug} {B.slug}', 5, %s)",
)


@pytest.mark.parametrize("search", _SEARCHES)
@pytest.mark.parametrize("who", ["A", "gone", "worker"])
def test_attack_15_search_tells_nothing_of_an_organisation_that_is_not_ones_own(
    superuser: Connection, search: str, who: str
) -> None:
    refusals = set()
    for organisation in (B.id, uuid4(), None):  # exists elsewhere, exists nowhere, is not named
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused, acting_as(superuser, CALLERS[who]):
            superuser.execute(search, [organisation])
        refusals.add(str(refused.value))
    assert len(refusals) == 1
    assert B.slug not in refusals.pop()
    own = CALLERS["A" if who == "gone" else who]
    with acting_as(superuser, own):
        rows = superuser.execute(search, [A.id]).fetchall()
    assert [row["id"] for row in rows] == [A.row]


@pytest.mark.parametrize("ordering", ["embedding <=> '[1, 0]'", "embedding <-> '[1, 0]'"])
def test_attack_15_the_nearest_of_all_are_ones_own(attacker: Attacker, ordering: str) -> None:
    for table in ("source_documents", "client_intelligence"):
        rows = attacker.attempt(f"select org_id from {table} where embedding is not null order by {ordering} limit 9")
        assert rows == [{"org_id": A.id}]


@pytest.mark.parametrize("statement", [
    "truncate source_documents",
    "truncate organizations cascade",
    "copy source_documents (org_id) from stdin",
    "set local row_security = off; select * from source_documents",
    "set local role service_role",
    "set local role boots_dispatch",
    "set local role boots_audit",
    "set local role postgres",
    "set session authorization postgres",
    "set local session_replication_role = replica",
    "reset role; select * from organization_members",
    "lock table organizations in access exclusive mode",
    "alter table source_documents disable row level security",
    "alter table source_documents no force row level security",
    "alter role current_user bypassrls",
    "create policy mine on source_documents using (true)",
    "drop policy members_read on source_documents",
    "create table public.mine ()",
    "create function public.mine() returns int language sql security definer as 'select 1'",
    "create view public.mine as select 1",
    "create trigger mine after insert on jobs execute function suppress_redundant_updates_trigger()",
    "create rule mine as on insert to jobs do nothing",
    "create schema mine",
    "create extension dblink",
    "create table public.child () inherits (source_documents)",
    "select pg_read_file('PG_VERSION')",
    "select * from pg_authid",
    "select * from pg_statistic",
    "copy (select 1) to program 'true'",
    "delete from supabase_migrations.schema_migrations",
    "select * from auth.users",
])  # fmt: skip
def test_attack_23_everything_else_that_postgres_can_do(attacker: Attacker, statement: str) -> None:
    # 0A000: COPY FROM does not exist under row security.
    assert attacker.attempt(statement) in (REFUSED, "0A000")


def test_attack_23_a_copy_to_the_outside_holds_ones_own_rows(attacker: Attacker) -> None:
    for source in ("source_documents (org_id)", "(select org_id from source_documents)"):
        with undone(attacker.connection), attacker.connection.cursor().copy(f"copy {source} to stdout") as copy:
            assert {row for (row,) in copy.rows()} == {str(A.id)}


def test_attack_23_what_others_are_asking_now(attacker: Attacker, owner: Connection) -> None:
    owner.execute("select 'asked for meridian'")
    assert (
        attacker.attempt("select 1 from pg_stat_activity where query like '%meridian%' and pid <> pg_backend_pid()")
        == []
    )


@pytest.mark.parametrize("statement", [
    "select * from pgmq.q_ingestion_queue",
    "select * from pgmq.a_ingestion_queue",
    "select * from pgmq.q_ingestion_dlq",
    "select * from pgmq.read('ingestion_queue', 1, 1)",
    "select pgmq.send('ingestion_queue', '{}')",
    "select pgmq.purge_queue('ingestion_queue')",
    "select pgmq.drop_queue('ingestion_queue')",
    "select * from private.oauth_states",
    "select * from private.consume_oauth_state('state')",
    "select * from private.rate_budgets",
    "select * from private.local_users()",
    "select * from private.connection_secrets(gen_random_uuid(), 'hubspot')",
    "select private.cancel_live_sync(gen_random_uuid(), gen_random_uuid())",
])  # fmt: skip
def test_attack_24_queues_states_and_secrets(attacker: Attacker, statement: str) -> None:
    assert attacker.attempt(statement) == REFUSED


@pytest.mark.parametrize("statement", [
    "select * from private.app_secrets",
    "select * from private.vault_keys",
    "select * from public.claim_next_job('me')",
    "select * from private.read_sync_messages(10, 10)",
    "select private.drop_deleted_content(0, 100)",
    "select mcp_server_url from connected_sources",
    "select access_token_vault_id, refresh_token_vault_id from connected_sources",
    "update ingestion_jobs set status = 'cancelled'",
    "insert into ingestion_jobs (org_id, source_id, kind) select org_id, id, 'full' from connected_sources",
    "delete from sync_schedules",
])  # fmt: skip
def test_attack_24_what_only_the_pipeline_may(member: Attacker, statement: str) -> None:
    assert member.attempt(statement) == REFUSED


def test_attack_24_a_secret_of_another_organisation(worker: Attacker) -> None:
    rows = worker.attempt("select org_id, count(*) as n from private.app_secrets group by 1")
    assert rows == [{"org_id": A.id, "n": 1}]


SECRET = "what nobody else may read"


def test_attack_24_an_error_holds_no_row(
    database: Database, web_database: Database, superuser: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Postgres puts a value that it cannot take into its error; what leaves the database layer has none of it."""
    cast = "select %s::text::int"
    with pytest.raises(psycopg.errors.InvalidTextRepresentation, match=SECRET), undone(superuser):
        superuser.execute(cast, [SECRET])
    caplog.set_level(logging.DEBUG)
    for transaction in (database.organisation(A.id), web_database.user(A.member), database.connection()):
        with pytest.raises(DatabaseError) as raised, transaction as connection:
            connection.execute(cast, [SECRET])
        assert SECRET not in str(raised.value)
        # Neither a log's traceback nor Dagster's event prints what came before.
        assert raised.value.__suppress_context__
        assert raised.value.__cause__ is None
    assert SECRET not in caplog.text
