"""The memory of a run is bounded by its batches, not by the size of the source."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest

from boots_pipeline.local.postgres import DatabaseUrls
from tests.conftest import Organisation
from tests.outside import Outside, sandbox_process

MOST_MEGABYTES = 400


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Outside]:
    """One account with 50,000 records."""
    with sandbox_process(size="huge") as outside:
        yield outside


def test_fifty_thousand_records_in_bounded_memory(
    connect: Callable[..., UUID],
    organisation: Organisation,
    urls: DatabaseUrls,
    vault_keys: str,
    owner: psycopg.Connection,
) -> None:
    connect(organisation)
    done = subprocess.run(
        [sys.executable, "-m", "tests.ingestion.measured_worker"],
        env=os.environ | {"WORKER_DATABASE_URL": urls.worker, "VAULT_KEYS": vault_keys},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]

    status, megabytes = done.stdout.split()[-2:]
    kept = owner.execute("select count(*) as n, count(embedding) as embedded from source_documents").fetchone()
    assert (status, kept) == ("completed", {"n": 50_000, "embedded": 50_000})
    assert int(megabytes) < MOST_MEGABYTES
