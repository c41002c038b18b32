"""A Postgres of one's own, prepared as the README says: its owner is no superuser, and all works all the same."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from boots_pipeline.local.organisations import seed
from boots_pipeline.local.postgres import DatabaseUrls, embedded_postgres
from boots_pipeline.migrations import migrate
from tests.folders import server_folder
from tests.outside import Outside

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture(scope="module")
def prepared() -> Iterator[DatabaseUrls]:
    """Its URLs; on a server of its own, since it makes roles. The owner's is boots_owner."""
    (preparation,) = re.findall(r"```sql\n(.*?)```", README.read_text(), re.DOTALL)
    before, _, inside = preparation.partition("\\c boots\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with server_folder() as folder, embedded_postgres(folder / "data") as socket_dir:
            urls = DatabaseUrls.on_socket(socket_dir, "boots")
            for url, statements in (
                (DatabaseUrls.on_socket(socket_dir, "postgres").owner, before),
                (urls.owner, inside),
            ):
                for statement in filter(str.strip, statements.split(";")):
                    with psycopg.connect(url, autocommit=True) as superuser:
                        superuser.execute(statement)
            yield DatabaseUrls(urls.owner.replace("postgres@", "boots_owner@"), urls.worker, urls.web, urls.dagster)


def test_it_is_migrated_and_has_people_to_sign_in(prepared: DatabaseUrls, outside: Outside) -> None:
    assert migrate(prepared.owner) != []
    assert migrate(prepared.owner) == []
    slugs = seed(prepared.owner, outside.url)
    assert seed(prepared.owner, outside.url) == slugs
    with psycopg.connect(prepared.web) as pages:
        rows = pages.execute("select org_slug, role from private.local_users()").fetchall()
    assert {slug for slug, _ in rows} == set(slugs)
    with psycopg.connect(prepared.owner) as owner, pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute("insert into organizations (slug, name) values ('new', 'New')")  # under its policies again


def test_nobody_is_put_beside_organisations_of_ones_own(urls: DatabaseUrls, outside: Outside) -> None:
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        owner.execute("insert into organizations (slug, name) values ('oak', 'Oak')")
        assert seed(urls.owner, outside.url) == []
        assert owner.execute("select slug from organizations").fetchall() == [("oak",)]
        assert owner.execute("select count(*) from auth.users").fetchone() == (0,)
