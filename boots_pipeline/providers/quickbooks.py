"""QuickBooks Online, through our own MCP server (`mcp_bridge`) or one that answers like it, or through Intuit's
open-source server.

Facts of 2026-11 (docs/providers.md names the sources): the company's number comes with the callback only; a page is at
most 1,000 rows of one entity; dates carry the company's own offset and are compared as moments; inactive customers are
found only when they are asked for; what was deleted is told for 30 days, 1,000 objects at a time.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from boots_pipeline.errors import BadItem, BadPage, ConfigError
from boots_pipeline.providers.answers import Answer, Trouble, json_in, json_of, stated_status
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
from boots_pipeline.providers.quickbooks_records import MAKERS, moment
from boots_pipeline.settings import provider_settings

_PAGE = 1000
_MOST_CHANGES = 1000
_LOOK_BACK = timedelta(days=29)  # what is told of changes; a day less than the 30 that it is
_MOST_READINGS = 5
_EVER = "1970-01-01T00:00:00Z"
_UPDATED = "MetaData.LastUpdatedTime"
_ENTITIES = {"customers": "Customer", "invoices": "Invoice", "estimates": "Estimate", "payments": "Payment"}
_ID = re.compile(r"^[0-9]{1,20}$")
_REQUESTS = Budget("requests", 500, 60)  # of a company; of the ten at once a session's four lines are no danger
_THROTTLED_SECONDS = 60.0
# What the type of a Fault amounts to, where a server repeats it in a text.
_FAULTS = {"AUTHENTICATION": 401, "AUTHORIZATION": 403, "THROTTLE": 429, "SystemFault": 500}
_FAULT = re.compile(rf'\\?"type\\?"\s*:\s*\\?"({"|".join(_FAULTS)})')
_HEADING = re.compile(r"Found (\d+)\b|(?!Error|Invalid)[A-Z][A-Za-z ]{2,30}:\s*$|\s*\{")

Bounds = list[tuple[str, str]]
Ask = Callable[[Bounds, str, int], Awaitable[list[Any]]]
"""Rows within these bounds of their date of change, in the order of a field, from a place on."""


class QueryServer(Profile):
    """`mcp_bridge`, or `karellen-qbo-mcp` 0.0.8 behind a bridge of its own, whose tools ours are named after."""

    name = "our QuickBooks server"
    streams = ("customers", "invoices", "estimates", "payments")
    tools = frozenset({"qbo_query", "qbo_cdc", "qbo_get"})

    async def identify(self, tools: Tools) -> Account | None:
        # The realm is in no answer: that it is this one is what the token opened.
        return _confirmed(tools, await tools.call("qbo_get", {"entity": "CompanyInfo"}))

    async def pages(
        self, tools: Tools, stream: str, *, since: datetime | None, cursor: Any | None, known: Known
    ) -> AsyncIterator[Page]:
        """Everything, or what changed and then what was deleted, by the date of change."""
        if not (isinstance(cursor, dict) and "deleted" in cursor):
            total = await _count(tools, stream, since) if cursor is None else None
            afterwards = {"deleted": _written(since)} if since else None

            async def ask(bounds: Bounds, order: str, place: int) -> list[Any]:
                query = f"{_selected('*', stream, bounds)} ORDERBY {order} STARTPOSITION {place} MAXRESULTS {_PAGE}"
                return _rows(await tools.call("qbo_query", {"query": query}), _ENTITIES[stream])

            async for page in _listing(ask, stream, cursor or _beginning(since)):
                yield Page(page.items, page.rejected, page.cursor or afterwards, total)
                total = None
            cursor = afterwards
        while cursor is not None:
            page = await _deleted(tools, stream, cursor["deleted"])
            cursor = page.cursor
            yield page

    async def read(self, tools: Tools, stream: str, external_id: str) -> Item | None:
        query = _selected("*", stream, [], f"Id = '{_asked_for(external_id)}'")
        return _found(_rows(await tools.call("qbo_query", {"query": query}), _ENTITIES[stream]), external_id)


class IntuitServer(Profile):
    """`intuit/quickbooks-online-mcp-server` at 508c151, which speaks for one company: arguments are wrapped, a record
    is a block of text, an error is a text like any other. Its payments know no date of change: it brings none."""

    name = "Intuit's open-source server"
    streams = ("customers", "invoices", "estimates")
    tools = frozenset({"search_customers", "search_invoices", "search_estimates", "get_company_info"})

    def error_in(self, answer: Answer) -> str | None:
        told = answer.texts[0] if answer.texts else ""
        return answer.text if answer.is_error or not _HEADING.match(told) else None

    def read_answer(self, answer: Answer) -> Any:
        counted = re.match(r"Found (\d{1,9})\b", answer.texts[0])
        if counted is None:
            return json_of(Answer(answer.texts[-1:]))
        records = [json_in(text) for text in answer.texts[1:]]
        if len(records) < int(counted[1]):
            raise BadPage("QuickBooks' server found more than it handed out.")
        return records

    async def identify(self, tools: Tools) -> Account | None:
        account = tools.account
        asked = {"company_id": account.id} if account else {}
        return _confirmed(tools, await _of_its_company(tools, "get_company_info", asked))

    async def pages(
        self, tools: Tools, stream: str, *, since: datetime | None, cursor: Any | None, known: Known
    ) -> AsyncIterator[Page]:
        """As the other server's, but customers in three rounds: those that are active, those that are not, and those
        that became active meanwhile, which neither round met. Deletions are told by none."""
        rounds: list[bool | None] = [True, False, True] if stream == "customers" else [None]
        at: dict[str, Any] | None = cursor if cursor and "round" in cursor else None
        at = at or {"round": 0, "position": None, "latest": None}
        while at is not None:
            number, position, latest = at["round"], at["position"], at["latest"]

            async def ask(bounds: Bounds, order: str, place: int, kind: bool | None = rounds[number]) -> list[Any]:
                criteria = [{"field": _UPDATED, "operator": operator, "value": date} for operator, date in bounds]
                return await _searched(tools, stream, kind, criteria, asc=order, offset=place, limit=_PAGE)

            # Whoever is made active is dated anew, so after everybody whom the first round met.
            start = {"from": latest} if number == 2 and latest else _beginning(since)
            async for page in _listing(ask, stream, position or start):
                if number == 0:
                    dates = (moment(latest), *(item.updated_at for item in page.items))
                    # A date that has not come yet says nothing of when the round was read.
                    newest = max((date for date in dates if date and date <= datetime.now(UTC)), default=None)
                    latest = _written(newest) if newest else None
                following = number if page.cursor else number + 1
                at = (
                    {"round": following, "position": page.cursor, "latest": latest} if following < len(rounds) else None
                )
                yield Page(page.items, page.rejected, at)

    async def read(self, tools: Tools, stream: str, external_id: str) -> Item | None:
        criteria = [{"field": "Id", "operator": "=", "value": _asked_for(external_id)}]
        for kind in (True, False) if stream == "customers" else (None,):
            if item := _found(await _searched(tools, stream, kind, criteria), external_id):
                return item
        return None


class QuickBooks(Provider):
    """Customers are the clients, their projects parts of them; invoices, estimates and payments name a customer."""

    name = "quickbooks"
    title = "QuickBooks"
    brings = "Customers, estimates, invoices and payments."
    env_prefix = "QUICKBOOKS_"
    mcp_url_default = "http://127.0.0.1:8071/mcp"
    bridged = True
    oauth_facts = OAuthFacts(
        issuer="https://oauth.platform.intuit.com/op/v1",
        authorization_url="https://appcenter.intuit.com/connect/oauth2",
        token_url="https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",  # noqa: S106 an address
        revocation_url="https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
        discovery_url="https://developer.api.intuit.com/.well-known/openid_configuration",
        client_auth="client_secret_basic",
        scopes=("com.intuit.quickbooks.accounting",),  # there is none for reading only
        revokes_json=True,
    )
    profiles = (QueryServer(), IntuitServer())

    def headers(self, account_id: str | None) -> Mapping[str, str]:
        return {"QuickBooks-Realm-Id": account_id} if account_id else {}

    def budget(self, tool: str) -> Budget | None:
        return _REQUESTS

    def trouble(self, status: int, text: str) -> Trouble:
        if status:
            return Trouble(status)  # the bridge says how long to wait
        fault = _FAULT.search(text)
        status = stated_status(text) or (_FAULTS[fault[1]] if fault else 0)
        return Trouble(status, _THROTTLED_SECONDS if status == 429 else None)

    def account_of(self, token_response: Mapping[str, Any], callback: Mapping[str, str]) -> Account | None:
        realm = callback.get("realmId", "")
        return Account(realm) if _ID.match(realm) else None

    def document(self, stream: str, payload: Mapping[str, Any]) -> Document:
        return MAKERS[stream](payload)

    def stable(self, stream: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Saving without a change counts up SyncToken and moves the date."""
        return {name: value for name, value in payload.items() if name not in ("MetaData", "SyncToken", "sparse")}


