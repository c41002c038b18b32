"""HubSpot, through its official remote MCP server, or the npm server `@hubspot/mcp-server` behind a bridge.

Facts of 2026-11 (docs/providers.md names the sources): scopes cannot be requested, PKCE is required, the client
authenticates in the body, refresh tokens are treated as rotating; search is the only listing, at most 200 a page and
10,000 a query, and never shows archived records; every property is a string or null; a merged record vanishes and is
named by its survivor.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from boots_pipeline.errors import BadItem, BadPage
from boots_pipeline.providers.answers import Answer, Trouble, json_of, stated_status
from boots_pipeline.providers.base import (
    Account,
    Budget,
    Document,
    Item,
    Known,
    OAuthFacts,
    Page,
    Profile,
    Provider,
    Rejected,
    Tools,
)
from boots_pipeline.providers.hubspot_records import MAKERS, MODIFIED, Record, moment

_PAGE = 200
_NPM_PAGE = 100  # what the API behind it gives, whatever its schema says
_HUB_ID = re.compile(r'"hub_?[iI]d"\s*:\s*"?(\d+)')
_ID = re.compile(r"^[0-9]{1,18}$")
_SEARCHES = Budget("search", 5, 1)  # of an account, whichever app asks
_CALLS = Budget("calls", 100, 10)  # of the smallest plan
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PROPERTIES = {
    stream: (*names.split(), "hs_merged_object_ids", "hs_object_id", "createdate", MODIFIED[stream])
    for stream, names in {
        "companies": "name domain hs_additional_domains industry city country numberofemployees annualrevenue "
        "lifecyclestage description website hs_parent_company_id",
        "contacts": "firstname lastname email hs_additional_emails jobtitle phone company associatedcompanyid "
        "lifecyclestage notes",
        "deals": "dealname amount deal_currency_code dealstage pipeline closedate description "
        "hs_primary_associated_company",
    }.items()
}


class RemoteServer(Profile):
    """`https://mcp.hubspot.com`."""

    name = "HubSpot's remote server"
    streams = ("companies", "contacts", "deals")
    tools = frozenset({"search_crm_objects", "get_crm_objects", "get_user_details"})

    async def identify(self, tools: Tools) -> Account | None:
        details = await tools.call("get_user_details", {})
        hub_id = _first(details, "hubId", "hub_id", "portalId")
        if hub_id is None:
            raise BadPage("HubSpot did not say which account this is.")
        availability = _first(details, "objectTypeAvailability", "objectAvailability", "availability") or {}
        closed = {
            stream: _UNAVAILABLE.get(str(availability[key]), "not available")
            for stream in self.streams
            for key in (stream, stream.upper(), _SINGULAR[stream])
            if isinstance(availability, dict) and availability.get(key, "AVAILABLE") != "AVAILABLE"
        }
        return Account(str(hub_id), unavailable=closed)

    async def pages(
        self, tools: Tools, stream: str, *, since: datetime | None, cursor: Any | None, known: Known
    ) -> AsyncIterator[Page]:
        async for page in _search(tools, "search_crm_objects", _PAGE, stream, since, cursor):
            yield page

    async def read(self, tools: Tools, stream: str, external_id: str) -> Item | None:
        ids = [int(_asked_for(external_id))]
        asked = {"objectType": stream, "objectIds": ids, "properties": _PROPERTIES[stream]}
        return _found(await tools.call("get_crm_objects", asked), stream, external_id)


class NpmServer(Profile):
    """`@hubspot/mcp-server` 0.4.0, which speaks for one private app: its listing has no window to end at, its searches
    tell no total, and it shows what was archived."""

    name = "HubSpot's npm server"
    streams = ("companies", "contacts", "deals")
    tools = frozenset(
        {"hubspot-list-objects", "hubspot-search-objects", "hubspot-batch-read-objects", "hubspot-get-user-details"}
    )

    def read_answer(self, answer: Answer) -> Any:
        # The user's details are prose around JSON, in several blocks.
        return json_of(answer) if len(answer.texts) == 1 else answer.text

    async def identify(self, tools: Tools) -> Account | None:
        told = _HUB_ID.search(str(await tools.call("hubspot-get-user-details", {})))
        if told is None:
            raise BadPage("HubSpot did not say which account this is.")
        return Account(told[1])

    async def pages(
        self, tools: Tools, stream: str, *, since: datetime | None, cursor: Any | None, known: Known
    ) -> AsyncIterator[Page]:
        """Everything by listing; or what changed by searching, then what of it was archived by listing again."""
        if since is None:
            async for records, following in _list(tools, stream, cursor, archived=False):
                yield Page(*_sort_out(records, stream, cursor, None), following)
            return
        if not (isinstance(cursor, dict) and "archived" in cursor):
            async for page in _search(tools, "hubspot-search-objects", _NPM_PAGE, stream, since, cursor):
                yield replace(page, cursor=page.cursor or {"archived": None})
            cursor = {"archived": None}
        async for records, following in _list(tools, stream, cursor["archived"], archived=True):
            gone = [str(record["id"]) for record in records if _named(record) and _archived_since(record, since)]
            yield Page([], [], {"archived": following} if following else None, deleted=gone)

    async def read(self, tools: Tools, stream: str, external_id: str) -> Item | None:
        asked = {"objectType": stream, "inputs": [{"id": _asked_for(external_id)}], "properties": _PROPERTIES[stream]}
        return _found(await tools.call("hubspot-batch-read-objects", asked), stream, external_id)


class HubSpot(Provider):
    """Companies are the clients; contacts and deals point at them by a property: the server lists no associations."""

    name = "hubspot"
    title = "HubSpot"
    brings = "Companies, contacts and deals."
    env_prefix = "HUBSPOT_"
    mcp_url_default = "https://mcp.hubspot.com"
    oauth_facts = OAuthFacts(
        issuer="https://mcp.hubspot.com",
        authorization_url="https://mcp.hubspot.com/oauth/authorize/user",
        token_url="https://mcp.hubspot.com/oauth/v3/token",  # noqa: S106 an address
        revocation_url="https://mcp.hubspot.com/oauth/v3/token/revoke",
        discovery_url="https://mcp.hubspot.com/.well-known/oauth-authorization-server",
        client_auth="client_secret_post",
    )
    profiles = (RemoteServer(), NpmServer())

    def budget(self, tool: str) -> Budget | None:
        return _SEARCHES if tool in ("search_crm_objects", "hubspot-search-objects") else _CALLS

    def trouble(self, status: int, text: str) -> Trouble:
        if limit := _LIMIT.search(text):
            return Trouble(429, _WAITS.get(limit[1] or ""))
        if category := _CATEGORY.search(text):
            return Trouble(status or _CATEGORIES[category[1]])
        stated = _API_ERROR.search(text)
        return Trouble(status or (int(stated[1]) if stated else stated_status(text)))

    def account_of(self, token_response: Mapping[str, Any], callback: Mapping[str, str]) -> Account | None:
        hub_id = token_response.get("hub_id")
        return Account(str(hub_id)) if hub_id else None

    def document(self, stream: str, payload: Mapping[str, Any]) -> Document:
        record = Record(str(payload["id"]), payload.get("url"), payload["properties"], MODIFIED[stream])
        return replace(MAKERS[stream](record), absorbed=tuple(record.several("hs_merged_object_ids")))

    def stable(self, stream: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        properties = {k: v for k, v in payload["properties"].items() if k != MODIFIED[stream]}
        return {**{k: v for k, v in payload.items() if k not in ("updatedAt", "url")}, "properties": properties}


# HubSpot's words in an error for what others say by a status.
_CATEGORIES = {
    "INVALID_AUTHENTICATION": 401,
    "EXPIRED_AUTHENTICATION": 401,
    "MISSING_SCOPES": 403,
    "RATE_LIMITS": 429,
}
_CATEGORY = re.compile(rf'\\?"category\\?"\s*:\s*\\?"({"|".join(_CATEGORIES)})\b')
_LIMIT = re.compile(r'\\?"(?:policyName\\?"\s*:\s*\\?"(\w+)|errorType\\?"\s*:\s*\\?"RATE_LIMIT)')
_API_ERROR = re.compile(r"^Error [^:]{1,80}: HubSpot API Error: ([1-5]\d\d)\b")  # the npm server's
# Retry-After is not told: a day's limit is not asked again within the hour, the others pass by themselves.
_WAITS = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0, "DAILY": 3600.0}

# Why a kind of record is closed, in our words: the provider's own are shown nowhere.
_UNAVAILABLE = {
    "REQUIRES_REAUTHORIZATION": "connect again to allow it",
    "REQUIRES_PERMISSION_MODIFICATION": "the person who connected lacks the permission in HubSpot",
    "REQUIRES_ACCOUNT_MODIFICATION": "the HubSpot account's plan does not include it",
    "BLOCKED_FOR_PORTALS_WITH_SENSITIVE_DATA": "HubSpot blocks it for accounts that hold sensitive data",
    "REQUIRES_OPTIN": "an admin of the HubSpot account must opt in first",
}
_SINGULAR = {"companies": "COMPANY", "contacts": "CONTACT", "deals": "DEAL"}


async def _search(
    tools: Tools, tool: str, most: int, stream: str, since: datetime | None, cursor: Any | None
) -> AsyncIterator[Page]:
    """Search from `cursor` to the end, `most` records a page."""
    position = cursor
    while True:
        answer = await tools.call(tool, _query(stream, since, position, most))
        results = _results(answer, stream)
        items, rejected = _sort_out(results, stream, position, answer.get("urlTemplate"))
        total = answer.get("total") if position is None else None
        # The server may hand out less than we ask for; then it says that there is more.
        more = len(results) >= most or (bool(results) and (answer.get("offset") or answer.get("paging")) is not None)
        following = _after(stream, since, position, results, more)
        yield Page(items, rejected, following, total if isinstance(total, int) else None)
        if following is None:
            return
        position = following


async def _list(
    tools: Tools, stream: str, after: str | None, *, archived: bool
) -> AsyncIterator[tuple[list[Any], str | None]]:
    """Pages of the npm server's listing, each with where the next one starts; None at the end."""
    while True:
        asked = {"objectType": stream, "limit": _NPM_PAGE, "properties": _PROPERTIES[stream], "archived": archived}
        answer = await tools.call("hubspot-list-objects", {**asked, **({"after": after} if after else {})})
        results = _results(answer, stream)
        paging = answer.get("paging")
        following = paging.get("next") if isinstance(paging, dict) else None
        after = str(following["after"]) if isinstance(following, dict) and following.get("after") else None
        yield results, after
        if after is None:
            return


