"""The world: the same from the same seed, awkward where it must be, and moving on when told to."""

import re
import subprocess
import sys
from collections import Counter
from typing import Any

import httpx
import pytest

from sandbox.app import create_app
from sandbox.awkward import CANARY
from sandbox.changes import advance
from sandbox.fiction import World
from sandbox.world import SIZES

KINDS = ("companies", "contacts", "deals")


def texts(outside: Any, slug: str) -> dict[str, list[dict[str, Any]]]:
    truth = outside.truth(slug)
    return {kind: [told["properties"] for told in truth[kind].values()] for kind in KINDS}


def test_the_same_seed_is_the_same_world() -> None:
    def told(seed: int) -> list[str]:
        world = World(seed, SIZES["small"])
        advance(world, [], 3)
        return [
            repr(record)
            for organization in world.organizations
            for records in (organization.companies, organization.contacts, organization.deals)
            for record in records.values()
        ]

    assert told(7) == told(7)
    assert told(7) != told(8)


def test_the_demo_has_its_size_and_tells_whose_it_is(outside: Any) -> None:
    world = World(7, SIZES["demo"])
    for organization in world.organizations:
        assert len(organization.companies) == 200
        assert len(organization.contacts) == 600
        assert len(organization.deals) == 400
    told = outside.world()
    assert told["fiction"] is True
    assert told["today"] == "2026-11-20"
    for organization in told["organizations"]:
        assert re.fullmatch(r"[a-z0-9-]{1,40}", organization["slug"])
        assert [user["role"] for user in organization["users"]] == ["admin", "member"]
        assert all(user["email"].endswith(".example") for user in organization["users"])


@pytest.mark.parametrize("slug", ["harbour-joinery", "meridian-signage"])
def test_every_awkward_case_is_there(outside: Any, slug: str) -> None:
    told = texts(outside, slug)
    companies, contacts, deals = (told[kind] for kind in KINDS)
    assert max(Counter(company["name"] for company in companies).values()) == 2
    assert max(Counter(company["domain"] for company in companies if company["domain"]).values()) == 2
    assert {contact["email"] for contact in contacts} >= {None, ""}
    assert any(contact["associatedcompanyid"] is None for contact in contacts)
    assert any(deal["hs_primary_associated_company"] is None for deal in deals)
    assert {None, ""} <= {company["phone"] for company in companies}
    assert any(not company["name"].isascii() for company in companies)
    assert any("\x00" in (company["description"] or "") for company in companies)
    assert any("\u200b" in (c["description"] or "") and "\u202e" in c["description"] for c in companies)
    assert any(CANARY in (deal["description"] or "") for deal in deals)
    assert any(contact["hs_additional_emails"] for contact in contacts)
    merged = next(company["hs_merged_object_ids"] for company in companies if company["hs_merged_object_ids"])
    assert set(merged.split(";")).isdisjoint(outside.truth(slug)["companies"])
    for properties in (*companies, *contacts, *deals):
        assert all(value is None or isinstance(value, str) for value in properties.values())
        assert properties["hs_object_id"]


def test_advancing_does_what_it_says(outside: Any) -> None:
    before = outside.truth()
    answer = outside.advance(2)
    after = outside.truth()
    assert answer["today"] == "2026-11-22"
    newest = max(told["updated_at"] for kind in KINDS for told in before[kind].values())
    for kind in KINDS:
        report = answer["organizations"]["harbour-joinery"]["hubspot"][kind]
        created, archived = (set(map(str, report[change])) for change in ("created", "archived"))
        losers = {str(pair["loser"]) for pair in report["merged"]}
        assert (archived | losers).isdisjoint(after[kind])
        assert set(after[kind]) - set(before[kind]) == created - archived - losers
        assert set(before[kind]) - set(after[kind]) == (archived | losers) - created
        touched = {key for key, told in after[kind].items() if told["updated_at"] > newest}
        named = {
            str(number)
            for change in ("created", "changed", "bumped", "renamed", "relinked")
            for number in report[change]
        } | {str(pair["winner"]) for pair in report["merged"]}
        assert touched == named & set(after[kind])
        assert all(report[change] for change in ("created", "changed", "bumped", "renamed", "archived"))
        untouched = set(before[kind]) & set(after[kind]) - touched
        assert all(before[kind][key] == after[kind][key] for key in untouched)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bump_changes_the_date_and_nothing_else(outside: Any, kind: str) -> None:
    before = outside.truth()[kind]
    bumped = outside.advance()["organizations"]["harbour-joinery"]["hubspot"][kind]["bumped"]
    after = outside.truth()[kind]
    dated = {"hs_lastmodifieddate": None, "lastmodifieddate": None}
    for number in map(str, bumped):
        assert before[number]["updated_at"] < after[number]["updated_at"]
        assert before[number]["properties"] | dated == after[number]["properties"] | dated


