"""Each policy, and each clause of it, holds something up: taken away or opened, the verdict of its table changes."""

import pytest

from tests.tenancy import verdicts
from tests.tenancy.matrix import parse, table_line, undone
from tests.tenancy.scene import Connection, read_tables

EXPECTED = parse(verdicts.TABLES)


def unnoticed(connection: Connection, mutations: list[tuple[str, str]]) -> list[str]:
    """Of (table, statement), the statements after which the table's verdict still holds."""
    tables = {table.name: table for table in read_tables(connection)}
    survived = []
    for name, statement in mutations:
        with undone(connection):
            connection.execute(statement)
            if table_line(connection, tables[name]) == EXPECTED[name]:
                survived.append(statement)
    return survived


def policies(connection: Connection) -> list[dict[str, str]]:
    return connection.execute(
        """select policyname as name, format('%s.%s', schemaname, tablename) as on, qual, with_check, cmd,
                  -- Whether somebody whom it binds may say whose a row is; else its check has nothing to catch.
                  exists (select from unnest(roles) as role
                           where has_column_privilege(role, a.attrelid, a.attnum, 'insert')
                              or has_column_privilege(role, a.attrelid, a.attnum, 'update')) as may_say_whose
             from pg_policies
             left join pg_attribute a on a.attrelid = format('%I.%I', schemaname, tablename)::regclass
                                     and a.attname = 'org_id'
            order by 2, 1"""
    ).fetchall()


def test_every_policy_is_needed(superuser: Connection) -> None:
    dropped = [(policy["on"], f"drop policy {policy['name']} on {policy['on']}") for policy in policies(superuser)]
    assert len(dropped) > 50
    assert unnoticed(superuser, dropped) == []


def test_every_condition_of_a_policy_is_needed(superuser: Connection) -> None:
    opened = []
    for policy in policies(superuser):
        alter = f"alter policy {policy['name']} on {policy['on']}"
        if policy["qual"] not in (None, "true"):
            # Where there is no check of its own, the condition is the check, too.
            opened.append((policy["on"], f"{alter} using (true)"))
        if policy["with_check"] not in (None, "true") and policy["may_say_whose"]:
            opened.append((policy["on"], f"{alter} with check (true)"))
    assert len(opened) > 50
    assert unnoticed(superuser, opened) == []


@pytest.mark.parametrize("taken", ["disable row level security", "no force row level security"])
def test_every_tables_row_security_is_needed(superuser: Connection, taken: str) -> None:
    flag = "relrowsecurity" if taken.startswith("disable") else "relforcerowsecurity"
    # Who may read a queue at all may read all of it: its row security is held by the lint (test_lints.py).
    tables = superuser.execute(
        f"""select format('%s.%s', relnamespace::regnamespace, relname) as name from pg_class
             where {flag} and relnamespace <> 'pgmq'::regnamespace"""
    )
    mutations = [(row["name"], f"alter table {row['name']} {taken}") for row in tables.fetchall()]
    assert len(mutations) >= 20
    assert unnoticed(superuser, mutations) == []
