"""The pages alone, without a pipeline: what the tests of every state share."""

from collections.abc import Iterator

import psycopg
import pytest
from playwright.sync_api import Browser
from psycopg.rows import dict_row

from boots_pipeline.local.postgres import DatabaseUrls, create_databases
from tests.browser.scenes import Stage, make_stage
from tests.browser.served import chromium, served


@pytest.fixture(scope="module")
def stage_urls(postgres: str) -> DatabaseUrls:
    """A database for all of a module's tests."""
    name = "boots_browser"
    with psycopg.connect(DatabaseUrls.on_socket(postgres, "postgres").owner, autocommit=True) as connection:
        connection.execute(f"create database {name} template template_boots")
    return create_databases(postgres, name)


@pytest.fixture(scope="module")
def stage(stage_urls: DatabaseUrls) -> Iterator[Stage]:
    """An organisation whose cards can be put into any state."""
    with psycopg.connect(stage_urls.owner, autocommit=True, row_factory=dict_row) as owner:
        yield make_stage(owner)


@pytest.fixture(scope="module")
def address(stage_urls: DatabaseUrls) -> Iterator[str]:
    """Where the pages are."""
    with served(stage_urls.web) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser; each test opens what it needs."""
    with chromium() as browser:
        yield browser
