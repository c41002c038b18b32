"""QuickBooks Online as a program meets it: Intuit's authorisation server, the accounting API, and the same books
through Intuit's open-source MCP server.

Its traps are kept: the company's number comes with the callback only; errors are spelled in two ways, and come with
status 200 at times; what changed is told for 30 days and 1,000 objects, without pages; an entity without rows is not
named.
"""

import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any

from starlette.routing import Route

from sandbox import quickbooks_query
from sandbox.books import STREAMS, Books, local
from sandbox.faults import RAW
from sandbox.fiction import World
from sandbox.provider import McpServer, OAuthFacts, Refusal, Report, RestServer
from sandbox.quickbooks_intuit import IntuitServer
from sandbox.world import Organization, end_of

LONGEST_LOOK_BACK = timedelta(days=30)
MOST_CHANGES = 1000
ERRORS = {
    401: ("fault", "AUTHENTICATION", "message=AuthenticationFailed; errorCode=003200; statusCode=401", "3200"),
    403: ("Fault", "AUTHORIZATION", "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403", "3100"),
    429: ("fault", "THROTTLE", "message=ThrottleExceeded; errorCode=003001; statusCode=429", "3001"),
}


class QuickBooks:
    """The twin. See `provider.Provider` for what each method owes."""

    name = "quickbooks"
    title = "QuickBooks"
    oauth = OAuthFacts(
        authorize_path="/connect/oauth2",
        token_path="/oauth2/v1/tokens/bearer",  # noqa: S106 - a path
        revoke_path="/v2/oauth2/tokens/revoke",
        expires_in=3600,
        client_auth=("basic",),
        requires_pkce=False,
        sends_issuer=False,
        scopes={"com.intuit.quickbooks.accounting": "read and change your company's accounting"},
        revokes_json=True,
    )

    def __init__(self) -> None:
        self.books: dict[str, Books] = {}
        self.world: World | None = None

    @property
    def servers(self) -> Mapping[str, McpServer | RestServer]:
        return {"/v3/company": Accounting(self), "/intuit/mcp": IntuitServer(lambda slug: self.books[slug])}

    def populate(self, world: World) -> None:
        self.world = world
        self.books = {each.slug: Books.written(world.seed, each) for each in world.organizations}

    def advance(self, organization: Organization, start: datetime, rng: Random) -> Report:
        return self.books[organization.slug].day(start, rng)

    def pages(self, world: World) -> list[Route]:
        return []

    def error_body(self, status: int) -> dict[str, Any]:
        spelling, kind, message, code = ERRORS.get(
            status, ("Fault", "SystemFault", "An application error has occurred while processing your request", "10000")
        )
        return _fault(spelling, kind, message, code)

    def callback_extras(self, organization: Organization) -> dict[str, str]:
        return {"realmId": realm(organization)}

    def token_extras(self, organization: Organization) -> dict[str, Any]:
        return {"x_refresh_token_expires_in": 8_726_400}

    def truth(self, organization: Organization) -> dict[str, dict[str, Any]]:
        books = self.books[organization.slug]
        return {
            "account": {"id": realm(organization)},
            **{stream: {entry.id: entry.shown() for entry in books.all(kind)} for kind, stream in STREAMS.items()},
        }


