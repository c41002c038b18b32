"""The HubSpot twin's tools: what they are, what they find, what they refuse."""

from typing import Any

import pytest

from tests.sandbox.shapes import facts, shape

pytestmark = pytest.mark.anyio

KINDS = ("companies", "contacts", "deals")


@pytest.mark.parametrize("account", ["harbour-joinery", "meridian-signage"])
async def test_paging_through_everything_finds_the_truth(outside: Any, account: str) -> None:
    truth = outside.truth(account)
    async with outside.hubspot(account) as hub:
        for kind in KINDS:
            names = list(next(iter(truth[kind].values()))["properties"])
            page = await hub.search(kind, limit=7, properties=names)
            found = page["results"]
            while "offset" in page:
                page = await hub.search(kind, limit=7, properties=names, offset=page["offset"])
                found += page["results"]
            assert page["total"] == len(found)
            assert len({item["id"] for item in found}) == len(found)
            assert {
                item["id"]: {"updated_at": item["updatedAt"], "properties": item["properties"]} for item in found
            } == truth[kind]


async def test_only_requested_properties_come_and_unknown_ones_are_ignored(outside: Any) -> None:
    async with outside.hubspot() as hub:
        page = await hub.search("COMPANY", limit=1, properties=["name", "no_such_thing"])
        assert list(page["results"][0]["properties"]) == ["name"]
        assert page["results"][0]["archived"] is False
        assert page["urlTemplate"].endswith("/record/0-2/{id}")
        defaults = await hub.search("CONTACT", limit=1)
        assert set(defaults["results"][0]["properties"]) == {
            "firstname", "lastname", "email", "createdate", "lastmodifieddate", "hs_object_id",
        }  # fmt: skip


async def test_objects_are_read_by_integer_ids(outside: Any) -> None:
    ids = [int(number) for number in list(outside.truth()["deals"])[:3]]
    async with outside.hubspot() as hub:
        read = await hub.ask("get_crm_objects", objectType="deals", objectIds=[*ids, 1], properties=["dealname"])
        assert [item["id"] for item in read] == [str(number) for number in ids]
        assert read[0]["url"].endswith(f"/record/0-3/{ids[0]}")
        page = outside.http.get(read[0]["url"])
        assert page.status_code == 200
        assert "fiction" in page.text
        assert outside.http.get(read[0]["url"] + "9").status_code == 404
        assert "1 to 100" in await hub.refused("get_crm_objects", objectType="deals", objectIds=[])
        assert "1 to 100" in await hub.refused("get_crm_objects", objectType="deals")
        assert "1 to 100" in await hub.refused("get_crm_objects", objectType="deals", objectIds=[1] * 101)
        await hub.refused("get_crm_objects", objectType="deals", objectIds=[str(ids[0])])


async def test_properties_are_described(outside: Any) -> None:
    async with outside.hubspot() as hub:
        [stage] = await hub.ask("get_properties", objectType="deals", propertyNames=["dealstage"])
        assert {"label": "Closed won", "value": "closedwon"} in stage["options"]
        found = await hub.ask("search_properties", objectType="contacts", keywords=["email"])
        assert "hs_additional_emails" in [one["name"] for one in found]
        await hub.refused("search_properties", objectType="contacts", keywords=["a"] * 6)
        for kind in KINDS:
            described = {one["name"] for one in await hub.ask("get_properties", objectType=kind)}
            assert described == set(next(iter(outside.truth()[kind].values()))["properties"])


async def test_owners_and_the_user_are_known(outside: Any) -> None:
    organization = outside.world()["organizations"][0]
    async with outside.hubspot() as hub:
        owners = await hub.ask("search_owners")
        assert [owner["name"] for owner in owners] == [user["name"] for user in organization["users"]]
        assert await hub.ask("search_owners", ownerIds=[owners[1]["ownerId"]]) == [owners[1]]
        me = await hub.ask("get_user_details")
        assert me["hubId"] == outside.truth()["account"]["hub_id"]
        assert me["owner"]["ownerId"] == owners[0]["ownerId"]
        assert set(me["toolAvailability"]) == set(facts("hubspot-remote"))
        assert me["objectTypeAvailability"] == {kind.upper(): "AVAILABLE" for kind in KINDS}
        owned = await hub.search("deals", {"propertyName": "hubspot_owner_id", "operator": "HAS_PROPERTY"}, limit=1)
        assert owned["total"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search_crm_objects", {}),
        ("search_crm_objects", {"objectType": "companies", "after": "100"}),
        ("search_crm_objects", {"objectType": "companies", "limit": "100"}),
        ("search_crm_objects", {"objectType": "companies", "limit": 201}),
        ("search_crm_objects", {"objectType": "companies", "offset": 9_901}),
        ("search_crm_objects", {"objectType": "companies", "query": "x" * 201}),
        ("search_crm_objects", {"objectType": "unicorns"}),
        ("search_crm_objects", {"objectType": "deals", "filterGroups": [{"filters": []}] * 6}),
        (
            "search_crm_objects",
            {"objectType": "deals", "sorts": [{"propertyName": "amount", "direction": "UP"}]},
        ),
        ("get_user_details", {"userId": 1}),
    ],
)
async def test_invalid_arguments_are_a_tool_error(outside: Any, tool: str, arguments: dict[str, Any]) -> None:
    async with outside.hubspot() as hub:
        assert await hub.refused(tool, **arguments)


async def test_one_account_does_not_see_the_other(outside: Any) -> None:
    async with outside.hubspot("harbour-joinery") as hub:
        first = {item["id"]: item for item in await hub.found("companies", properties=["name"])}
    async with outside.hubspot("meridian-signage") as hub:
        second = {item["id"]: item for item in await hub.found("companies", properties=["name"])}
    shared = first.keys() & second.keys()
    assert shared, "equal ids in two accounts are a trap that the world must set"
    assert all(first[number] != second[number] for number in shared)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(("path", "real"), [("hubspot/mcp", "hubspot-remote"), ("hubspot/npm/mcp", "hubspot-npm")])
async def test_each_server_has_the_tools_of_the_real_one(outside: Any, path: str, real: str, mode: str) -> None:
    async with outside.hubspot(path=path, mode=mode) as hub:
        listed = (await hub.client.list_tools()).tools
    assert {tool.name: shape(tool.input_schema) for tool in listed} == facts(real)
    assert all(tool.description for tool in listed)


@pytest.mark.parametrize(("path", "real"), [("gmail/mcp", "gmail"), ("google_drive/mcp", "google-drive")])
async def test_googles_servers_list_their_tools_to_anybody(outside: Any, path: str, real: str) -> None:
    async with outside.stranger(path) as client:
        listed = (await client.list_tools()).tools
    assert {tool.name: shape(tool.input_schema) for tool in listed} == facts(real)
    assert all(tool.description for tool in listed)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": listed[0].name, "arguments": {}}}
    refused = outside.http.post(f"/{path}", json=call, headers={"Accept": "application/json, text/event-stream"})
    assert refused.status_code == 401
    assert "WWW-Authenticate" in refused.headers