def test_a_merge_leaves_a_survivor_that_lists_the_loser(outside: Any) -> None:
    staff_before = outside.truth()["contacts"]
    [merge] = outside.advance()["organizations"]["harbour-joinery"]["hubspot"]["companies"]["merged"]
    truth, winner, loser = outside.truth(), str(merge["winner"]), str(merge["loser"])
    assert loser in truth["companies"][winner]["properties"]["hs_merged_object_ids"].split(";")
    moved = {k for k, told in staff_before.items() if told["properties"]["associatedcompanyid"] == loser}
    for key in moved & truth["contacts"].keys():
        assert truth["contacts"][key]["properties"]["associatedcompanyid"] == winner


def test_advancing_by_the_same_chance_is_the_same_day_and_reset_is_the_first(outside: Any) -> None:
    first = outside.truth()
    done, then = outside.advance(), outside.truth()
    outside.http.post("/_control/reset").raise_for_status()
    assert outside.truth() == first
    assert outside.advance() == done
    assert outside.truth() == then
    outside.http.post("/_control/reset").raise_for_status()
    other = outside.http.post("/_control/advance", json={"days": 1, "seed": 99}).json()
    assert other != done


def test_reset_forgets_tokens_faults_and_calls(outside: Any) -> None:
    tokens = outside.tokens()
    outside.order(kind="slow")
    outside.http.post("/_control/reset").raise_for_status()
    assert outside.calls() == []
    assert outside.http.get("/_control/faults").json() == {"faults": []}
    assert outside.ping(tokens["access_token"]).status_code == 401


def test_counts_are_enough_when_asked_for(outside: Any) -> None:
    told = outside.http.get("/_control/truth", params={"counts": 1}).json()["organizations"]
    assert told["harbour-joinery"]["hubspot"]["companies"] == 20
    assert told["meridian-signage"]["hubspot"]["contacts"] == 60
    assert told["meridian-signage"]["hubspot"]["deals"] == 40


@pytest.mark.parametrize("order", [{"days": 0}, {"days": "many"}, {}, {"days": 1, "weeks": 2}])
def test_an_unclear_advance_is_refused(outside: Any, order: dict[str, Any]) -> None:
    assert outside.http.post("/_control/advance", json=order).status_code == 400
    assert outside.world()["today"] == "2026-11-20"


@pytest.mark.anyio
async def test_the_levers_answer_to_this_machine_only() -> None:
    stranger = httpx.ASGITransport(create_app(7, "small", "http://sandbox.example"), client=("192.0.2.7", 4711))
    async with httpx.AsyncClient(transport=stranger, base_url="http://sandbox.example") as http:
        assert (await http.get("/_control/truth")).status_code == 403
        assert (await http.get("/hubspot/.well-known/oauth-authorization-server")).status_code == 200


def test_the_command_says_one_line_when_it_listens_and_its_help_is_the_manual() -> None:
    command = [sys.executable, "-m", "sandbox"]
    manual = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    for word in ("hubspot", "boots-sandbox-secret", "/_control/advance", "expire_tokens", "--size"):
        assert word in manual
    with subprocess.Popen([*command, "--port", "0", "--size", "small"], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        base_url = line.split()[-1]
        taken = subprocess.run([*command, "--port", base_url[-5:]], capture_output=True, text=True, check=False)
        assert httpx.get(f"{base_url}/_control/health").json() == {"ok": True}
        running.terminate()
    assert line.startswith("Sandbox (fiction, seed 7, small) listens at http://127.0.0.1:")
    assert taken.returncode == 1
    assert "Try another --port" in taken.stderr