class Accounting:
    """The accounting API, version 3, as far as reading goes."""

    scope = "com.intuit.quickbooks.accounting"

    def __init__(self, twin: QuickBooks) -> None:
        self.twin = twin

    def read(self, organization: Organization, path: str, asked: Mapping[str, str]) -> Any:
        company, _, rest = path.partition("/")
        if company != realm(organization):
            raise Refusal("message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403", status=403)
        if int(asked.get("minorversion", "0")) < 75:
            raise Refusal("QueryValidationError: minor versions below 75 are gone")
        books = self.twin.books[organization.slug]
        match rest.split("/"):
            case ["query"]:
                return _timed({"QueryResponse": quickbooks_query.answer(books, asked.get("query", ""))})
            case ["cdc"]:
                return _timed({"CDCResponse": [{"QueryResponse": self._changes(books, asked)}]})
            case ["companyinfo", number] if number == company:
                return _timed({"CompanyInfo": company_info(organization)})
            case [word, number] if word in (kind.lower() for kind in STREAMS):
                kind = next(kind for kind in STREAMS if kind.lower() == word)
                if (entry := books.entries[kind].get(number)) is not None:
                    return _timed({kind: entry.shown()})
                raise Refusal("Object Not Found : Something you're trying to use has been made inactive.")
        raise Refusal("Unsupported Operation", status=404)

    def refusal_body(self, refusal: Refusal) -> dict[str, Any]:
        kind = "AUTHORIZATION" if refusal.status == 403 else "ValidationFault"
        return _fault("Fault", kind, str(refusal), "3100" if refusal.status == 403 else "4001")

    def spoil(self, kind: str, arguments: Mapping[str, Any], answer: Any) -> Any:
        """Faults in a query's rows, or half of what changed. Any other answer has nothing to spoil, and stays."""
        if "CDCResponse" in answer and kind == "truncated":
            (response,) = answer["CDCResponse"]
            halves = [
                {name: rows[: len(rows) // 2] if isinstance(rows, list) else rows for name, rows in entity.items()}
                for entity in response["QueryResponse"]
            ]
            return {**answer, "CDCResponse": [{"QueryResponse": halves}]}
        told = answer.get("QueryResponse", {})
        entity = next((name for name in STREAMS if name in told), None)
        if entity is None:
            return answer
        rows = list(told[entity])
        match kind:
            case "duplicate":
                rows.append(rows[0])
            case "reorder":
                rows.reverse()
            case "malformed_item":
                rows[len(rows) // 2] = {**rows[len(rows) // 2], "Id": {"no": "id"}}
            case "raw":
                rows[len(rows) // 2] = {**rows[len(rows) // 2], RAW: None}
            case "truncated":
                del rows[len(rows) // 2 :]
            case "empty":
                return {**answer, "QueryResponse": {}}
        return {**answer, "QueryResponse": {**told, entity: rows, "maxResults": len(rows)}}

    def _changes(self, books: Books, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        """What changed and what was deleted since a moment, oldest first, up to 1,000 in all."""
        try:
            since = datetime.fromisoformat(asked.get("changedSince", ""))
        except ValueError:
            raise Refusal("ValidationFault: changedSince is no date") from None
        assert self.twin.world is not None
        if since < end_of(self.twin.world.today) - LONGEST_LOOK_BACK:
            raise Refusal("ValidationFault: changedSince is more than 30 days ago")
        answers, left = [], MOST_CHANGES
        for kind in asked.get("entities", "").split(","):
            if kind not in STREAMS:
                raise Refusal(f"ValidationFault: there is no entity {kind}")
            changed = [(entry.updated, entry.shown()) for entry in books.all(kind) if entry.updated >= since]
            gone = [(when, _gone(number, when)) for of, number, when in books.deleted if of == kind and when >= since]
            told = [shown for _, shown in sorted([*changed, *gone], key=lambda pair: pair[0])][:left]
            left -= len(told)
            answers.append({kind: told, "startPosition": 1, "maxResults": len(told)} if told else {})
        return answers


def realm(organization: Organization) -> str:
    """Intuit's number of the company."""
    return str(4_620_816_360_000_000_000 + zlib.crc32(organization.slug.encode()))


def company_info(organization: Organization) -> dict[str, Any]:
    """Who it is. Its Id is 1 in every company: the realm is not in it."""
    return {"Id": "1", "CompanyName": organization.name, "LegalName": organization.name, "Country": "GB"}


def _gone(number: str, when: datetime) -> dict[str, Any]:
    return {"domain": "QBO", "status": "Deleted", "Id": number, "MetaData": {"LastUpdatedTime": local(when)}}


def _timed(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "time": "2026-11-20T10:00:00.000-08:00"}


def _fault(spelling: str, kind: str, message: str, code: str) -> dict[str, Any]:
    if spelling == "fault":
        error = {"message": message, "detail": message, "code": code}
        return _timed({"fault": {"error": [error], "type": kind}, "warnings": None, "requestId": None})
    return _timed({"Fault": {"Error": [{"Message": message, "Detail": message, "code": code}], "type": kind}})