async def _listing(ask: Ask, stream: str, position: dict[str, Any]) -> AsyncIterator[Page]:
    """Pages by the date of change, each from the last date seen on: what changes meanwhile moves to the end, and shifts
    nothing out of the way, as an offset would let it."""
    following: dict[str, Any] | None = position
    while following is not None:
        position = following
        records = await ask(*_question(position))
        following = _following(stream, position, records)
        yield Page(*_sort_out(records, position), following)


def _question(position: Mapping[str, Any]) -> tuple[Bounds, str, int]:
    match position:
        case {"at": at, "place": place}:
            return [(">=", at), ("<=", at)], "Id", place
        case {"beyond": at}:
            return [(">", at)], _UPDATED, 1
    return [(">=", position["from"])], _UPDATED, 1


def _following(stream: str, position: Mapping[str, Any], records: list[Any]) -> dict[str, Any] | None:
    """Where the page after this one starts; None at the end. Raises BadPage when that is not further on.

    A full page of one moment is left by counting within it: nothing can come into a moment that is past, and what
    leaves it shows, for a page begins with the last record of the one before. When it does not, it is read again.
    """
    ids = list(dict.fromkeys(str(record.get("Id")) for record in records if isinstance(record, dict)))
    full = len(records) >= _PAGE
    match position:
        case {"at": at, "place": place, "last": last, "reading": reading}:
            if last is not None and ids[:1] != [last]:
                if reading >= _MOST_READINGS:
                    raise BadPage(f"QuickBooks' listing of {stream} does not hold still.")
                return {"at": at, "place": 1, "last": None, "reading": reading + 1}
            if not full:
                return {"beyond": at}
            return {"at": at, "place": place + len(ids) - 1, "last": ids[-1], "reading": reading}
        case _ if not full:
            return None
    beyond = "beyond" in position  # where the moment itself is behind us: a server that hands it out again goes round
    start = moment(position["beyond"] if beyond else position["from"])
    latest = max((date for record in records if (date := _updated(record))), default=None)
    if start is None or latest is None or latest < start or (beyond and latest == start):
        raise BadPage(f"QuickBooks' listing of {stream} does not move forward.")
    if latest > start:
        return {"from": _written(latest)}
    return {"at": _written(latest), "place": 1, "last": None, "reading": 1}


