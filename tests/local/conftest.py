"""What the tests with a running Boots share: both organisations connected, what Dagster's net repairs; and the order.

Waiting overlaps with work: what takes long is asked for early and looked at late.
"""

import time
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from boots_pipeline.local.visitor import wait_for
from tests.local.commands import PORTS, Commands
from tests.local.running import HARBOUR, MERIDIAN, Running

# The browser must find nothing connected. The commands bring a Boots of their own: meanwhile the net repairs this one.
_ORDER = ("test_smoke", "test_second_terminal", "test_whole_loop", "test_commands", "test_net")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a running Boots comes last: it takes a core from all that run beside it."""
    items.sort(key=lambda item: _ORDER.index(item.path.stem) if item.path.stem in _ORDER else -1)


@pytest.fixture
def beside(boots: Running) -> Commands:
    """A second terminal beside the running Boots."""
    return Commands(boots.settings.boots_home, {name: getattr(boots.settings, name.lower()) for name in PORTS})


@pytest.fixture(scope="session")
def first_sync(boots: Running) -> dict[str, Any]:
    """Harbour's HubSpot, connected as an admin does; the first sync's job."""
    return boots.connect(HARBOUR)


@pytest.fixture(scope="session")
def first_sync_of_the_other(boots: Running) -> dict[str, Any]:
    """Meridian's, which the browser's test may have connected already."""
    jobs = boots.jobs(MERIDIAN)
    return boots.finished_job(jobs[0]["id"]) if jobs else boots.connect(MERIDIAN)


@dataclass(frozen=True)
class Disturbed:
    """When Meridian's vectors were taken away behind the pipeline's back, and what they had been."""

    at: float
    vectors: list[dict[str, Any]]


@pytest.fixture(scope="session")
def net(boots: Running, first_sync: dict[str, Any], first_sync_of_the_other: dict[str, Any]) -> Disturbed:
    """Documents that changed in another way than by a sync, which Dagster was told of, after a tick of the net that
    had seen both organisations' syncs and asked for nothing. Requested early, since the net looks every half minute."""
    since = max(boots.run(job["run_id"])["endTime"] for job in (first_sync, first_sync_of_the_other))
    ticks = wait_for(lambda: boots.net_ticks(since) or None, 90, "A tick of the net")
    assert not any(tick["requestedAssetMaterializationCount"] for tick in ticks)
    disturbed = Disturbed(time.time(), boots.vectors(MERIDIAN))
    boots.rows(
        """update source_documents set embedding = null, embedding_model = null, updated_at = now()
            where deleted_at is null and org_id = (select id from organizations where slug = %s)""",
        MERIDIAN,
    )
    reported = httpx.post(
        f"{boots.local.dagster}/report_asset_materialization/source_documents/hubspot",
        json={"partition": MERIDIAN, "data_version": "made elsewhere"},
        timeout=30,
    )
    assert reported.status_code == 200, reported.text
    return disturbed
