"""HubSpot's search language, compared with what is true."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

pytestmark = pytest.mark.anyio
Properties = dict[str, str | None]


def where(name: str, operator: str, **operands: Any) -> dict[str, Any]:
    return {"propertyName": name, "operator": operator, **operands}


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def number(text: str | None) -> float:
    return float(text or "nan")


CASES: list[tuple[dict[str, Any], Callable[[Properties], bool]]] = [
    (where("dealstage", "EQ", value="closedwon"), lambda p: p["dealstage"] == "closedwon"),
    (where("dealstage", "NEQ", value="closedwon"), lambda p: p["dealstage"] != "closedwon"),
    (where("amount", "GT", value="100000"), lambda p: number(p["amount"]) > 100_000),
    (where("amount", "LTE", value="100000.00"), lambda p: number(p["amount"]) <= 100_000),
    (
        where("amount", "BETWEEN", value="50000", highValue="150000"),
        lambda p: 50_000 <= number(p["amount"]) <= 150_000,
    ),
    (
        where("dealstage", "IN", values=["closedwon", "closedlost"]),
        lambda p: p["dealstage"] in ("closedwon", "closedlost"),
    ),
    (
        where("dealstage", "NOT_IN", values=["closedwon", "closedlost"]),
        lambda p: p["dealstage"] not in ("closedwon", "closedlost"),
    ),
    (
        where("hs_primary_associated_company", "HAS_PROPERTY"),
        lambda p: p["hs_primary_associated_company"] is not None,
    ),
    (where("description", "NOT_HAS_PROPERTY"), lambda p: not p["description"]),
    (
        where("dealname", "CONTAINS_TOKEN", value="*refurb*"),
        lambda p: "refurb" in (p["dealname"] or "").lower(),
    ),
    (
        where("dealname", "NOT_CONTAINS_TOKEN", value="*refurb*"),
        lambda p: "refurb" not in (p["dealname"] or "").lower(),
    ),
]


@pytest.mark.parametrize(("given", "holds"), CASES, ids=[case[0]["operator"] for case in CASES])
async def test_every_operator_selects_what_it_says(
    outside: Any, given: dict[str, Any], holds: Callable[[Properties], bool]
) -> None:
    expected = {key for key, told in outside.truth()["deals"].items() if holds(told["properties"])}
    assert 0 < len(expected) < 40, "the case must tell something"
    async with outside.hubspot() as hub:
        assert {item["id"] for item in await hub.found("deals", given)} == expected


@pytest.mark.parametrize("spelled", [lambda at: at, lambda at: str(milliseconds(at))], ids=["ISO", "milliseconds"])
async def test_a_delta_holds_what_changed_since(outside: Any, spelled: Callable[[str], str]) -> None:
    watermark = max(told["updated_at"] for told in outside.truth()["contacts"].values())
    outside.advance()
    truth = outside.truth()["contacts"]
    expected = {key for key, told in truth.items() if told["updated_at"] >= watermark}
    rising = [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}]
    async with outside.hubspot() as hub:
        given = where("lastmodifieddate", "GTE", value=spelled(watermark))
        delta = await hub.found("contacts", given, sorts=rising)
    assert {item["id"] for item in delta} == expected
    assert [item["updatedAt"] for item in delta] == sorted(truth[key]["updated_at"] for key in expected)


async def test_more_records_than_a_page_share_one_date(outside: Any) -> None:
    dates = [told["updated_at"] for told in outside.truth()["contacts"].values()]
    assert max(dates.count(date) for date in dates) >= len(dates) // 3


async def test_groups_are_alternatives_and_filters_add_up(outside: Any) -> None:
    won, dear = where("dealstage", "EQ", value="closedwon"), where("amount", "GT", value="120000")
    async with outside.hubspot() as hub:
        both = {item["id"] for item in await hub.found("deals", won, dear)}
        winners = {item["id"] for item in await hub.found("deals", won)}
        dears = {item["id"] for item in await hub.found("deals", dear)}
        either = await hub.ask(
            "search_crm_objects", objectType="deals", filterGroups=[{"filters": [won]}, {"filters": [dear]}]
        )
        assert both == winners & dears
        assert {item["id"] for item in either["results"]} == winners | dears
        await hub.refused("search_crm_objects", objectType="deals", filterGroups=[{"filters": [won] * 7}])
        await hub.refused("search_crm_objects", objectType="deals", filterGroups=[{"filters": [won] * 5}] * 4)


async def test_sorting_goes_both_ways_with_missing_values_last(outside: Any) -> None:
    amounts = [told["properties"]["amount"] for told in outside.truth()["deals"].values()]
    expected = sorted((float(amount) for amount in amounts if amount), reverse=True)
    async with outside.hubspot() as hub:
        falling = [{"propertyName": "amount", "direction": "DESCENDING"}]
        found = [item["properties"]["amount"] for item in await hub.found("deals", sorts=falling)]
        assert [float(amount) for amount in found if amount] == expected
        assert found[-1] is None
        await hub.refused("search_crm_objects", objectType="deals", sorts=falling * 2)


async def test_associations_are_searched_by_pseudo_property(outside: Any) -> None:
    contacts = outside.truth()["contacts"]
    company = next(told["properties"]["associatedcompanyid"] for told in contacts.values())
    expected = {k for k, told in contacts.items() if told["properties"]["associatedcompanyid"] == company}
    async with outside.hubspot() as hub:
        staff = await hub.found("contacts", where("associated_companies", "EQ", value=company))
        assert {item["id"] for item in staff} == expected
        back = await hub.found("companies", where("associated_contacts", "IN", values=sorted(expected)))
        assert [item["id"] for item in back] == [company]
        deals = await hub.found("deals", where("associated_COMPANY", "EQ", value=company))
        assert {item["id"] for item in deals} == {
            key
            for key, told in outside.truth()["deals"].items()
            if told["properties"]["hs_primary_associated_company"] == company
        }


async def test_free_text_is_looked_for_in_the_searchable_properties(outside: Any) -> None:
    name = next(iter(outside.truth()["companies"].values()))["properties"]["name"]
    async with outside.hubspot() as hub:
        page = await hub.search("companies", query=name.upper(), properties=["name"])
    names = [item["properties"]["name"] for item in page["results"]]
    assert names.count(name) == 2, "two companies share a name"
    assert page["total"] == 3, "and a third has the domain of the first"


@pytest.mark.parametrize(
    "given",
    [
        where("amount", "ALMOST", value="1"),
        where("amount", "EQ"),
        where("amount", "EQ", value="much"),
        where("amount", "IN", values=[]),
        where("amount", "BETWEEN", value="1"),
        where("no_such_property", "EQ", value="1"),
        where("hs_lastmodifieddate", "GTE", value="yesterday"),
        where("associated_unicorns", "EQ", value="1"),
        where("associated_contacts", "GT", value="1"),
    ],
    ids=lambda given: f"{given['propertyName']} {given['operator']}",
)
async def test_a_filter_that_makes_no_sense_is_refused(outside: Any, given: dict[str, Any]) -> None:
    async with outside.hubspot() as hub:
        await hub.refused("search_crm_objects", objectType="deals", filterGroups=[{"filters": [given]}])
