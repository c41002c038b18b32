"""Attacks 1 to 11 and 16: a member of A, and the pipeline in a job of A, after the rows of B."""

from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from boots_pipeline.agents.jobs import claim_proposal
from boots_pipeline.resources.database import Database
from tests.tenancy.conftest import Attacker
from tests.tenancy.scene import A, B, Connection, Table, insertion

pytestmark = pytest.mark.usefixtures("b_unchanged")
REFUSED = "42501"
NOTHING = (REFUSED, [])


def test_attack_01_another_organisations_row_by_its_id(attacker: Attacker, tables: list[Table]) -> None:
    for table in tables:
        by_id = [column for column in table.columns if table.needed.get(column) == "uuid" and column != table.tenant]
        for column in (table.tenant, *by_id):
            found = attacker.attempt(f"select 1 from {table.name} where {column} = any(%s)", [[B.id, B.row]])
            assert found in NOTHING, (table.name, column)


def test_attack_02_a_list_without_a_filter(attacker: Attacker, tables: list[Table]) -> None:
    lists = [attacker.attempt(f"select {table.tenant} as whose from {table.name}") for table in tables]
    shown = [rows for rows in lists if isinstance(rows, list)]
    assert len(shown) > 10
    assert {row["whose"] for rows in shown for row in rows} == {A.id}


def test_attack_03_a_row_put_into_another_organisation_or_into_none(attacker: Attacker, tables: list[Table]) -> None:
    for table in tables:
        row = table.sample(A, A.member)
        for whose in (B.id, None):
            given = (
                row | {table.tenant: whose} if table.tenant in row else row | {"message": Jsonb({"org_id": str(whose)})}
            )
            for columns in (given, _members_part(given)):
                # Who may write the organisation's column gets as far as the constraint that it is not null.
                outcome = attacker.attempt(insertion(table, columns), columns)
                assert outcome in (REFUSED, "23502"), (table.name, whose)


def _members_part(row: dict[str, object]) -> dict[str, object]:
    granted = ("org_id", "provider", "connected_by", "title", "brief", "status", "created_by", "job_type", "payload")
    return {column: value for column, value in row.items() if column in granted} or row


def test_attack_04_a_row_moved_in_or_out(attacker: Attacker, tables: list[Table]) -> None:
    for table in tables:
        if table.tenant not in table.columns:
            continue
        out = attacker.attempt(f"update {table.name} set {table.tenant} = %s where {table.tenant} = %s", [B.id, A.id])
        moved = f"update {table.name} set {table.tenant} = %s where {table.tenant} = %s returning 1"
        assert out == REFUSED, table.name
        assert attacker.attempt(moved, [A.id, B.id]) in NOTHING, table.name


def test_attack_05_another_organisations_row_changed_or_deleted(attacker: Attacker, tables: list[Table]) -> None:
    for table in tables:
        for column in table.columns:
            changed = f"update {table.name} set {column} = default where {table.tenant} = %s returning 1"
            # 428C9 and its like: what Postgres makes itself is set by nobody.
            assert attacker.attempt(changed, [B.id]) in (*NOTHING, "428C9"), (table.name, column)
        assert attacker.attempt(f"delete from {table.name} where {table.tenant} = %s returning 1", [B.id]) in NOTHING


def test_attack_05_everything_changed_or_deleted_blindly(
    attacker: Attacker, tables: list[Table], superuser: Connection
) -> None:
    """Without a condition and with nothing returned no policy for reading has a say."""
    for table in tables:
        own = superuser.execute(f"select count(*) as n from {table.name} where {table.tenant} = %s", [A.id]).fetchone()[
            "n"
        ]
        for statement in (
            f"delete from {table.name}",
            *(f"update {table.name} set {column} = default" for column in table.columns),
        ):
            # 428C9: what Postgres makes itself. 2350x: a column that has no default, or that others refer to.
            assert attacker.touched(statement) in (0, own, REFUSED, "428C9", "23502", "23503", "23514"), statement


def test_attack_06_an_upsert_onto_another_organisations_key(
    attacker: Attacker, worker: Attacker, tables: list[Table]
) -> None:
    for table in tables:
        if table.tenant not in table.columns:
            continue
        row = _members_part(table.sample(B, A.member))
        for otherwise in ("nothing", f"update set {table.tenant} = excluded.{table.tenant}"):
            conflict = f"({table.tenant})" if table.name == "public.embedding_models" else ""
            if otherwise != "nothing" and not conflict:
                continue
            upsert = insertion(table, row, f"on conflict {conflict} do {otherwise}")
            assert attacker.attempt(upsert, row) == REFUSED, table.name
    # The portal's own key has no organisation in it: the row that is hit is another's, and the upsert would adopt it.
    adopted = """insert into client_intelligence (id, org_id, client_id, client_name) values (%s, %s, %s, 'ours')
                 on conflict (id) do update set org_id = excluded.org_id, client_name = excluded.client_name"""
    assert worker.attempt(adopted, [B.row, A.id, uuid4()]) == REFUSED
    assert worker.attempt(adopted, [A.row, A.id, A.row]) == []


