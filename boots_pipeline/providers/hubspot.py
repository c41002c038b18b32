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
from decimal import Decimal, InvalidOperation
from typing import Any

from boots_pipeline.errors import BadItem, BadPage
from boots_pipeline.providers.answers import Trouble, stated_status
from boots_pipeline.providers.base import (
    Account,
    Budget,
    Document,
    Fact,
    Item,
    Known,
    OAuthFacts,
    Page,
    Profile,
    Provider,
    Rejected,
    Tools,
)

_PAGE = 200
_ID = re.compile(r"^[0-9]{1,18}$")
_SEARCHES = Budget("search", 5, 1)  # of an account, whichever app asks
_CALLS = Budget("calls", 100, 10)  # of the smallest plan
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MODIFIED = {"companies": "hs_lastmodifieddate", "contacts": "lastmodifieddate", "deals": "hs_lastmodifieddate"}
_PROPERTIES = {
    stream: (*names.split(), "hs_merged_object_ids", "hs_object_id", "createdate", _MODIFIED[stream])
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
        position = cursor
        while True:
            answer = await tools.call("search_crm_objects", _query(stream, since, position))
            results = answer.get("results") if isinstance(answer, dict) else None
            if not isinstance(results, list):
                raise BadPage(f"HubSpot answered a search of {stream} with no list of results.")
            items, rejected = _sort_out(results, stream, position, answer.get("urlTemplate"))
            total = answer.get("total") if position is None else None
            # The server may hand out less than we ask for; then it says that there is more.
            more = len(results) >= _PAGE or (bool(results) and answer.get("offset") is not None)
            following = _after(stream, since, position, results, more)
            yield Page(items, rejected, following, total if isinstance(total, int) else None)
            if following is None:
                return
            position = following

    async def read(self, tools: Tools, stream: str, external_id: str) -> Item | None:
        if not _ID.match(external_id):
            raise BadItem("it has no id to ask for")
        answer = await tools.call(
            "get_crm_objects",
            {"objectType": stream, "objectIds": [int(external_id)], "properties": _PROPERTIES[stream]},
        )
        found = answer.get("results") if isinstance(answer, dict) else answer
        for record in found if isinstance(found, list) else ():
            if isinstance(record, dict) and str(record.get("id")) == external_id and not record.get("archived"):
                return _item(record, stream)
        return None


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
        client_auth="client_secret_post",
    )
    profiles = (RemoteServer(),)

    def budget(self, tool: str) -> Budget | None:
        return _SEARCHES if tool in ("search_crm_objects", "hubspot-search-objects") else _CALLS

    def trouble(self, status: int, text: str) -> Trouble:
        if limit := _LIMIT.search(text):
            return Trouble(429, _WAITS.get(limit[1] or ""))
        if category := _CATEGORY.search(text):
            return Trouble(status or _CATEGORIES[category[1]])
        return Trouble(status or stated_status(text))

    def account_of(self, token_response: Mapping[str, Any], callback: Mapping[str, str]) -> Account | None:
        hub_id = token_response.get("hub_id")
        return Account(str(hub_id)) if hub_id else None

    def document(self, stream: str, payload: Mapping[str, Any]) -> Document:
        record = _Record(str(payload["id"]), payload.get("url"), payload["properties"], _MODIFIED[stream])
        return replace(_MAKERS[stream](record), absorbed=tuple(record.several("hs_merged_object_ids")))

    def stable(self, stream: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        properties = {k: v for k, v in payload["properties"].items() if k != _MODIFIED[stream]}
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


def _query(stream: str, since: datetime | None, position: Any | None) -> dict[str, Any]:
    """Everything by ascending id, or what changed by ascending date, and by id among those of one date.

    The next page starts at the last record seen and not at a count: a record that changes or goes away meanwhile would
    shift the count by one, and the one after it would never be listed; and no count goes beyond 10,000.
    """
    modified = _MODIFIED[stream]
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
        "limit": _PAGE,
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
            rejected.append(Rejected(f"without an id: {place} after {position}", "it has no id"))
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
    return _time(properties.get(_MODIFIED[stream])) if isinstance(properties, dict) else None


class _Record:
    """A record's properties with blanks and nulls taken alike."""

    def __init__(self, identity: str, url: Any, properties: Mapping[str, Any], modified: str) -> None:
        self.id = identity
        self.url = url if isinstance(url, str) else None
        self._properties = properties
        self.modified = _time(properties.get(modified))

    def __getitem__(self, name: str) -> str:
        value = self._properties.get(name)
        return value.strip() if isinstance(value, str) else ""

    def several(self, name: str) -> list[str]:
        """The parts of a value that HubSpot joins with semicolons."""
        return [part.strip() for part in self[name].split(";") if part.strip()]

    def facts(self, names: Mapping[str, str]) -> list[Fact]:
        """A fact per property that has a value."""
        return [Fact(fact, self[name], self.modified) for name, fact in names.items() if self[name]]


def _company(record: _Record) -> Document:
    domains = [d.lower() for d in (record["domain"], *record.several("hs_additional_domains")) if d]
    name = record["name"] or (domains[0] if domains else f"Company {record.id}")
    facts = record.facts(
        {
            "industry": "industry", "city": "city", "country": "country", "numberofemployees": "employees",
            "annualrevenue": "annual_revenue", "lifecyclestage": "lifecycle_stage", "website": "website",
            "description": "about",
        }
    )  # fmt: skip
    return Document(
        title=name,
        content=_lines(f"{name}, a company", facts, record["description"]),
        url=record.url,
        source_updated_at=record.modified,
        client_keys=(
            f"hubspot.company:{record.id}",
            *(f"hubspot.company:{merged}" for merged in record.several("hs_merged_object_ids")),
            *(f"domain:{domain}" for domain in domains),
        ),
        names_client=True,
        facts=tuple(facts),
    )


def _contact(record: _Record) -> Document:
    name = " ".join(part for part in (record["firstname"], record["lastname"]) if part)
    emails = [e.lower() for e in (record["email"], *record.several("hs_additional_emails")) if "@" in e]
    title = name or (emails[0] if emails else f"Contact {record.id}")
    described = ", ".join(part for part in (title, record["jobtitle"], record["email"], record["phone"]) if part)
    facts = [Fact("contact", described, record.modified)]
    company = record["associatedcompanyid"]
    return Document(
        title=title,
        content=_lines(
            f"{title}, a contact at {record['company']}" if record["company"] else title, facts, record["notes"]
        ),
        url=record.url,
        source_updated_at=record.modified,
        client_keys=(
            *((f"hubspot.company:{company}",) if company else ()),
            *(f"email:{email}" for email in emails),
            *(f"domain:{email.partition('@')[2]}" for email in emails),
        ),
        facts=tuple(facts),
    )


def _deal(record: _Record) -> Document:
    name = record["dealname"] or f"Deal {record.id}"
    amount = " ".join(part for part in (record["deal_currency_code"], _amount(record["amount"])) if part)
    stage = _DEFAULT_STAGES.get(record["dealstage"], record["dealstage"])
    closes = _time(record["closedate"])
    parts = [name, amount, f"stage {stage}" if stage else ""]
    parts.append(f"closes {closes:%Y-%m-%d}" if closes else "")
    facts = [Fact("deal", ", ".join(part for part in parts if part), record.modified)]
    company = record["hs_primary_associated_company"]
    return Document(
        title=name,
        content=_lines(f"{name}, a deal", facts, record["description"]),
        url=record.url,
        source_updated_at=record.modified,
        client_keys=(f"hubspot.company:{company}",) if company else (),
        facts=tuple(facts),
    )


# The default pipeline's stages: the server tells ids, not labels. A pipeline of one's own has ids that say nothing.
_DEFAULT_STAGES = {
    "appointmentscheduled": "appointment scheduled",
    "qualifiedtobuy": "qualified to buy",
    "presentationscheduled": "presentation scheduled",
    "decisionmakerboughtin": "decision maker bought in",
    "contractsent": "contract sent",
    "closedwon": "closed won",
    "closedlost": "closed lost",
}


def _amount(value: str) -> str:
    """Money as people write it: `152,000`, `57,250.50`. What is no number stays as it is."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return value
    # 1e999999 is a number, too, and would be written out in a million digits.
    sane = number.is_finite() and abs(number) < 10**15
    return f"{number:,.2f}".removesuffix(".00") if sane else value


_MAKERS = {"companies": _company, "contacts": _contact, "deals": _deal}


def _lines(heading: str, facts: list[Fact], prose: str) -> str:
    stated = "\n".join(f"{fact.name.replace('_', ' ')}: {fact.value}" for fact in facts if fact.value != prose)
    return "\n\n".join(part for part in (heading, stated, prose) if part)


def _time(value: Any) -> datetime | None:
    """HubSpot's dates: ISO 8601, or milliseconds in a string. None for what is neither, or beyond a calendar."""
    if not isinstance(value, str) or not value:
        return None
    try:
        if value.isdigit():
            return datetime.fromtimestamp(int(value) / 1000, UTC)
        read = datetime.fromisoformat(value)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


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
