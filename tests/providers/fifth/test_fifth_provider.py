"""A provider is one file and one line in the registry: the engine, Dagster and the pages take it as it is."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from boots_pipeline.assets.source_documents import documents_asset
from boots_pipeline.ingestion.sync import SyncEngine
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.providers.base import Provider
from boots_pipeline.resources.queue import SyncQueue
from boots_pipeline.settings import provider_settings
from oauth_app.authorisation import Grant
from tests.conftest import Connected, Organisation
from tests.outside import Outside
from tests.providers.fifth import notebook
from tests.providers.fifth.notebook import NOTEBOOK
from tests.providers.fifth.server import Notes, notebook_server

CLIENTS = ("Northgate Dental Care", "Quayside Bakery")


@pytest.fixture
def notes() -> Notes:
    """Ten notes about two clients."""
    held = Notes()
    for number in range(10):
        held.write(f"n{number}", number, text=f"What was said on day {number}.", client=CLIENTS[number % 2])
    return held


@pytest.fixture
def connected(
    notes: Notes, organisation: Organisation, keep_grant: Callable[[Organisation, Provider, Grant], UUID],
    owner: psycopg.Connection, outside: Outside, queue: SyncQueue, engine: SyncEngine, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Connected]:  # fmt: skip
    """A notebook that was connected just now."""
    monkeypatch.setitem(PROVIDERS, NOTEBOOK.name, NOTEBOOK)
    with notebook_server(notes) as url:
        for name, value in {"MCP_URL": url, "CLIENT_ID": "boots", "CLIENT_SECRET": "secret"}.items():
            monkeypatch.setenv(f"NOTEBOOK_{name}", value)
        provider_settings.cache_clear()
        account = NOTEBOOK.account_of({"notebook": "the office's"}, {})
        grant = Grant(notes.token, "never used", datetime.now(UTC) + timedelta(hours=1), [], account)
        yield Connected(
            organisation, NOTEBOOK, keep_grant(organisation, NOTEBOOK, grant), owner, outside, queue, engine
        )


def test_it_takes_less_than_a_hundred_lines() -> None:
    assert len(Path(notebook.__file__).read_text().splitlines()) < 100


def test_everything_is_kept_and_a_change_is_read_alone(connected: Connected, notes: Notes) -> None:
    assert connected.sync().status == "completed", connected.job()
    assert connected.kept() == {"notes": set(notes.notes)}
    notes.read.clear()
    assert connected.sync("full").status == "completed"
    assert notes.read == []  # listed in the version that is kept
    notes.write("n3", 11, text="Something else.")
    notes.write("n9", 12)  # a date alone
    before = connected.documents()
    assert connected.sync("delta").status == "completed"
    assert sorted(notes.read) == ["n3", "n9"]
    after = connected.documents()
    assert {key for key in after if after[key]["content"] != before[key]["content"]} == {("notes", "n3")}
    assert connected.job()["documents_embedded"] == 1


def test_what_is_gone_goes_and_what_is_locked_is_named(connected: Connected, notes: Notes) -> None:
    notes.locked.add("n5")
    assert connected.sync().status == "partial"
    (quarantined,) = connected.owner.execute("select * from quarantined_items").fetchall()
    assert quarantined["external_id"] == "n5"
    notes.locked.clear()
    del notes.notes["n0"]
    assert connected.sync("reconcile").status == "completed"
    assert connected.kept() == {"notes": set(notes.notes)}


def test_dagster_makes_an_asset_of_it() -> None:
    assert documents_asset(NOTEBOOK).key.to_user_string() == "source_documents/notebook"
