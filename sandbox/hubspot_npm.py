"""The npm server `@hubspot/mcp-server` 0.4.0 over the same records: other names, `after` instead of `offset`, no
totals, a listing that shows what was archived, and errors as its own prose.

The real one runs on stdio with one private app's token; here, as behind a bridge, the request's token says whose
account it is.
"""

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

from mcp.types import Tool

from sandbox.hubspot_records import DEFINITIONS, ObjectType, Portal, hub_id, iso, object_type
from sandbox.hubspot_search import search
from sandbox.provider import Refusal, Texts
from sandbox.world import Organization

REST_PAGE = 100  # what the API gives at most, though the listing's schema allows 500


class HubSpotNpm:
    """See `provider.McpServer` for what each method owes."""

    public_listing = False

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        listed = json.loads(resources.files("sandbox").joinpath("hubspot_npm_tools.json").read_text("utf-8"))
        self.tools = [Tool.model_validate(tool) for tool in listed]
        self._answers: dict[str, Callable[[Organization, dict[str, Any]], Any]] = {
            "hubspot-list-objects": self._list_objects,
            "hubspot-search-objects": self._search_objects,
            "hubspot-batch-read-objects": self._batch_read,
            "hubspot-list-properties": self._list_properties,
            "hubspot-get-user-details": self._user_details,
        }

    def call(self, organization: Organization, tool: str, arguments: dict[str, Any]) -> Any:
        if tool not in self._answers:
            raise Refusal(f"Error calling {tool}: the sandbox lists this tool and does not serve it")
        try:
            answer = self._answers[tool](organization, arguments)
        except Refusal as refusal:
            body = {"status": "error", "category": "VALIDATION_ERROR", "message": str(refusal)}
            raise Refusal(f"Error calling {tool}: HubSpot API Error: 400 Bad Request - {json.dumps(body)}") from None
        return answer if isinstance(answer, Texts) else Texts([json.dumps(answer, indent=1)])

    def spoil(self, kind: str, arguments: dict[str, Any], answer: Any) -> Any:
        """Faults in a list of records."""
        told = json.loads(answer.blocks[0]) if isinstance(answer, Texts) and len(answer.blocks) == 1 else None
        if not isinstance(told, dict) or not told.get("results"):
            return answer
        items = told["results"]
        match kind:
            case "duplicate":
                items.append(items[0])
            case "reorder":
                items.reverse()
            case "malformed_item":
                items[len(items) // 2] = {**items[len(items) // 2], "properties": "not an object"}
            case "empty":
                items.clear()
                told.pop("paging", None)
            case "cycle":
                told["paging"] = {"next": {"after": "0", "link": "again"}}
        return Texts([json.dumps(told)])

    def _list_objects(self, organization: Organization, arguments: dict[str, Any]) -> Any:
        kind = object_type(arguments["objectType"])
        after, limit = int(arguments.get("after", 0)), min(int(arguments.get("limit", 100)), REST_PAGE)
        wanted = arguments.get("properties")
        if arguments.get("archived"):
            found = [
                {**self.portal.item(organization, record, wanted), "archived": True, "archivedAt": iso(at)}
                for number, (record, at) in sorted(organization.archived[kind.name].items())
                if number > after
            ]
        else:
            records = self.portal.records(organization, kind)
            found = [
                self.portal.item(organization, records[number], wanted) for number in sorted(records) if number > after
            ]
        page = found[:limit]
        paging = {"paging": {"next": {"after": page[-1]["id"], "link": "x"}}} if len(found) > limit else {}
        return {"results": page, **paging}

    def _search_objects(self, organization: Organization, arguments: dict[str, Any]) -> Any:
        kind: ObjectType = object_type(arguments["objectType"])
        offset, limit = int(arguments.get("after", 0)), int(arguments.get("limit", 10))
        if not 1 <= limit <= REST_PAGE:
            raise Refusal(f"limit must be between 1 and {REST_PAGE}")
        asked = {name: value for name, value in arguments.items() if name != "after"}
        page, _, following = search(self.portal, organization, kind, {**asked, "limit": limit, "offset": offset})
        results = [self.portal.item(organization, record, arguments.get("properties")) for record in page]
        paging = {} if following is None else {"paging": {"next": {"after": str(following), "link": "x"}}}
        return {"results": results, **paging}

    def _batch_read(self, organization: Organization, arguments: dict[str, Any]) -> Any:
        kind = object_type(arguments["objectType"])
        records = self.portal.records(organization, kind)
        ids = [int(asked["id"]) for asked in arguments["inputs"] if asked["id"].isdigit()]
        return {
            "status": "COMPLETE",
            "results": [
                self.portal.item(organization, records[number], arguments.get("properties"))
                for number in ids
                if number in records
            ],
        }

    def _list_properties(self, organization: Organization, arguments: dict[str, Any]) -> Any:
        return {"results": DEFINITIONS[object_type(arguments["objectType"]).name]}

    def _user_details(self, organization: Organization, arguments: dict[str, Any]) -> Any:
        token = {"hubId": hub_id(organization), "userId": 1, "appId": 1, "scopes": ["crm.objects.companies.read"]}
        return Texts(
            [
                f"- Token Info: {json.dumps(token)}",
                f"- User Info: {json.dumps({'email': organization.admin.email})}",
                "- Owner Info: none",
            ]
        )
