"""The migrations: fresh, again, at once, after others have been there; and what is refused, by name."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from boots_pipeline.errors import ConfigError
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.migrations import SQL_FOLDER, migrate, read_migrations

ALL = [migration.version for migration in read_migrations()]
SPRINT = ALL[:2]


@pytest.fixture
def empty(postgres: str) -> Iterator[str]:
    """The owner's URL of a database with nothing in it."""
    name = f"empty_{uuid4().hex[:12]}"
    admin = DatabaseUrls.on_socket(postgres, "postgres").owner
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield DatabaseUrls.on_socket(postgres, name).owner
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder of one's own migrations, without what is local to ours."""

    def make(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name.removeprefix('v')}.sql").write_text(text)
        return tmp_path

    return make


def history(url: str) -> list[tuple[str, str, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select version, name, created_by from supabase_migrations.schema_migrations order by version"
        ).fetchall()


def schema(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            """select table_schema, table_name, column_name, data_type, column_default, is_nullable
                 from information_schema.columns where table_schema in ('public', 'private') order by 1, 2, 3"""
        ).fetchall()


def test_fresh_then_again_is_nothing(empty: str) -> None:
    told: list[str] = []
    assert migrate(empty, report=told.append) == ALL
    assert [line.split()[0] for line in told] == ALL
    before = (history(empty), schema(empty))
    assert migrate(empty) == []
    assert (history(empty), schema(empty)) == before


def test_after_the_sprints_first_two_were_applied_by_hand(empty: str, postgres: str, tmp_path: Path) -> None:
    # What the portal had, and the sprint's first two files pasted into a dashboard: no history of either.
    first = tmp_path / "sql"
    shutil.copytree(
        SQL_FOLDER, first, ignore=lambda _, names: [n for n in names if n[:14].isdigit() and n[:14] not in SPRINT]
    )
    migrate(empty, folder=first)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("drop schema supabase_migrations cascade")
    with pytest.raises(ConfigError, match=SPRINT[0]):
        migrate(empty)  # it exists already
    with pytest.raises(ConfigError, match=f"{SPRINT[0]}.*--assume-applied"):
        migrate(empty, assume_applied=frozenset(SPRINT[1:]))
    assert migrate(empty, assume_applied=frozenset(SPRINT)) == ALL[2:]
    assert [row[2] for row in history(empty)] == ["assumed"] * 2 + ["boots"] * (len(ALL) - 2)
    assert schema(empty) == schema(DatabaseUrls.on_socket(postgres, "template_boots").owner)
    assert migrate(empty) == []


def test_what_was_applied_by_hand_must_hold_what_later_files_need(empty: str, tmp_path: Path) -> None:
    first = tmp_path / "sql"
    shutil.copytree(
        SQL_FOLDER, first, ignore=lambda _, names: [n for n in names if n[:14].isdigit() and n[:14] not in SPRINT]
    )
    migrate(empty, folder=first)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("alter table connected_sources drop column scopes, drop column mcp_server_url")
        connection.execute("drop schema supabase_migrations cascade")
    with pytest.raises(ConfigError, match=r"lacks public\.connected_sources\.mcp_server_url, .*scopes"):
        migrate(empty, assume_applied=frozenset(SPRINT))
    assert {row[0] for row in history(empty)} == set(SPRINT), "nothing else was begun"


def test_four_at_once_apply_each_file_once(empty: str, folder: Callable[..., Path]) -> None:
    own = folder(
        v20260101000000_one="create table one (); select pg_sleep(0.1)",
        v20260101000001_two="create table two ()",
    )
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrate(empty, folder=own), range(4)))
    assert sorted(applied) == [[], [], [], ["20260101000000", "20260101000001"]]


def test_a_file_that_fails_leaves_nothing_and_is_named(empty: str, folder: Callable[..., Path]) -> None:
    own = folder(
        v20260101000000_good="create table good ()", v20260101000001_bad="create table half (); select nothing"
    )
    with pytest.raises(ConfigError, match=r"20260101000001_bad.sql failed: column \"nothing\""):
        migrate(empty, folder=own)
    assert [row[0] for row in history(empty)] == ["20260101000000"]
    folder(v20260101000001_bad="create table half ()")
    assert migrate(empty, folder=own) == ["20260101000001"]


def test_a_file_says_itself_that_it_needs_no_transaction(empty: str, folder: Callable[..., Path]) -> None:
    own = folder(
        v20260101000000_table="create table t (a int)",
        v20260101000001_index="-- migrate:no-transaction\ncreate index concurrently t_a on t (a)",
    )
    assert len(migrate(empty, folder=own)) == 2
    with psycopg.connect(empty) as connection:
        assert connection.execute("select indisvalid from pg_index where indexrelid = 't_a'::regclass").fetchone()[0]


def test_settings_of_one_file_do_not_reach_the_next(empty: str, folder: Callable[..., Path]) -> None:
    own = folder(
        v20260101000000_sets="set search_path = pg_catalog; set statement_timeout = '7s'",
        v20260101000001_reads="create table made as select current_setting('statement_timeout') as timeout",
    )
    migrate(empty, folder=own)
    with psycopg.connect(empty) as connection:
        assert connection.execute("select timeout from public.made").fetchone() == ("0",)


def test_an_edited_file_is_refused_by_name(empty: str, folder: Callable[..., Path]) -> None:
    own = folder(v20260101000000_one="select 1")
    migrate(empty, folder=own)
    folder(v20260101000000_one="select 2")
    with pytest.raises(ConfigError, match=r"20260101000000_one.*was edited"):
        migrate(empty, folder=own)
    with psycopg.connect(empty, autocommit=True) as connection:  # another tool's own way of keeping texts
        connection.execute(
            "update supabase_migrations.schema_migrations set created_by = null, statements = '{select}'"
        )
    assert migrate(empty, folder=own) == []


def test_a_file_that_comes_too_late_is_refused_by_name(empty: str, folder: Callable[..., Path]) -> None:
    own = folder(v20260101000005_five="select 5")
    migrate(empty, folder=own)
    folder(v20260101000003_three="select 3")
    with pytest.raises(ConfigError, match=r"20260101000003_three.*is older than 20260101000005"):
        migrate(empty, folder=own)
    assert migrate(empty, folder=own, assume_applied=frozenset({"20260101000003"})) == []


def test_an_old_checkout_is_refused(empty: str, folder: Callable[..., Path]) -> None:
    own = folder(v20260101000000_one="select 1", v20260101000001_two="select 2")
    migrate(empty, folder=own)
    (own / "20260101000001_two.sql").unlink()
    with pytest.raises(ConfigError, match="20260101000001"):
        migrate(empty, folder=own)


@pytest.mark.parametrize("name", ["1_short", "20260101000000-dash", "20260101000000_Upper", "notes"])
def test_a_bad_name_is_refused(folder: Callable[..., Path], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        read_migrations(folder(**{name: ""}))


def test_two_of_one_version_are_refused(folder: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="20260101000000"):
        read_migrations(folder(v20260101000000_a="", v20260101000000_b=""))


def test_what_is_assumed_must_exist(empty: str, folder: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="no migration 20990101000000"):
        migrate(empty, folder=folder(), assume_applied=frozenset({"20990101000000"}))
