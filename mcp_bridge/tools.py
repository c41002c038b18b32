"""The tools: a query, what changed, and one record. Named and answered as by `karellen-qbo-mcp`, so that a caller of
that server can use this one; they take what is needed to read, and nothing else.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from mcp.types import Tool, ToolAnnotations

from mcp_bridge.quickbooks import Caller, QuickBooks, Refused

T = TypeVar("T")
ENTITIES = ("Customer", "Invoice", "Estimate", "Payment")
_LONGEST_QUERY = 4000
# Each blank belongs to one place of it only: where blanks could be shared out among three, 2,000 of them held up the
# loop for 9.6 s, before any token was looked at.
_QUERY = re.compile(
    r"select\s+(?:\*|count\(\*\)|[\w.]+(?:\s*,\s*[\w.]+)*)\s+from\s+(\w+)\b[^;\x00-\x1f]*", re.IGNORECASE
)
_ID = re.compile(r"[0-9]{1,20}")
_READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=True)


def _tool(name: str, description: str, required: list[str], **properties: Any) -> Tool:
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return Tool(name=name, description=description, input_schema=schema, annotations=_READ_ONLY)


TOOLS = [
    _tool(
        "qbo_query",
        f"Run a QuickBooks query: SELECT from one of {', '.join(ENTITIES)}, at most 1,000 rows.",
        ["query"],
        query={"type": "string", "maxLength": _LONGEST_QUERY},
    ),
    _tool(
        "qbo_cdc",
        "What was created, changed or deleted since a moment, up to 30 days ago and 1,000 records.",
        ["entities", "changed_since"],
        entities={"type": "array", "items": {"type": "string"}, "minItems": 1},
        changed_since={"type": "string"},
    ),
    _tool(
        "qbo_get",
        "One record by its Id; CompanyInfo needs none.",
        ["entity"],
        entity={"type": "string"},
        id={"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    ),
]


async def query(api: QuickBooks, caller: Caller, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A QueryResponse; empty when there are no rows."""
    statement = arguments["query"].strip()
    read = _QUERY.fullmatch(statement)
    if read is None or _entity(read[1]) is None:
        raise Refused(f"Only a SELECT from one of {', '.join(ENTITIES)} is run.")
    return _part(await api.read(caller, "query", {"query": statement}), "QueryResponse", dict)


async def changes(api: QuickBooks, caller: Caller, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A CDCResponse, which is a list; structured content has to be an object."""
    entities = [_entity(each) for each in arguments["entities"]]
    if None in entities:
        raise Refused(f"Changes are told of {', '.join(ENTITIES)}.")
    try:
        since = datetime.fromisoformat(arguments["changed_since"])
    except ValueError:
        raise Refused("changed_since is no moment as ISO 8601 writes it.") from None
    asked = {"entities": ",".join(str(each) for each in entities), "changedSince": since.isoformat()}
    return {"result": _part(await api.read(caller, "cdc", asked), "CDCResponse", list)}


async def get(api: QuickBooks, caller: Caller, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The record itself."""
    if arguments["entity"].lower() == "companyinfo":
        return _part(await api.read(caller, f"companyinfo/{caller.realm}", {}), "CompanyInfo", dict)
    entity, number = _entity(arguments["entity"]), arguments.get("id") or ""
    if entity is None or not _ID.fullmatch(number):
        raise Refused(f"One of {', '.join(ENTITIES)}, CompanyInfo is read, by an id of digits.")
    return _part(await api.read(caller, f"{entity.lower()}/{number}", {}), entity, dict)


HANDLERS: Mapping[str, Callable[[QuickBooks, Caller, Mapping[str, Any]], Awaitable[dict[str, Any]]]] = {
    "qbo_query": query,
    "qbo_cdc": changes,
    "qbo_get": get,
}


def _entity(name: str) -> str | None:
    return next((entity for entity in ENTITIES if entity.lower() == name.lower()), None)


def _part(told: dict[str, Any], name: str, kind: type[T]) -> T:
    part = told.get(name)
    if not isinstance(part, kind):
        raise Refused(f"QuickBooks' answer has no {name}.")
    return part
