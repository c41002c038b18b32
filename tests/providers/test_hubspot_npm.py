"""The npm server's profile, through the engine: what is listed, what changed, what was archived, what fails."""

from typing import Any

import pytest

from boots_pipeline.errors import ConfigError
from boots_pipeline.providers import hubspot
from boots_pipeline.providers.hubspot import HUBSPOT, HubSpot, NpmServer, RemoteServer
from tests.conftest import Connected

LIST, SEARCH = {"tool": "hubspot-list-objects"}, {"tool": "hubspot-search-objects"}


@pytest.fixture
def npm(connected: Connected, monkeypatch: pytest.MonkeyPatch) -> Connected:
    """HubSpot at the npm server's address, as its operator would set it."""
    url = f"{connected.outside.url}/hubspot/npm/mcp"
    monkeypatch.setattr(HubSpot, "mcp_url", url)
    monkeypatch.setattr(hubspot, "_NPM_PAGE", 7)
    monkeypatch.setattr(hubspot, "_SEARCHES", hubspot.Budget("search", 500, 1))
    connected.owner.execute("update connected_sources set mcp_server_url = %s", [url])
    return connected


def test_a_server_is_known_by_its_tools() -> None:
    everything = RemoteServer.tools | NpmServer.tools | {"manage_crm_objects"}
    assert HUBSPOT.profile_of(RemoteServer.tools | {"tool_guidance"}).name == RemoteServer.name
    assert HUBSPOT.profile_of(NpmServer.tools).name == NpmServer.name
    assert HUBSPOT.profile_of(everything).name == RemoteServer.name
    with pytest.raises(ConfigError, match=r"for HubSpot's npm server the tools hubspot-search-objects are missing"):
        HUBSPOT.profile_of(NpmServer.tools - {"hubspot-search-objects"})


def test_everything_is_listed_and_what_changes_is_found(npm: Connected) -> None:
    assert npm.sync().status == "completed"
    assert npm.kept() == npm.truth()
    before = npm.documents()
    assert npm.sync("delta").status == "completed"
    assert npm.documents() == before
    for _ in range(3):
        npm.outside.control("POST", "advance", days=1)
        assert npm.sync("delta").status == "completed"
        assert npm.kept() == npm.truth()  # archived records, too: this server tells of them
    assert npm.job()["documents_removed"] > 0
    assert {call["tool"] for call in npm.outside.control("GET", "calls") if "tool" in call} <= NpmServer.tools


def test_a_merge_is_followed_and_a_full_listing_agrees(npm: Connected) -> None:
    npm.sync()
    report = npm.outside.control("POST", "advance", days=1)
    merged = report["organizations"][npm.organisation.slug]["hubspot"]["companies"]["merged"]
    assert merged
    npm.sync("delta")
    assert not {str(pair["loser"]) for pair in merged} & npm.kept()["companies"]
    assert npm.sync("full").status == "completed"
    assert npm.kept() == npm.truth()


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "expire_tokens"},
        {"kind": "status", "status": 429, "retry_after": 1},
        {"kind": "status", "status": 503},
        {"kind": "cut"},
        {"kind": "duplicate", "times": None},
        {"kind": "reorder"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_what_passes_is_gone_through(npm: Connected, fault: dict[str, Any]) -> None:
    npm.outside.fault(after=2, **LIST, **fault)
    assert npm.sync().status == "completed", npm.job()
    assert npm.kept() == npm.truth()


def test_a_malformed_item_is_named_and_read_again(npm: Connected) -> None:
    npm.outside.fault(kind="malformed_item", match={"objectType": "deals"}, **LIST)
    assert npm.sync().status == "partial"
    assert npm.sync("delta").status == "completed"
    assert npm.kept() == npm.truth()


def test_a_listing_in_circles_ends(npm: Connected) -> None:
    npm.outside.fault(kind="cycle", times=None, after=1, **LIST)
    outcome = npm.sync()
    assert (outcome.status, outcome.error_class) == ("queued", "bad_page")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (
            'Error searching HubSpot companies: HubSpot API Error: 429 Too Many Requests - {"policyName":"SECONDLY"}',
            429,
        ),
        ("Error listing HubSpot deals: HubSpot API Error: 401 Unauthorized - {}", 401),
        ("Error listing HubSpot deals: HubSpot API Error: 502 Bad Gateway - <html>", 502),
        ("Error in the deal 'HubSpot API Error: 401' of 2026", 0),
        ("A note that says HubSpot API Error: 401", 0),
    ],
)
def test_its_errors_state_their_status(text: str, status: int) -> None:
    assert HUBSPOT.trouble(0, text).status == status


def test_a_limit_says_how_long() -> None:
    assert HUBSPOT.trouble(0, '{"policyName":"SECONDLY"}').wait == 1
    assert HUBSPOT.trouble(429, '{"policyName":"DAILY"}').wait == 3600
    assert HUBSPOT.trouble(429, "{}").wait is None
