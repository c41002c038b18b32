"""What may be called of a provider's server and how, and what its answers are taken for."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from boots_pipeline.errors import BadPage, BootsError, ConfigError, NeedsReauth
from boots_pipeline.providers.base import at_once
from boots_pipeline.providers.hubspot import HUBSPOT, HubSpot, RemoteServer
from boots_pipeline.resources import mcp_gateway
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.live import LiveDocuments
from boots_pipeline.resources.mcp_errors import error_of, retry_after
from boots_pipeline.resources.mcp_gateway import McpGateway
from tests.conftest import Connected

SEARCH = {"tool": "search_crm_objects"}


# What may be called


def test_arguments_follow_the_schema_at_every_depth() -> None:
    wrapped = {"type": "object", "properties": {"limit": {}, "criteria": {"type": "array"}}, "required": ["criteria"]}
    schema = {"type": "object", "properties": {"params": wrapped}, "required": ["params"]}
    asked = {"params": {"criteria": [{"field": "Id"}], "offset": 1}, "full": True}
    assert mcp_gateway._by_schema(asked, schema) == ({"params": {"criteria": [{"field": "Id"}]}}, [])
    assert mcp_gateway._by_schema({"params": {"limit": 1}}, schema)[1] == ["criteria"]
    assert mcp_gateway._by_schema({}, schema)[1] == ["params"]


def in_a_session(
    connected: Connected, gateway: McpGateway, use: Callable[[Any], Any], provider: HubSpot = HUBSPOT
) -> Any:
    async def inside() -> Any:
        async with gateway.session(connected.organisation.id, connected.id, provider) as tools:
            return await use(tools)

    return asyncio.run(inside())


@pytest.mark.parametrize("tool", ["manage_crm_objects", "search_owners", "get_properties", ""])
def test_only_what_reads_is_called(connected: Connected, gateway: McpGateway, tool: str) -> None:
    with pytest.raises(ConfigError, match="read-only list"):
        in_a_session(connected, gateway, lambda tools: tools.call(tool, {}))
    assert connected.calls(tool) == []


def test_a_tool_that_the_server_lost_is_named(connected: Connected, gateway: McpGateway) -> None:
    class Renamed(RemoteServer):
        tools = frozenset({"search_crm", "get_crm_objects"})

    class Elsewhere(HubSpot):
        profiles = (Renamed(),)

    with pytest.raises(ConfigError, match=r"no server that Boots knows: for .* the tools search_crm are missing"):
        in_a_session(connected, gateway, lambda tools: tools.call("search_crm", {}), Elsewhere())


def test_arguments_follow_the_live_schema(connected: Connected, gateway: McpGateway) -> None:
    asked = {"objectType": "deals", "limit": 1, "invented": 1, "chatInsights": {"userIntent": "sync"}}
    in_a_session(connected, gateway, lambda tools: tools.call("search_crm_objects", asked))
    (call,) = connected.calls("search_crm_objects")
    assert "invented" not in call["arguments"]
    with pytest.raises(ConfigError, match="now requires objectType"):
        in_a_session(connected, gateway, lambda tools: tools.call("search_crm_objects", {"limit": 1}))
    assert len(connected.calls("search_crm_objects")) == 1


def test_one_session_serves_many_tasks_and_outlives_a_failure(connected: Connected, gateway: McpGateway) -> None:
    async def use(tools: Any) -> list[Any]:
        answers = []
        for _ in range(3):
            asked = tools.call("search_crm_objects", {"objectType": "deals", "limit": 1})
            answers.append(await asyncio.create_task(asked))
        return answers

    connected.outside.fault(kind="cut", after=1, **SEARCH)
    answers = in_a_session(connected, gateway, use)
    assert [answer["total"] for answer in answers] == [40, 40, 40]


def test_calls_go_at_once_over_a_few_connections(connected: Connected, gateway: McpGateway) -> None:
    async def use(tools: Any) -> list[Any]:
        return await at_once(tools.call("get_user_details", {}) for _ in range(8))

    connected.outside.fault(kind="slow", seconds=0.5, times=None, tool="get_user_details")
    connected.outside.control("DELETE", "calls")
    began = time.monotonic()
    in_a_session(connected, gateway, use)
    assert 0.9 < time.monotonic() - began < 2.5  # four at a time; one by one it would be four seconds
    assert len(connected.calls("initialize")) + len(connected.calls("server/discover")) <= 8
    assert len(connected.calls("get_user_details")) == 8


def test_the_first_error_of_calls_made_at_once_is_raised_alone(connected: Connected, gateway: McpGateway) -> None:
    async def use(tools: Any) -> list[Any]:
        return await at_once(tools.call("get_crm_objects", {"objectType": "deals", "objectIds": []}) for _ in range(3))

    with pytest.raises(BadPage):
        in_a_session(connected, gateway, use)
    answer = in_a_session(connected, gateway, lambda tools: tools.call("get_user_details", {}))
    assert answer["hubId"]


def test_a_record_is_read_as_it_is_now(connected: Connected, gateway: McpGateway, database: Database) -> None:
    live = LiveDocuments(database, gateway)
    one, *_ = connected.truth()["companies"]
    read = live.read(connected.organisation.id, "hubspot", "companies", one)
    assert read is not None
    assert read.client_keys[0] == f"hubspot.company:{one}"
    assert live.read(connected.organisation.id, "hubspot", "companies", "1") is None
    connected.owner.execute("update connected_sources set status = 'error'")  # a sync failed; the grant still stands
    assert live.read(connected.organisation.id, "hubspot", "companies", one) == read
    connected.owner.execute("update connected_sources set status = 'needs_reauth'")
    with pytest.raises(NeedsReauth, match="Connect again"):
        live.read(connected.organisation.id, "hubspot", "companies", one)
    connected.owner.execute("update connected_sources set status = 'revoked', access_token_vault_id = null")
    with pytest.raises(ConfigError, match="HubSpot is not connected now"):
        live.read(connected.organisation.id, "hubspot", "companies", one)


# What a tool's error says


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        ("Object 401 not found", "bad_page"),
        ("limit must be at most 500", "bad_page"),
        ("objectIds[0]=403 is archived", "bad_page"),
        ("500 is more than a page may hold", "bad_page"),
        ("5030 records", "bad_page"),
        ("The deal RATE_LIMIT is closed", "bad_page"),
        ('{"category": "VALIDATION_ERROR", "message": "id 429 is unknown"}', "bad_page"),
        ("status 404", "bad_page"),
        ("", "bad_page"),
        ("401", "needs_reauth"),
        ("401 Unauthorized", "needs_reauth"),
        ("Error: 403 Forbidden", "permission"),
        ("Request failed with status code 429", "rate_limited"),
        ('{"status": 503, "message": "later"}', "transient"),
        ('{"statusCode":403}', "permission"),
        ("upstream answered HTTP 502", "transient"),
        ("HTTP/1.1 500", "transient"),
        ('{"status":"error","category":"EXPIRED_AUTHENTICATION"}', "needs_reauth"),
        ('{"category": "MISSING_SCOPES"}', "permission"),
        ('{"category": "RATE_LIMITS"}', "rate_limited"),
        ('{"message": "slow down", "policyName": "SECONDLY"}', "rate_limited"),
        ('{"errorType": "RATE_LIMIT"}', "rate_limited"),
        (r'"{\"category\":\"RATE_LIMITS\"}"', "rate_limited"),
    ],
)
def test_only_a_status_that_is_said_to_be_one_decides(text: str, error_class: str) -> None:
    error = error_of("HubSpot", HUBSPOT.trouble(0, text))
    assert (error.error_class if error else "bad_page") == error_class


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 1), ("-5", 1), ("1e9", 3600), ("inf", 3600), ("nan", 1), (None, 10), ("soon", 10),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 1), ("Wed, 21 Oct 9999 07:28:00 -0000", 3600), ("Wed, 99 Oct 2026", 10)],
)  # fmt: skip
def test_retry_after_is_clamped(header: str | None, seconds: float) -> None:
    assert retry_after(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    assert 85 < retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)) <= 90


@pytest.mark.parametrize("error", BootsError.__subclasses__())
def test_every_class_of_error_has_a_name(error: type[BootsError]) -> None:
    assert error.error_class != "bug"