def _results(answer: Any, stream: str) -> list[Any]:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list):
        raise BadPage(f"HubSpot answered a search of {stream} with no list of results.")
    return results


def _asked_for(external_id: str) -> str:
    if not _ID.match(external_id):
        raise BadItem("it has no id to ask for")
    return external_id


def _found(answer: Any, stream: str, external_id: str) -> Item | None:
    found = answer.get("results") if isinstance(answer, dict) else answer
    for record in found if isinstance(found, list) else ():
        if isinstance(record, dict) and str(record.get("id")) == external_id and not record.get("archived"):
            return _item(record, stream)
    return None


def _archived_since(record: dict[str, Any], since: datetime) -> bool:
    archived_at = moment(record.get("archivedAt"))
    return archived_at is None or archived_at >= since


def _query(stream: str, since: datetime | None, position: Any | None, most: int) -> dict[str, Any]:
    """Everything by ascending id, or what changed by ascending date, and by id among those of one date.

    The next page starts at the last record seen and not at a count: a record that changes or goes away meanwhile would
    shift the count by one, and the one after it would never be listed; and no count goes beyond 10,000.
    """
    modified = MODIFIED[stream]
    match position:
        case {"at": at, "after": after}:
            key, bounds = "hs_object_id", [(modified, "EQ", at), ("hs_object_id", "GT", after)]
        case {"from": start}:
            key, bounds = modified, [(modified, "GTE", start)]
        case None if since is not None:
            key, bounds = modified, [(modified, "GTE", _milliseconds(since))]
        case None:
            key, bounds = "hs_object_id", []
        case after:
            key, bounds = "hs_object_id", [("hs_object_id", "GT", after)]
    filters = [{"propertyName": name, "operator": operator, "value": str(bound)} for name, operator, bound in bounds]
    return {
        "objectType": stream,
        "properties": _PROPERTIES[stream],
        "sorts": [{"propertyName": key, "direction": "ASCENDING"}],
        "limit": most,
        "chatInsights": {"userIntent": "sync", "satisfaction": "NEUTRAL"},
        **({"filterGroups": [{"filters": filters}]} if filters else {}),
    }


