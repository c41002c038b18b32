"""The roles themselves: none is above the policies, none owns a table, and what is above them is refused."""

import pytest

from boots_pipeline.errors import ConfigError
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.resources.database import Database
from tests.tenancy.scene import Connection

OURS = ["boots_worker", "boots_web", "boots_dispatch", "boots_audit", "authenticated", "anon"]


def test_no_role_of_ours_is_above_the_policies(superuser: Connection) -> None:
    roles = superuser.execute(
        "select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = any(%s)",
        [OURS],
    ).fetchall()
    assert {role.pop("rolname") for role in roles} == set(OURS)
    assert all(not any(role.values()) for role in roles)
    logins = superuser.execute(
        "select rolname from pg_roles where rolcanlogin and rolname = any(%s)", [OURS]
    ).fetchall()
    assert {role["rolname"] for role in logins} == {"boots_worker", "boots_web"}


def test_no_role_of_ours_becomes_another_but_the_pages_their_user(superuser: Connection) -> None:
    becomes = superuser.execute(
        """select member::regrole::text as who, roleid::regrole::text as whom, inherit_option
             from pg_auth_members where member::regrole::text = any(%s)""",
        [OURS],
    ).fetchall()
    assert becomes == [{"who": "boots_web", "whom": "authenticated", "inherit_option": False}]


def test_no_role_of_ours_owns_a_table_or_makes_one(superuser: Connection) -> None:
    owned = superuser.execute(
        "select oid::regclass from pg_class where relowner::regrole::text = any(%s)", [OURS]
    ).fetchall()
    assert owned == []
    makes = superuser.execute(
        """select role, nspname from unnest(%s::text[]) as role, pg_namespace
            where nspname !~ '^pg_' and has_schema_privilege(role, nspname, 'create')""",
        [OURS],
    ).fetchall()
    assert makes == []


def test_a_superusers_address_is_refused(urls: DatabaseUrls) -> None:
    database = Database(urls.owner, application="careless")
    try:
        with pytest.raises(ConfigError, match="superuser"), database.connection():
            pass
    finally:
        database.close()


def test_a_database_that_nobody_has_migrated_says_what_to_run(postgres: str) -> None:
    database = Database(DatabaseUrls.on_socket(postgres, "postgres").worker, application="early")
    with pytest.raises(ConfigError, match="boots migrate"), database.connection():
        pass
