"""HubSpot's official remote MCP server (`mcp.hubspot.com`), as far as six read-only tools go.

The tools and their schemas are data, in `hubspot_tools.json`. The real server lives at the root of its host;
here it is at `/hubspot/mcp`. Error texts are ours; their shapes follow what callers of the real one saw.
"""

import itertools
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib import resources
from random import Random
from typing import Any

from mcp.types import Tool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.faults import RAW
from sandbox.fiction import World
from sandbox.hubspot_npm import HubSpotNpm
from sandbox.hubspot_records import DEFINITIONS, OBJECT_TYPES, Portal, hub_id, iso, object_type, owner_id
from sandbox.hubspot_search import search
from sandbox.pages import page
from sandbox.provider import McpServer, OAuthFacts, Refusal, Report
from sandbox.world import Organization

APP_ID = 424_242
MOST_IDS, MOST_KEYWORDS, OWNERS, MOST_OWNERS = 100, 5, 25, 100
ERRORS = {
    401: {"category": "EXPIRED_AUTHENTICATION", "message": "The access token is expired or invalid."},
    403: {"category": "MISSING_SCOPES", "message": "This account has not granted what the call needs."},
    429: {
        "errorType": "RATE_LIMIT",
        "policyName": "SECONDLY",
        "message": "You have reached your secondly limit.",
    },
}


