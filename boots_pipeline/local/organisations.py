"""The sandbox's organisations and users, put where the portal would have them. Fiction, for development only."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg

_PORTALS = ("organizations", "organization_members")


def seed(owner_url: str, sandbox_url: str) -> list[str]:
    """Insert what is missing; returns the slugs. None, and nothing is done, where there are organisations that are
    not the sandbox's: fiction has no place beside them."""
    world = httpx.get(f"{sandbox_url}/_control/world", timeout=30).raise_for_status().json()
    organisations = world["organizations"]
    slugs = [each["slug"] for each in organisations]
    with psycopg.connect(owner_url) as connection, _as_the_portal(connection), connection.cursor() as cursor:
        if cursor.execute("select from organizations where slug <> all(%s) limit 1", [slugs]).fetchone() is not None:
            return []
        cursor.executemany(
            "insert into organizations (slug, name) values (%(slug)s, %(name)s) on conflict (slug) do nothing",
            organisations,
        )
        users = [{**user, "slug": each["slug"]} for each in organisations for user in each["users"]]
        cursor.executemany(
            "insert into auth.users (id, email) values (%(id)s, %(email)s) on conflict do nothing", users
        )
        cursor.executemany(
            """insert into organization_members (org_id, user_id, role)
               select o.id, u.id, %(role)s from organizations o, auth.users u
                where o.slug = %(slug)s and u.email = %(email)s
               on conflict do nothing""",
            users,
        )
    return slugs


@contextmanager
def _as_the_portal(connection: psycopg.Connection) -> Iterator[None]:
    """These tables are the portal's to fill, and their owner is under their policies: not for this one transaction."""
    for table in _PORTALS:
        connection.execute(f"alter table {table} no force row level security".encode())
    yield
    for table in _PORTALS:
        connection.execute(f"alter table {table} force row level security".encode())