async def _deleted(tools: Tools, stream: str, since: str) -> Page:
    """What was deleted since a moment; a full answer is gone on from the last moment that it tells of."""
    start, recent = moment(since), datetime.now(UTC) - _LOOK_BACK
    try:
        changes = await _changes(tools, stream, since)
    except BadPage:
        # In quiet books the last change is longer ago than is told. The weekly listing sees the rest.
        if start is None or start >= recent:
            raise
        changes = await _changes(tools, stream, _written(recent))
    gone = [str(each["Id"]) for each in changes if each.get("status") == "Deleted" and _named(each)]
    latest = max((date for each in changes if (date := _updated(each))), default=None)
    if len(changes) < _MOST_CHANGES or latest is None or start is None or latest <= start:
        return Page([], [], None, deleted=gone)
    return Page([], [], {"deleted": _written(latest)}, deleted=gone)


async def _changes(tools: Tools, stream: str, since: str) -> list[dict[str, Any]]:
    answer = await tools.call("qbo_cdc", {"entities": [_ENTITIES[stream]], "changed_since": since})
    told = answer.get("result") if isinstance(answer, dict) else answer
    responses = [part["QueryResponse"] for part in told if "QueryResponse" in part] if isinstance(told, list) else []
    if not responses or not all(isinstance(each, list) for each in responses):
        raise BadPage(f"QuickBooks did not say which {stream} changed.")
    rows = [row for response in responses for each in response for row in each.get(_ENTITIES[stream], ())]
    return [row for row in rows if isinstance(row, dict)]


