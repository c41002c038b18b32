"""Both organisations of the shared Boots, connected once."""

from typing import Any

import pytest

from tests.local.running import HARBOUR, MERIDIAN, Running


@pytest.fixture(scope="session")
def first_sync(boots: Running) -> dict[str, Any]:
    """Harbour's HubSpot, connected as an admin does; the first sync's job."""
    return boots.connect(HARBOUR)


@pytest.fixture(scope="session")
def first_sync_of_the_other(boots: Running) -> dict[str, Any]:
    """Meridian's, which the browser's test may have connected already."""
    jobs = boots.jobs(MERIDIAN)
    return boots.finished_job(jobs[0]["id"]) if jobs else boots.connect(MERIDIAN)
