"""What a test is lent is as the migrations left it, whatever the test before did."""

import psycopg
import pytest

from tests.databases import Databases


def rows(url: str) -> int:
    with psycopg.connect(url) as owner:
        (count,) = owner.execute(
            "select (select count(*) from organizations) + count(*) from pgmq.q_ingestion_queue"
        ).fetchone()
        return int(count)


def test_rows_are_gone_and_numbers_begin_anew(databases: Databases) -> None:
    sent = []
    for _ in range(2):
        with databases.lend() as urls, psycopg.connect(urls.owner, autocommit=True) as owner:
            assert rows(urls.owner) == 0
            owner.execute("insert into organizations (id, slug, name) values (gen_random_uuid(), 'oak', 'Oak')")
            sent.append(owner.execute("select pgmq.send('ingestion_queue', '{}')").fetchone())
            sent.append(urls.owner)
    assert sent[:2] == sent[2:], "the same database, and the same first number"


@pytest.mark.parametrize(
    "change",
    [
        "drop policy worker on organizations",
        "grant update on organizations to anon",
        "alter function private.user_id() set search_path = public",
        "create schema elsewhere",
        "create publication everything for table organizations",
        "create statistics of_names on slug, name from organizations",
        "comment on table organizations is 'Others'",
        "select lo_create(0)",
        "alter table organizations alter slug drop not null",
        "delete from supabase_migrations.schema_migrations",
        "do $$ begin execute format('alter database %I set work_mem = ''5MB''', current_database()); end $$",
        "insert into organizations select gen_random_uuid(), i, repeat('x', 1000) from generate_series(1, 9000) i",
    ],
)
def test_a_database_that_is_another_is_not_lent_again(databases: Databases, change: str) -> None:
    with databases.lend() as before, psycopg.connect(before.owner, autocommit=True) as owner:
        owner.execute(change)
    with databases.lend() as after:
        assert after != before


def test_a_connection_that_was_left_open_ends(databases: Databases) -> None:
    with databases.lend() as urls:
        left = psycopg.connect(urls.worker)
        left.execute("create temporary table held ()")
    with databases.lend() as again:
        assert again == urls
    with pytest.raises(psycopg.OperationalError):
        left.execute("select 1")
    left.close()