async def _count(tools: Tools, stream: str, since: datetime | None) -> int | None:
    bounds = [(">=", _written(since))] if since else []
    answer = await tools.call("qbo_query", {"query": _selected("COUNT(*)", stream, bounds)})
    total = answer.get("totalCount") if isinstance(answer, dict) else None
    return total if isinstance(total, int) else None


def _selected(what: str, stream: str, bounds: Bounds, *terms: str) -> str:
    """The beginning of a query: customers that are not active are left out unless they are asked for."""
    asked = ["Active IN (true, false)"] if stream == "customers" else []
    asked += [*(f"{_UPDATED} {operator} '{at}'" for operator, at in bounds), *terms]
    return f"SELECT {what} FROM {_ENTITIES[stream]}" + (f" WHERE {' AND '.join(asked)}" if asked else "")  # noqa: S608 not a database's


def _rows(answer: Any, entity: str) -> list[Any]:
    """The rows of an answer; without any it does not name the entity."""
    rows = answer.get(entity, []) if isinstance(answer, dict) else None
    if not isinstance(rows, list) or (
        not rows and answer.keys() - {entity, "startPosition", "maxResults", "totalCount"}
    ):
        raise BadPage(f"QuickBooks answered a query of {entity} with something else.")
    return rows


async def _searched(
    tools: Tools, stream: str, active: bool | None, criteria: list[dict[str, Any]], **options: Any
) -> list[Any]:
    """Rows of Intuit's server. Invoices take the same one level deeper."""
    if active is not None:
        criteria = [{"field": "Active", "operator": "=", "value": active}, *criteria]
    invoices = stream == "invoices"
    asked = {"criteria": {"filters": criteria, **options}} if invoices else {"criteria": criteria, **options}
    records = await _of_its_company(tools, f"search_{stream}", asked)
    if not isinstance(records, list):
        raise BadPage(f"QuickBooks answered a search of {stream} with something else.")
    return records


async def _of_its_company(tools: Tools, tool: str, params: dict[str, Any]) -> Any:
    """A call of Intuit's server. It looks at no header and no token, but answers for the company that it is signed in
    to, whoever asks: which one that is, the operator says, and no other connection may ask it anything."""
    if tools.account is None or tools.account.id != provider_settings(QUICKBOOKS.env_prefix).realm_id:
        raise ConfigError(
            f"{IntuitServer.name} speaks for one company only, which is not known to be this connection's. Set "
            "QUICKBOOKS_REALM_ID to the number (realmId) of the company that it is signed in to; any other company "
            "needs the QuickBooks bridge."
        )
    return await tools.call(tool, {"params": params})


def _confirmed(tools: Tools, info: Any) -> Account | None:
    if not isinstance(info, dict) or not isinstance(info.get("CompanyName"), str):
        raise BadPage("QuickBooks did not say whose books these are.")
    return Account(tools.account.id, info["CompanyName"]) if tools.account else None


def _sort_out(records: list[Any], position: Any) -> tuple[list[Item], list[Rejected]]:
    items = [Item(record["Id"], record, _updated(record)) for record in records if _named(record)]
    rejected = [
        Rejected(f"without an id: {place} after {position}", "it has no id", nameless=True)
        for place, record in enumerate(records)
        if not _named(record)
    ]
    return items, rejected


def _found(records: list[Any], external_id: str) -> Item | None:
    found = (record for record in records if _named(record) and record["Id"] == external_id)
    return next((Item(external_id, record, _updated(record)) for record in found), None)


def _asked_for(external_id: str) -> str:
    if not _ID.match(external_id):
        raise BadItem("it has no id to ask for")
    return external_id


def _named(record: Any) -> bool:
    return isinstance(record, dict) and isinstance(record.get("Id"), str) and bool(_ID.match(record["Id"]))


def _updated(record: Any) -> datetime | None:
    told = record.get("MetaData") if isinstance(record, dict) else None
    return moment(told.get("LastUpdatedTime")) if isinstance(told, dict) else None


def _beginning(since: datetime | None) -> dict[str, Any]:
    return {"from": _written(since.replace(microsecond=0)) if since else _EVER}


def _written(when: datetime) -> str:
    """A moment in a query, in UTC."""
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


QUICKBOOKS = QuickBooks()
