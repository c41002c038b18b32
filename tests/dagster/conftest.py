"""The definitions on a test's own database, and an instance that forgets."""

import base64
import os
from collections.abc import Iterator

import dagster as dg
import pytest

from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.settings import Settings


@pytest.fixture(scope="session", autouse=True)
def _no_definitions_without_settings() -> Iterator[None]:
    """Importing the definitions builds them: they refuse to without a database and a key, which is tested elsewhere."""
    told = {
        "WORKER_DATABASE_URL": "postgresql://boots_worker@/nowhere",
        "VAULT_KEYS": f"test:{base64.b64encode(os.urandom(32)).decode()}",
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    from boots_pipeline import definitions  # noqa: F401

    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture
def definitions(urls: DatabaseUrls, vault_keys: str) -> dg.Definitions:
    """Everything, on this test's database."""
    from boots_pipeline.definitions import build_definitions

    return build_definitions(Settings(worker_database_url=urls.worker, vault_keys=vault_keys, vault_key_file=None))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance for one test."""
    with dg.instance_for_test() as instance:
        yield instance