def test_attack_07_what_another_organisation_has_makes_no_difference_to_what_can_be_inserted(
    member: Attacker, worker: Attacker
) -> None:
    # A connects what B has connected, and keeps a document and a client that B has, by the same names.
    connected = "insert into connected_sources (org_id, provider, connected_by) values (%s, %s, %s)"
    assert member.attempt(f"{connected} returning 1 as made", [A.id, "gmail", A.member]) == [{"made": 1}]
    for provider in ("hubspot", "gmail"):  # which B has, and which it has not
        assert member.attempt(connected, [B.id, provider, A.member]) == REFUSED
    of_b = f"of {B.slug}"
    for key in (of_b, "new"):
        assert worker.attempt("insert into client_keys values (%s, %s, %s)", [B.id, key, A.row]) == REFUSED
    for statement, parameters in (
        ("insert into client_keys values (%s, %s, %s) returning 1 as made", [A.id, of_b, A.row]),
        (
            """insert into source_documents (org_id, source_id, provider, document_type, external_id, content_hash,
                                             payload_hash)
               values (%s, %s, 'hubspot', %s, %s, '', '') returning 1 as made""",
            [A.id, A.row, of_b, of_b],
        ),
        (
            "insert into client_intelligence (org_id, client_id, client_name) values (%s, %s, %s) returning 1 as made",
            [A.id, B.row, of_b],
        ),
    ):
        assert worker.attempt(statement, parameters) == [{"made": 1}]


def test_attack_08_a_reference_to_another_organisations_row(worker: Attacker) -> None:
    for target in (B.row, uuid4()):  # that exists elsewhere, and that exists nowhere: the same answer
        for statement in (
            "insert into source_document_passages (org_id, document_id, position, content) values (%s, %s, 7, '')",
            "insert into client_documents (org_id, document_id, client_id) values (%s, %s, gen_random_uuid())",
            "insert into sync_streams (org_id, source_id, stream, watermark) values (%s, %s, 'new', now())",
            """insert into source_attribution (org_id, proposal_id, section, agent_role, source_document_id)
               select org_id, id, 's', 'writer', %s from proposals where org_id = %s""",
        ):
            parameters = [A.id, target] if "select" not in statement else [target, A.id]
            assert worker.attempt(statement, parameters) == "23503"


def test_attack_08_a_job_that_names_another_organisations_proposal(
    database: Database, web_database: Database, owner: Connection
) -> None:
    with web_database.user(A.member) as transaction:
        job = transaction.execute(
            "insert into jobs (org_id, job_type, payload) values (%s, 'proposal', %s) returning id",
            [A.id, Jsonb({"proposal_id": str(B.row)})],
        ).fetchone()["id"]
    assert claim_proposal(database, "worker") is None
    ended = owner.execute("delete from jobs where id = %s returning status, error", [job]).fetchone()
    assert ended == {"status": "failed", "error": "The proposal that this job asks for does not exist."}


def test_attack_09_counting(attacker: Attacker, tables: list[Table], superuser: Connection) -> None:
    for table in tables:
        own = superuser.execute(f"select count(*) as n from {table.name} where {table.tenant} = %s", [A.id]).fetchone()
        counted = attacker.attempt(f"select count(*) as n from {table.name}")
        assert counted == REFUSED or counted == [own], table.name
        for question in (
            f"select 1 where exists (select from {table.name} where {table.tenant} = '{B.id}')",
            f"select {table.tenant} from {table.name} group by 1 having min({table.tenant}::text) = '{B.id}'",
            f"select 1 from (select array_agg({table.tenant}) as all from {table.name}) t where '{B.id}' = any (t.all)",
        ):
            assert attacker.attempt(question) in NOTHING, (table.name, question)


def test_attack_10_order_limit_and_what_else_walks_past_a_row(attacker: Attacker, superuser: Connection) -> None:
    places = superuser.execute("select ctid::text from source_documents where org_id = %s", [B.id]).fetchall()
    assert len(places) == 2
    for question in (
        *(f"select org_id from source_documents order by org_id {way} limit 1" for way in ("asc", "desc")),
        "select org_id from source_documents order by id offset 1 limit 3",
        "select org_id from source_documents tablesample system (100)",
        "select lag(org_id, 1, org_id) over (order by org_id) as org_id from source_documents",
    ):
        rows = attacker.attempt(question)
        assert {row["org_id"] for row in rows} == {A.id}, question
    for place in places:
        assert attacker.attempt("select 1 from source_documents where ctid = %s::tid", [place["ctid"]]) == []
    # What the planner knows of a column is rows, too.
    superuser.execute("analyze source_documents")
    assert attacker.attempt("select 1 from pg_stats where tablename = 'source_documents'") == []


def test_attack_11_a_function_that_tells_of_a_row_by_failing(attacker: Attacker, tables: list[Table]) -> None:
    for table in tables:
        for trap in (
            f"1 / (case when {table.tenant} = '{B.id}' then 0 else 1 end) = 1",
            f"case when {table.tenant} = '{B.id}' then {table.tenant}::text::int = 1 else true end",
        ):
            for planned in ("set local enable_seqscan = off", "set local enable_indexscan = off"):
                attacker.connection.execute(planned)
                told = attacker.attempt(f"select {table.tenant} as whose from {table.name} where {trap}")
                assert told == REFUSED or {row["whose"] for row in told} == {A.id}, (table.name, trap)


def test_attack_16_a_snippet_of_another_organisations_document(attacker: Attacker, superuser: Connection) -> None:
    snippet = (
        "select ts_headline('simple', content, query) as said from source_documents, to_tsquery('simple', %s) query"
    )
    for statement in (
        f"{snippet} where search_text @@ query",
        f"{snippet} where content ilike '%%' || %s || '%%'",
    ):
        for word, found in ((A.slug, [{"said": f"of <b>{A.slug}</b>"}]), (B.slug, [])):
            assert attacker.attempt(statement, [word] * statement.count("%s")) == found