class HubSpot:
    """The twin. See `provider.Provider` for what each method owes."""

    name = "hubspot"
    title = "HubSpot"
    public_listing = False
    oauth = OAuthFacts(
        authorize_path="/oauth/authorize/user",
        token_path="/oauth/v3/token",  # noqa: S106 - a path
        revoke_path="/oauth/v3/token/revoke",
        introspect_path="/oauth/v3/token/introspect",
        expires_in=1800,
        always_asked="read and change your companies, contacts and deals",
    )

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.portal = Portal()
        listed = json.loads(resources.files("sandbox").joinpath("hubspot_tools.json").read_text("utf-8"))
        self.tools = [Tool.model_validate(tool) for tool in listed]
        self._answers: dict[str, Callable[[Organization, dict[str, Any]], Any]] = {
            "search_crm_objects": self._search_crm_objects,
            "get_crm_objects": self._get_crm_objects,
            "search_properties": self._search_properties,
            "get_properties": self._get_properties,
            "search_owners": self._search_owners,
            "get_user_details": self._get_user_details,
        }

    def pages(self, world: World) -> list[Route]:
        async def record(request: Request) -> Response:
            hub, type_id, number = (request.path_params[name] for name in ("hub", "type_id", "number"))
            for organization, kind in itertools.product(world.organizations, OBJECT_TYPES.values()):
                if hub_id(organization) == hub and kind.type_id == type_id:
                    found = self.portal.records(organization, kind).get(number)
                    if found is not None:
                        properties = self.portal.properties(organization, found)
                        return page("record.html", self.title, kind=kind.name, properties=properties)
            return page("problem.html", self.title, status=404, problem="There is no such record any more.")

        return [Route("/contacts/{hub:int}/record/{type_id}/{number:int}", record)]

    @property
    def servers(self) -> Mapping[str, McpServer]:
        return {"/mcp": self, "/npm/mcp": HubSpotNpm(self.portal)}

    def populate(self, world: World) -> None:
        """The world's companies, contacts and deals are HubSpot's; it holds nothing else."""
        self.portal.orders.clear()

    def advance(self, organization: Organization, start: datetime, rng: Random) -> Report:
        self.portal.orders.clear()
        return {}

    def callback_extras(self, organization: Organization) -> dict[str, str]:
        return {}

    def call(self, organization: Organization, tool: str, arguments: dict[str, Any]) -> Any:
        return self._answers[tool](organization, arguments)

    def error_body(self, status: int) -> dict[str, Any]:
        known = ERRORS.get(status, {"category": "INTERNAL_ERROR", "message": "Something went wrong."})
        return {"status": "error", "correlationId": "00000000-0000-4000-8000-000000000000", **known}

    def token_extras(self, organization: Organization) -> dict[str, Any]:
        admin = organization.admin
        return {
            "hub_id": hub_id(organization),
            "user_id": owner_id(organization, admin) + 5_000_000,
            "scopes": [
                "crm.objects.companies.read",
                "crm.objects.contacts.read",
                "crm.objects.deals.read",
                "oauth",
            ],
        }

    def truth(self, organization: Organization) -> dict[str, dict[str, Any]]:
        told: dict[str, dict[str, Any]] = {"account": {"hub_id": hub_id(organization)}}
        for name, kind in OBJECT_TYPES.items():
            told[name] = {
                str(record.id): {
                    "updated_at": iso(record.updated),
                    "properties": self.portal.properties(organization, record),
                }
                for record in self.portal.records(organization, kind).values()
            }
        return told

    def spoil(self, kind: str, arguments: dict[str, Any], answer: Any) -> Any:
        """Faults in a list of records. Any other answer has nothing to duplicate or reorder, and stays."""
        items = answer["results"] if isinstance(answer, dict) and "results" in answer else answer
        if not isinstance(items, list) or not items:
            return answer
        match kind:
            case "duplicate":
                items.append(items[0])
            case "reorder":
                items.reverse()
            case "malformed_item":
                items[len(items) // 2] = {**items[len(items) // 2], "properties": "not an object"}
            case "raw":
                items[len(items) // 2] = {**items[len(items) // 2], RAW: None}
            case "truncated":
                del items[len(items) // 2 :]
            case "empty":
                items.clear()
                if isinstance(answer, dict):
                    answer["total"] = 0
                    answer.pop("offset", None)
            case "cycle" if isinstance(answer, dict):
                answer["offset"] = 0
        return answer

    def _search_crm_objects(self, organization: Organization, arguments: dict[str, Any]) -> Any:
        kind = object_type(arguments["objectType"])
        page, total, following = search(self.portal, organization, kind, arguments)
        wanted = arguments.get("properties")
        answer: dict[str, Any] = {
            "results": [self.portal.item(organization, record, wanted) for record in page],
            "urlTemplate": self._url(organization, kind.type_id, "{id}"),
            "total": total,
        }
        if following is not None:
            answer["offset"] = following
        return answer

    def _get_crm_objects(self, organization: Organization, arguments: dict[str, Any]) -> Any:
        kind, ids = object_type(arguments["objectType"]), arguments.get("objectIds", [])
        if not 1 <= len(ids) <= MOST_IDS:
            raise Refusal(f"VALIDATION_ERROR: objectIds needs 1 to {MOST_IDS} ids")
        records = self.portal.records(organization, kind)
        return [
            {
                **self.portal.item(organization, records[number], arguments.get("properties")),
                "url": self._url(organization, kind.type_id, str(number)),
            }
            for number in ids
            if number in records
        ]

    def _search_properties(self, organization: Organization, arguments: dict[str, Any]) -> Any:
        keywords = arguments.get("keywords") or arguments.get("query", "").split()
        if len(keywords) > MOST_KEYWORDS:
            raise Refusal(f"VALIDATION_ERROR: at most {MOST_KEYWORDS} keywords")
        found = []
        for definition in DEFINITIONS[object_type(arguments["objectType"]).name]:
            told = {name: definition[name] for name in ("name", "label", "description")}
            text = " ".join(told.values()).casefold()
            score = sum(keyword.casefold() in text for keyword in keywords)
            if score or not keywords:
                found.append({**told, "matchScore": score})
        return sorted(found, key=lambda one: -one["matchScore"])

    def _get_properties(self, organization: Organization, arguments: dict[str, Any]) -> Any:
        wanted = arguments.get("propertyNames")
        definitions = DEFINITIONS[object_type(arguments["objectType"]).name]
        return [definition for definition in definitions if wanted is None or definition["name"] in wanted]

    def _search_owners(self, organization: Organization, arguments: dict[str, Any]) -> Any:
        limit, offset = int(arguments.get("limit", OWNERS)), int(arguments.get("offset", 0))
        if not 1 <= limit <= MOST_OWNERS or offset < 0:
            raise Refusal(f"VALIDATION_ERROR: limit must be between 1 and {MOST_OWNERS}, offset not negative")
        query, ids = arguments.get("searchQuery", "").casefold(), arguments.get("ownerIds")
        found = [
            {"ownerId": owner_id(organization, user), "name": user.name, "isActive": True}
            for user in organization.users
            if query in f"{user.name} {user.email}".casefold() and (ids is None or owner_id(organization, user) in ids)
        ]
        return found[offset : offset + limit]

    def _get_user_details(self, organization: Organization, arguments: dict[str, Any]) -> Any:
        admin, extras = organization.admin, self.token_extras(organization)
        return {
            "userId": extras["user_id"],
            "hubId": extras["hub_id"],
            "appId": APP_ID,
            "tokenType": "access",
            "owner": {"ownerId": owner_id(organization, admin), "name": admin.name, "email": admin.email},
            "account": {"name": organization.name, "timeZone": "Europe/London", "companyCurrency": "GBP"},
            "uiDomain": f"{self.base_url}/{self.name}".removeprefix("http://"),
            "objectTypeAvailability": {name.upper(): "AVAILABLE" for name in OBJECT_TYPES},
            "toolAvailability": {tool.name: "AVAILABLE" for tool in self.tools},
        }

    def _url(self, organization: Organization, type_id: str, number: str) -> str:
        return f"{self.base_url}/{self.name}/contacts/{hub_id(organization)}/record/{type_id}/{number}"
