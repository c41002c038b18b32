"""The commands beside a running Boots: they use it, and leave it as it is."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.local.commands import Commands
from tests.local.running import HARBOUR, Running


@pytest.fixture
def beside(boots: Running) -> Commands:
    """A second terminal beside a running Boots."""
    return Commands(
        boots.settings.boots_home, {name: getattr(boots.settings, name.lower()) for name in Commands(Path()).ports}
    )


def test_beside_a_running_boots_the_commands_use_it(
    boots: Running, beside: Commands, first_sync: dict[str, Any]
) -> None:
    assert beside.run("migrate").said == "Everything was applied already.\n"
    (harbour,) = [each for each in beside.run("status", "--json").last_line["connections"] if each["slug"] == HARBOUR]
    assert (harbour["provider"], harbour["status"]) == ("hubspot", "active")
    assert harbour["documents"] == sum(len(records) for records in boots.outside.truth(HARBOUR).values())

    company = next(iter(boots.outside.truth(HARBOUR)["companies"].values()))["properties"]["name"]
    found = beside.run("search", company, "--org", HARBOUR, "--json").last_line
    assert company in {client["name"] for client in found["clients"]}
    assert found["documents"]

    done = beside.run("sync", "--org", HARBOUR, "--full")
    assert done.code == 0
    assert re.search(r"hubspot: completed, \d+ new, \d+ changed, \d+ gone", done.said), done.said
    job = boots.finished_job(boots.jobs(HARBOUR)[-1]["id"])
    assert (job["reason"], job["kind"]) == ("asked for at the command line", "full")

    again = beside.run("up")
    assert again.code == 1
    assert "running already" in again.sentence
    unknown = beside.run("sync", "--org", HARBOUR, "--provider", "gmail")
    assert unknown.code == 1
    assert "no such connection" in unknown.sentence
