"""Who may touch a connection, its secrets, and the address to which its token goes."""

from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from boots_pipeline.errors import DatabaseError
from boots_pipeline.resources.database import Database
from tests.conftest import Organisation
from tests.tenancy.conftest import Attacker
from tests.tenancy.scene import A, B, Connection

REFUSED = "42501"


@pytest.fixture
def two(
    owner: Connection, new_organisation: Callable[[str], Organisation]
) -> Iterator[tuple[Organisation, Organisation]]:
    """Two organisations of this test's own, each with a connection that waits for its grant, and a secret."""
    pair = new_organisation("juniper"), new_organisation("larch")
    for each in pair:
        owner.execute(
            """with source as (
                 insert into connected_sources (org_id, provider) values (%s, 'hubspot') returning org_id, id)
               insert into private.app_secrets (id, org_id, connection_id, purpose, key_id, wrapped_key, body)
               select gen_random_uuid(), org_id, id, 'access', 'k', '', '' from source""",
            [each.id],
        )
    yield pair
    owner.execute("delete from organizations where id = any(%s)", [[each.id for each in pair]])
    owner.execute(
        "delete from auth.users where id = any(%s)", [[who for each in pair for who in (each.admin, each.member)]]
    )


ELSEWHERE = "http://elsewhere.example/mcp"


@pytest.mark.parametrize("statement", [
    f"update connected_sources set mcp_server_url = '{ELSEWHERE}'",
    f"""insert into connected_sources (org_id, provider, connected_by, mcp_server_url)
        values ('{A.id}', 'gmail', '{A.member}', '{ELSEWHERE}')""",
    f"""insert into connected_sources (org_id, provider, connected_by) values ('{A.id}', 'hubspot', '{A.member}')
        on conflict (org_id, provider) do update set mcp_server_url = '{ELSEWHERE}'""",
    f"""merge into connected_sources s using (select '{A.id}'::uuid as id) o on s.org_id = o.id
        when matched then update set mcp_server_url = '{ELSEWHERE}'""",
    f"with moved as (update connected_sources set mcp_server_url = '{ELSEWHERE}' returning 1) select * from moved",
    "delete from connected_sources",
    "update connected_sources set provider = 'evil'",
    f"update connected_sources set access_token_vault_id = '{B.row}'",
    f"""select private.complete_connection('{A.id}', '{A.row}', '{A.row}', '{A.row}', null, '{{}}', 'account', 'name',
                                           '{ELSEWHERE}')""",
    f"select private.begin_connection('{A.id}', 'hubspot', 's', 'b', 'v', 'issuer', '{ELSEWHERE}')",
    f"select private.fail_connection('state', '{ELSEWHERE}')",
])  # fmt: skip
def test_a_member_never_says_where_a_token_goes(member: Attacker, statement: str) -> None:
    """And were the row to differ, nothing would be sent: tests/gateway."""
    assert member.attempt(statement) == REFUSED


def test_a_member_calls_nothing_that_can_do_more_than_he(superuser: Connection) -> None:
    above = superuser.execute(
        """select oid::regprocedure::text as name from pg_proc
            where prosecdef and has_schema_privilege('authenticated', pronamespace, 'usage')
              and has_function_privilege('authenticated', oid, 'execute') order by 1"""
    ).fetchall()
    assert [row["name"] for row in above] == [
        "private.attempts_to_connect(uuid)",  # asks whether he is a member
        "private.last_seen(text)",  # when a part of Boots was there, which is nobody's
        "private.user_org_ids()",
    ]


@pytest.mark.parametrize(
    "column", ["mcp_server_url", "status", "access_token_vault_id", "scopes", "external_account_id", "id"]
)
def test_a_member_fills_three_columns_of_a_connection_and_no_other(member: Attacker, column: str) -> None:
    insert = (
        "insert into connected_sources (org_id, provider, connected_by{}) values (%s, 'gmail', %s{}) returning 1 as n"
    )
    assert member.attempt(insert.format(f", {column}", ", default"), [A.id, A.member]) == REFUSED
    for org_id, connected_by in ((A.id, uuid4()), (uuid4(), A.member), (A.id, None)):
        assert member.attempt(insert.format("", ""), [org_id, connected_by]) == REFUSED
    assert member.attempt(insert.format("", ""), [A.id, A.member]) == [{"n": 1}]


@pytest.mark.parametrize("statement", [
    f"update connected_sources set mcp_server_url = '{ELSEWHERE}'",
    "update connected_sources set org_id = gen_random_uuid()",
    "update ingestion_jobs set status = 'completed'",
    "update ingestion_jobs set lease_token = gen_random_uuid()",
    "insert into ingestion_jobs (org_id, source_id, kind) select org_id, id, 'full' from connected_sources",
    "delete from source_documents",
    "delete from connected_sources",
    "select private.complete_connection(null, null, null, null, null, null, null, null, null)",
])  # fmt: skip
def test_the_pipeline_does_its_work_and_no_more(worker: Attacker, statement: str) -> None:
    assert worker.attempt(statement) == REFUSED


def test_the_pages_reach_secrets_only_as_an_admin_of_their_organisation(
    web_database: Database, two: tuple[Organisation, Organisation]
) -> None:
    juniper, larch = two

    def reached(user: UUID) -> int:
        with web_database.user(user, org_id=larch.id, as_authenticated=False) as transaction:
            transaction.execute("update private.app_secrets set version = 2")
            return transaction.execute("delete from private.app_secrets").rowcount

    assert [reached(user) for user in (juniper.admin, larch.member, uuid4())] == [0, 0, 0]
    insert = """insert into private.app_secrets (id, org_id, connection_id, purpose, key_id, wrapped_key, body)
                select gen_random_uuid(), %s, gen_random_uuid(), 'refresh', 'k', '', ''"""
    with (
        pytest.raises(DatabaseError, match=REFUSED),
        web_database.user(juniper.admin, org_id=larch.id, as_authenticated=False) as transaction,
    ):
        transaction.execute(insert, [larch.id])
    assert reached(larch.admin) == 1


def test_a_failed_connect_is_told_only_by_its_own_state_or_admin(
    web_database: Database, owner: psycopg.Connection, two: tuple[Organisation, Organisation]
) -> None:
    juniper, larch = two

    def said(organisation: Organisation) -> str | None:
        row = owner.execute(
            "select status_message from connected_sources where org_id = %s", [organisation.id]
        ).fetchone()
        return row["status_message"]

    pending = "select private.fail_pending_connection(%s, 'hubspot', 'no')"
    for user in (juniper.admin, larch.member):
        with (
            pytest.raises(DatabaseError, match=REFUSED),
            web_database.user(user, as_authenticated=False) as transaction,
        ):
            transaction.execute(pending, [larch.id])
    with web_database.user(juniper.admin, as_authenticated=False) as transaction:
        transaction.execute(
            "select private.begin_connection(%s, 'hubspot', 'state', 'browser', 'sealed', 'issuer', 'uri')",
            [juniper.id],
        )
    fail = "select private.fail_connection(%s, 'not so')"
    with web_database.connection() as connection:
        for state in (b"state", b"another"):  # one that nobody used yet, one that never was
            connection.execute(fail, [state])
        assert (said(juniper), said(larch)) == (None, None)
        connection.execute("select private.consume_oauth_state('state')")
        connection.execute(fail, [b"state"])
    assert (said(juniper), said(larch)) == ("not so", None)
