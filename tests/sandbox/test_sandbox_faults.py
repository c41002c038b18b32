"""Each kind of fault, as a program on the other side of the wire meets it."""

import math
import time
from typing import Any

import httpx
import httpx2
import pytest
from mcp import MCPError

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_status(outside: Any, status: int) -> None:
    token = outside.tokens()["access_token"]
    outside.order(kind="status", status=status, retry_after=7)
    answer = outside.ping(token)
    assert answer.status_code == status
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["status"] == "error"
    assert ("www-authenticate" in answer.headers) == (status in (401, 403))
    assert outside.ping(token).status_code == 200, "once was ordered"
    assert [call["status"] for call in outside.calls()[-2:]] == [status, 200]


async def test_the_sdk_tells_of_a_status_only_that_it_was_an_error(outside: Any) -> None:
    async with outside.hubspot() as hub:
        outside.order(kind="status", status=429)
        with pytest.raises(MCPError):
            await hub.search("deals")
        assert (await hub.search("deals"))["total"]


async def test_after_times_and_match_choose_the_calls(outside: Any) -> None:
    async with outside.hubspot() as hub:
        outside.order(tool="search_crm_objects", match={"objectType": "contacts"}, after=1, times=2, kind="tool_error")
        outcomes = []
        for kind in ("contacts", "deals", "contacts", "deals", "contacts", "contacts"):
            outcomes.append((await hub.raw("search_crm_objects", objectType=kind)).is_error)
    assert outcomes == [False, False, True, False, True, False]
    [order] = outside.http.get("/_control/faults").json()["faults"]
    assert (order["after"], order["times"]) == (0, 0)


async def test_for_ever_until_cleared(outside: Any) -> None:
    token = outside.tokens()["access_token"]
    outside.order(kind="status", status=503, times=None)
    assert {outside.ping(token).status_code for _ in range(5)} == {503}
    outside.http.delete("/_control/faults")
    assert outside.ping(token).status_code == 200


async def test_slow(outside: Any) -> None:
    token = outside.tokens()["access_token"]
    outside.order(kind="slow", seconds=0.3)
    started = time.monotonic()
    assert outside.ping(token).status_code == 200
    assert time.monotonic() - started >= 0.3


async def test_cut(outside: Any) -> None:
    token = outside.tokens()["access_token"]
    outside.order(kind="cut")
    with pytest.raises(httpx.RemoteProtocolError):
        outside.ping(token)
    assert outside.ping(token).status_code == 200


async def test_a_cut_ends_the_whole_session_of_the_sdk(outside: Any) -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the error leaves through the session
        async with outside.hubspot() as hub:
            outside.order(kind="cut")
            await hub.search("deals")
    assert caught.group_contains(httpx2.RemoteProtocolError)


async def test_html(outside: Any) -> None:
    token = outside.tokens()["access_token"]
    outside.order(kind="html")
    answer = outside.ping(token)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


async def test_faults_in_the_data(outside: Any) -> None:
    async with outside.hubspot() as hub:
        plain = await hub.search("contacts", limit=10, offset=10)
        ids = [item["id"] for item in plain["results"]]

        async def with_fault(kind: str) -> dict[str, Any]:
            outside.order(kind=kind, tool="search_crm_objects")
            page: dict[str, Any] = await hub.search("contacts", limit=10, offset=10)
            return page

        assert [item["id"] for item in (await with_fault("duplicate"))["results"]] == [*ids, ids[0]]
        assert [item["id"] for item in (await with_fault("reorder"))["results"]] == ids[::-1]
        assert (await with_fault("cycle"))["offset"] == 0
        empty = await with_fault("empty")
        assert (empty["results"], empty["total"], empty.get("offset")) == ([], 0, None)
        outside.order(kind="raw", raw='"odd": NaN, "id": "a second one"', tool="search_crm_objects")
        raw = (await hub.search("contacts", limit=10, offset=10))["results"]
        assert [item["id"] for item in raw if math.isnan(item.get("odd", 0))] == ["a second one"]
        broken = (await with_fault("malformed_item"))["results"]
        assert [item["id"] for item in broken if not isinstance(item["properties"], dict)] == [ids[5]]
        assert await hub.search("contacts", limit=10, offset=10) == plain


async def test_expire_tokens(outside: Any) -> None:
    mine, other = outside.tokens(), outside.tokens("meridian-signage")
    outside.order(kind="expire_tokens", after=1)
    assert outside.ping(mine["access_token"]).status_code == 200
    assert outside.ping(mine["access_token"]).status_code == 401
    assert outside.ping(other["access_token"]).status_code == 401
    fresh = outside.refresh(mine["refresh_token"]).json()
    assert outside.ping(fresh["access_token"]).status_code == 200


async def test_the_token_endpoint_has_faults_of_its_own(outside: Any) -> None:
    tokens = outside.tokens()
    outside.order(kind="status", status=500, times=None)
    assert outside.refresh(tokens["refresh_token"]).status_code == 200, "* means every tool, not the token"
    outside.http.delete("/_control/faults")
    outside.order(tool="token", match={"grant_type": "refresh_token"}, kind="status", status=503)
    tokens = outside.tokens()
    assert outside.refresh(tokens["refresh_token"]).status_code == 503
    assert outside.refresh(tokens["refresh_token"]).status_code == 200


async def test_a_cut_answer_of_the_token_endpoint_has_spent_the_refresh_token(outside: Any) -> None:
    tokens = outside.tokens()
    outside.order(tool="token", kind="cut")
    with pytest.raises(httpx.RemoteProtocolError):
        outside.refresh(tokens["refresh_token"])
    assert outside.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "fault",
    [
        {"provider": "hubspot", "kind": "gremlins"},
        {"provider": "hubspot", "kind": "status"},
        {"provider": "hubspot", "kind": "status", "status": 418},
        {"provider": "hubspot", "kind": "slow", "colour": "red"},
        {"provider": "hubspot", "kind": "raw"},
        {"provider": "hubspot", "kind": "slow", "raw": '"a": NaN'},
        {"kind": "slow"},
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(outside: Any, fault: dict[str, Any]) -> None:
    answer = outside.http.post("/_control/faults", json={"faults": [fault]})
    assert answer.status_code == 400
    assert answer.json()["problems"]
    assert outside.http.get("/_control/faults").json() == {"faults": []}
