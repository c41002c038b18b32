"""Every object of the catalogue does for every caller what verdicts.py says, and nothing has no verdict."""

from collections.abc import Callable

import psycopg
import pytest

from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.migrations import migrate
from tests.tenancy import verdicts
from tests.tenancy.matrix import as_text, function_line, parse, read_functions, table_line
from tests.tenancy.scene import Connection, populate, read_tables


def check_tables(connection: Connection) -> None:
    expected = parse(verdicts.TABLES)
    found = {table.name: (lambda table=table: table_line(connection, table)) for table in read_tables(connection)}
    _compare("TABLES", expected, found)


def check_functions(connection: Connection) -> None:
    expected = parse(verdicts.FUNCTIONS)
    lines: dict[str, Callable[[], dict[str, str]]] = {}
    for function in read_functions(connection):
        name = "pgmq.*" if function.name.startswith("pgmq.") else function.name
        line = function_line(connection, function)
        assert name not in lines or lines[name]() == line, f"the functions called {name} do not share their verdict"
        lines[name] = lambda line=line: line
    _compare("FUNCTIONS", expected, lines)


def _compare(table: str, expected: dict[str, dict[str, str]], found: dict[str, Callable[[], dict[str, str]]]) -> None:
    missing = [
        f"{name} has no verdict: say in tests/tenancy/verdicts.py, {table}, who may do what with it. "
        f"As it is, it would read\n{as_text(name, line())}"
        for name, line in found.items()
        if name not in expected
    ]
    missing += [f"{name} is gone: take its line out of {table}." for name in expected.keys() - found.keys()]
    assert not missing, "\n".join(missing)
    told = {name: line() for name, line in found.items()}
    wrong = [
        f"expected\n{as_text(name, expected[name])}\nand found\n{as_text(name, line)}"
        for name, line in told.items()
        if line != expected[name]
    ]
    assert not wrong, "\n".join(wrong)


def test_every_table_does_what_its_verdict_says(superuser: Connection) -> None:
    check_tables(superuser)


def test_every_function_does_what_its_verdict_says(superuser: Connection) -> None:
    check_functions(superuser)


def test_a_grant_by_columns_names_those_of_its_verdict(superuser: Connection) -> None:
    granted = superuser.execute(
        """select attrelid::regclass::text as on, grantee::regrole::text as to, lower(privilege_type) as privilege,
                  array_agg(attname::text order by attname) as columns
             from pg_attribute join pg_class c on c.oid = attrelid, aclexplode(attacl)
            where relnamespace <> 'pg_catalog'::regnamespace group by attrelid, grantee, privilege_type"""
    ).fetchall()
    expected: dict[tuple[str, ...], list[str]] = {}
    for line in verdicts.COLUMNS.strip("\n").splitlines():
        if line[0] != " ":
            table, role, privilege, *columns = line.split()
            expected[table, role, privilege] = columns
        else:
            expected[table, role, privilege] += line.split()
    assert {(row["on"], row["to"], row["privilege"]): row["columns"] for row in granted} == expected


def test_a_new_object_needs_a_verdict(superuser: Connection) -> None:
    superuser.execute("create table public.notes (org_id uuid not null, body text not null)")
    superuser.execute("create function public.note() returns int language sql as 'select 1'")
    for check, name in ((check_tables, "public.notes"), (check_functions, "public.note")):
        with pytest.raises(AssertionError, match=f"{name} has no verdict: say in tests/tenancy/verdicts.py"):
            check(superuser)


def test_a_server_that_grants_everything_by_default_makes_no_difference(postgres: str) -> None:
    """Hosted Supabase gives its API roles every new table and function of `public`; the migrations take it back."""
    admin, urls = DatabaseUrls.on_socket(postgres, "postgres"), DatabaseUrls.on_socket(postgres, "boots_generous")
    with psycopg.connect(admin.owner, autocommit=True) as connection:
        connection.execute("create database boots_generous")
    with psycopg.connect(urls.owner, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
        for kind in ("tables", "functions", "sequences"):
            connection.execute(
                f"alter default privileges in schema public grant all on {kind} to anon, authenticated, service_role"
            )
        migrate(urls.owner)
        populate(connection)
        check_tables(connection)
        check_functions(connection)
