"""QuickBooks' query language, as far as read-only callers go: one entity, AND but no OR, at most 1,000 rows.

Its traps are kept: inactive customers are found only when they are asked for, ids are ordered as texts, a moment
without an offset is the company's own time, and an answer without rows does not name the entity.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sandbox.books import STREAMS, Books, Entry, local
from sandbox.provider import Refusal

USUAL, MOST = 100, 1000
_QUERY = re.compile(
    r"\s*select\s+(?P<what>\*|count\(\*\))\s+from\s+(?P<entity>\w+)"
    r"(?:\s+where\s+(?P<where>.+?))?"
    r"(?:\s+order\s*by\s+(?P<order>[\w.]+)(?:\s+(?P<way>asc|desc))?)?"
    r"(?:\s+startposition\s+(?P<start>\d+))?(?:\s+maxresults\s+(?P<most>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_TERM = re.compile(
    r"\s*(?P<field>[\w.]+)\s*(?P<operator><=|>=|=|<|>|\blike\b|\bin\b)\s*"
    r"(?P<value>'(?:[^'\\]|\\.)*'|true|false|\((?:[^()']|'(?:[^'\\]|\\.)*')*\))\s*(?:and\b|$)",
    re.IGNORECASE,
)
_MOMENTS = ("MetaData.CreateTime", "MetaData.LastUpdatedTime")
_FIELDS = {*_MOMENTS, "Id", "Active", "DisplayName", "DocNumber", "TxnDate", "CustomerRef", "Balance", "TotalAmt"}
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda mine, told: mine == told,
    "<": lambda mine, told: mine < told,
    ">": lambda mine, told: mine > told,
    "<=": lambda mine, told: mine <= told,
    ">=": lambda mine, told: mine >= told,
    "in": lambda mine, told: mine in told,
    "like": lambda mine, told: told.strip("%").lower() in str(mine).lower(),
}


def answer(books: Books, query: str) -> dict[str, Any]:
    """What is inside a QueryResponse. Raises Refusal."""
    read = _QUERY.fullmatch(query)
    if read is None:
        raise Refusal("QueryParserError: Encountered something unexpected in the query.")
    entity = next((kind for kind in STREAMS if kind.lower() == read["entity"].lower()), None)
    if entity is None:
        raise Refusal(f"QueryValidationError: there is no entity {read['entity']}")
    wanted = _conditions(entity, read["where"] or "")
    found = [entry for entry in books.all(entity) if all(holds(entry) for holds in wanted)]
    if read["what"] != "*":
        return {"totalCount": len(found)}
    order = _field(read["order"]) if read["order"] else "Id"
    found.sort(key=lambda entry: _value(entry, order), reverse=(read["way"] or "").lower() == "desc")
    start, most = int(read["start"] or 1), min(int(read["most"] or USUAL), MOST)
    if start < 1:
        raise Refusal("QueryValidationError: STARTPOSITION begins at 1")
    rows = found[start - 1 : start - 1 + most]
    shown = [entry.shown() for entry in rows]
    return {entity: shown, "startPosition": start, "maxResults": len(rows)} if rows else {}


def _conditions(entity: str, where: str) -> list[Callable[[Entry], bool]]:
    conditions: list[Callable[[Entry], bool]] = []
    place, asks_for_active = 0, False
    while place < len(where):
        term = _TERM.match(where, place)
        if term is None:
            raise Refusal("QueryParserError: Encountered something unexpected after WHERE.")
        field = _field(term["field"])
        asks_for_active |= field == "Active"
        conditions.append(_condition(field, term["operator"].lower(), term["value"]))
        place = term.end()
    if entity == "Customer" and not asks_for_active:
        conditions.append(lambda entry: bool(entry.body["Active"]))
    return conditions


def _condition(field: str, operator: str, text: str) -> Callable[[Entry], bool]:
    told: Any = _literals(field, text) if operator == "in" else _literal(field, text)
    return lambda entry: _COMPARED[operator](_value(entry, field), told)


def _field(name: str) -> str:
    for field in _FIELDS:
        if field.lower() == name.lower():
            return field
    raise Refusal(f"QueryValidationError: property {name} cannot be asked for")


def _literals(field: str, text: str) -> list[Any]:
    return [_literal(field, each) for each in re.findall(r"'(?:[^'\\]|\\.)*'|\w+", text.strip("()"))]


def _literal(field: str, text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    value = re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        if field in _MOMENTS:
            return _moment(value)
        return float(value) if field in ("Balance", "TotalAmt") else value
    except ValueError:
        raise Refusal(f"QueryValidationError: {field} cannot be compared with that") from None


def _moment(value: str) -> datetime:
    told = datetime.fromisoformat(value)
    return told if told.tzinfo else told.replace(tzinfo=datetime.fromisoformat(local(told.astimezone())).tzinfo)


def _value(entry: Entry, field: str) -> Any:
    match field:
        case "MetaData.LastUpdatedTime":
            return entry.updated
        case "MetaData.CreateTime":
            return entry.created
        case "Id":
            return entry.id
        case "CustomerRef":
            return entry.body.get("CustomerRef", {}).get("value", "")
        case "Balance" | "TotalAmt":
            return entry.body.get(field, 0)
        case "Active":
            return entry.body.get(field, True)
    return entry.body.get(field, "")
