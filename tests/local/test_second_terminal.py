"""The commands beside a running Boots: they use it, and leave it as it is."""

from typing import Any

from tests.local.commands import Commands
from tests.local.running import HARBOUR, Running


def test_beside_a_running_boots_the_commands_use_it(
    boots: Running, beside: Commands, first_sync: dict[str, Any]
) -> None:
    assert beside.run("migrate").said == "Everything was applied already.\n"
    (harbour,) = [each for each in beside.run("status", "--json").last_line["connections"] if each["slug"] == HARBOUR]
    assert (harbour["provider"], harbour["status"]) == ("hubspot", "active")
    assert harbour["documents"] == sum(len(records) for records in boots.outside.truth(HARBOUR).values())

    company = next(iter(boots.outside.truth(HARBOUR)["companies"].values()))["properties"]["name"]
    found = beside.run("search", company, "--org", HARBOUR, "--json").last_line
    # Two companies of the world share that name, so their domains follow in brackets.
    assert found["clients"][0]["name"].partition(" (")[0] == company
    assert found["documents"]

    again = beside.run("up")
    assert again.code == 1
    assert "running already" in again.sentence
    unknown = beside.run("sync", "--org", HARBOUR, "--provider", "gmail")
    assert unknown.code == 1
    assert "no such connection" in unknown.sentence