def _after(stream: str, since: datetime | None, position: Any | None, results: list[Any], more: bool) -> Any | None:
    """Where the page after this one starts; None at the end. Raises BadPage when that is not further on.

    A full page of one single date is left by id: its date alone would fetch it for ever.
    """
    match position:
        case {"at": at, "after": after}:
            return {"at": at, "after": _last_id(stream, after, results)} if more else {"from": at + 1}
        case _ if not more:
            return None
        case {"from": start}:
            pass
        case _ if since is not None:
            start = _milliseconds(since)
        case _:
            return _last_id(stream, position or 0, results)
    dates = (_modified(record, stream) for record in results)
    latest = max((_milliseconds(date) for date in dates if date), default=None)
    if latest is None or latest < start:
        raise BadPage(f"HubSpot's listing of {stream} does not move forward.")
    return {"from": latest} if latest > start else {"at": start, "after": 0}


def _last_id(stream: str, before: int, results: list[Any]) -> int:
    last = max((int(record["id"]) for record in results if _named(record)), default=0)
    if last <= before:
        raise BadPage(f"HubSpot's listing of {stream} does not move forward.")
    return last


def _sort_out(
    results: list[Any], stream: str, position: Any | None, url_template: Any
) -> tuple[list[Item], list[Rejected]]:
    items, rejected = [], []
    for place, record in enumerate(results):
        if not _named(record):
            rejected.append(Rejected(f"without an id: {place} after {position}", "it has no id", nameless=True))
            continue
        # Searches give one address for all; a record that is read alone has its own.
        if isinstance(url_template, str) and "{id}" in url_template:
            record = {**record, "url": url_template.replace("{id}", str(record["id"]))}
        try:
            items.append(_item(record, stream))
        except BadItem as reason:
            rejected.append(Rejected(str(record["id"]), str(reason)))
    return items, rejected


def _named(record: Any) -> bool:
    return isinstance(record, dict) and bool(_ID.match(str(record.get("id"))))


def _item(record: dict[str, Any], stream: str) -> Item:
    if not isinstance(record.get("properties"), dict):
        raise BadItem("its properties are not an object")
    return Item(str(record["id"]), record, _modified(record, stream))


def _modified(record: Any, stream: str) -> datetime | None:
    properties = record.get("properties") if isinstance(record, dict) else None
    return moment(properties.get(MODIFIED[stream])) if isinstance(properties, dict) else None


def _milliseconds(moment: datetime) -> int:
    # Whole numbers throughout: as a float, one date in eight lands a millisecond before itself.
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _first(details: Any, *names: str) -> Any | None:
    """The first of these keys in an answer or one level down: the shape of get_user_details is not documented."""
    for level in (details, *(v for v in details.values() if isinstance(v, dict))) if isinstance(details, dict) else ():
        for name in names:
            if level.get(name) is not None:
                return level[name]
    return None


HUBSPOT = HubSpot()
