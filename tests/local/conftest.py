"""Both organisations of the shared Boots, connected once; and the order, so that it runs no longer than it must."""

from typing import Any

import pytest

from tests.local.commands import PORTS, Commands
from tests.local.running import HARBOUR, MERIDIAN, Running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a running Boots comes last and together: it takes a core from all that run beside it."""

    def place(item: pytest.Item) -> int:
        fixtures = getattr(item, "fixturenames", ())
        # The browser's test first among them: it is the one that must find nothing connected.
        return 0 if "boots" not in fixtures else 1 if "page" in fixtures else 2

    items.sort(key=place)


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
