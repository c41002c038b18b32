"""One database with the scene set, for all of tests/tenancy: what a test does there it undoes, or does to its own rows."""

from collections.abc import Iterator

import psycopg
import pytest

from boots_pipeline.local.postgres import DatabaseUrls
from tests.tenancy.scene import Connection, populate


@pytest.fixture(scope="session")
def urls(postgres: str) -> DatabaseUrls:
    """The scene's database."""
    urls = DatabaseUrls.on_socket(postgres, "boots_tenancy")
    with psycopg.connect(DatabaseUrls.on_socket(postgres, "postgres").owner, autocommit=True) as connection:
        connection.execute("create database boots_tenancy template template_boots")
    with psycopg.connect(urls.owner, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
        populate(connection)
    return urls


@pytest.fixture
def superuser(urls: DatabaseUrls) -> Iterator[Connection]:
    """A session that becomes each caller in turn; nothing that it does is kept."""
    with psycopg.connect(urls.owner, row_factory=psycopg.rows.dict_row) as connection:
        yield connection
        connection.rollback()
