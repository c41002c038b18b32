"""HubSpot's search language: groups of filters, operators, one sort, free text, pages and their limits.

Where the real behaviour is not documented: a missing value fulfils NEQ, NOT_IN and NOT_CONTAINS_TOKEN, and
sorts last; equal sort values are ordered by id.
"""

import contextlib
import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from sandbox.hubspot_records import TYPES_OF_PROPERTIES, ObjectType, Portal, Properties, object_type
from sandbox.provider import Refusal
from sandbox.world import Company, Contact, Deal, Organization, Record

PAGE, LARGEST_PAGE, WINDOW = 100, 200, 10_000
MOST_GROUPS, MOST_FILTERS, MOST_FILTERS_IN_ALL, LONGEST_QUERY = 5, 6, 18, 200
Value = str | Decimal
Test = Callable[[Record, Properties], bool]

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": operator.eq, "LT": operator.lt, "LTE": operator.le, "GT": operator.gt, "GTE": operator.ge
}  # fmt: skip


def search(
    portal: Portal, organization: Organization, kind: ObjectType, arguments: dict[str, Any]
) -> tuple[list[Record], int, int | None]:
    """The records of the page, how many there are in all, and where the next page starts."""
    limit, offset = int(arguments.get("limit", PAGE)), int(arguments.get("offset", 0))
    _check_limits(arguments, limit, offset)
    found = _going_on(portal, organization, kind, arguments)
    if found is None:
        found = _matching(portal, organization, kind, arguments)
    following = offset + limit
    return found[offset:following], len(found), following if following < len(found) else None


def _going_on(
    portal: Portal, organization: Organization, kind: ObjectType, arguments: dict[str, Any]
) -> list[Record] | None:
    """What a listing that goes on after its last record finds; None of any other search. Each page of it is a search of
    its own: to test every record for each took half of a listing of 50,000."""
    match arguments:
        case {
            "filterGroups": [
                {"filters": [{"propertyName": name, "operator": "GT" | "GTE" as relation, "value": bound}]}
            ],
            "sorts": [{"propertyName": sorted_by, "direction": "ASCENDING"}],
        } if sorted_by == name in TYPES_OF_PROPERTIES[kind.name] and not arguments.get("query"):
            values, records = _all_by(portal, organization, kind, name)
            bisect = bisect_right if relation == "GT" else bisect_left
            return records[bisect(values, comparable(TYPES_OF_PROPERTIES[kind.name][name], str(bound))) :]
    return None


def _all_by(portal: Portal, organization: Organization, kind: ObjectType, name: str) -> tuple[list[Any], list[Record]]:
    """The records that have a property in its order, and its values; kept until the world moves on."""
    known = portal.orders.get((organization.slug, kind.name, name))
    if known is None:
        having = [{"filters": [{"propertyName": name, "operator": "HAS_PROPERTY"}]}]
        sorts = [{"propertyName": name, "direction": "ASCENDING"}]
        records = _matching(portal, organization, kind, {"filterGroups": having, "sorts": sorts})
        type_of_property = TYPES_OF_PROPERTIES[kind.name][name]
        values = [
            comparable(type_of_property, portal.properties(organization, record)[name] or "") for record in records
        ]
        known = portal.orders[organization.slug, kind.name, name] = values, records
    return known


def _matching(portal: Portal, organization: Organization, kind: ObjectType, arguments: dict[str, Any]) -> list[Record]:
    """The records that pass, in their order."""
    passes = _any([_group(organization, kind, group) for group in arguments.get("filterGroups", [])])
    words = arguments.get("query", "").casefold().split()
    found = [
        (record, properties)
        for record in portal.records(organization, kind).values()
        if passes(record, properties := portal.properties(organization, record))
        and (not words or _mentions(kind, properties, words))
    ]
    return _ordered(found, kind, arguments.get("sorts", []))


def _check_limits(arguments: dict[str, Any], limit: int, offset: int) -> None:
    groups = arguments.get("filterGroups", [])
    sizes = [len(group.get("filters", [])) for group in groups]
    problems = {
        f"limit must be between 1 and {LARGEST_PAGE}": not 1 <= limit <= LARGEST_PAGE,
        "offset must not be negative": offset < 0,
        f"only the first {WINDOW:,} results of a query can be read": offset + limit > WINDOW,
        "only one sort rule is allowed": len(arguments.get("sorts", [])) > 1,
        f"query is longer than {LONGEST_QUERY} characters": len(arguments.get("query", "")) > LONGEST_QUERY,
        f"at most {MOST_GROUPS} filterGroups are allowed": len(groups) > MOST_GROUPS,
        f"at most {MOST_FILTERS} filters are allowed in a group": max(sizes, default=0) > MOST_FILTERS,
        f"at most {MOST_FILTERS_IN_ALL} filters are allowed in all": sum(sizes) > MOST_FILTERS_IN_ALL,
    }
    for problem, is_so in problems.items():
        if is_so:
            raise Refusal(f"VALIDATION_ERROR: {problem}")


def _any(tests: list[Test]) -> Test:
    """Whether one of them holds; of none, everything passes. One alone is asked itself: 30,000 times a search."""
    if len(tests) == 1:
        return tests[0]
    return lambda record, properties: not tests or any(test(record, properties) for test in tests)


def _group(organization: Organization, kind: ObjectType, group: dict[str, Any]) -> Test:
    tests = [_filter(organization, kind, given) for given in group.get("filters", [])]
    if len(tests) == 1:
        return tests[0]
    return lambda record, properties: all(test(record, properties) for test in tests)


def _filter(organization: Organization, kind: ObjectType, given: dict[str, Any]) -> Test:
    name, relation = given["propertyName"], given["operator"]
    if name.startswith("associated_"):
        return _association(organization, kind, object_type(name.removeprefix("associated_")), given)
    type_of_property = TYPES_OF_PROPERTIES[kind.name].get(name)
    if type_of_property is None:
        raise Refusal(f"VALIDATION_ERROR: there is no property {name} on {kind.name}")
    test = _operator(relation, type_of_property, given)
    return lambda record, properties: test(properties[name])


def _operator(relation: str, kind: str, given: dict[str, Any]) -> Callable[[str | None], bool]:
    """A test of one value, which is null as often as not; empty counts as missing."""
    if relation in COMPARISONS:
        compare, bound = COMPARISONS[relation], comparable(kind, _operand(given, "value"))
        return lambda value: bool(value) and compare(comparable(kind, value or ""), bound)
    match relation:
        case "NEQ":
            bound = comparable(kind, _operand(given, "value"))
            return lambda value: not value or comparable(kind, value) != bound
        case "BETWEEN":
            low, high = (comparable(kind, _operand(given, name)) for name in ("value", "highValue"))
            return lambda value: bool(value) and _between(low, comparable(kind, value or ""), high)
        case "IN" | "NOT_IN":
            bounds = {comparable(kind, bound) for bound in _operands(given)}
            wanted = relation == "IN"
            return lambda value: (bool(value) and comparable(kind, value or "") in bounds) is wanted
        case "HAS_PROPERTY" | "NOT_HAS_PROPERTY":
            wanted = relation == "HAS_PROPERTY"
            return lambda value: bool(value) is wanted
        case "CONTAINS_TOKEN" | "NOT_CONTAINS_TOKEN":
            patterns, wanted = _operand(given, "value").casefold().split(), relation == "CONTAINS_TOKEN"
            return lambda value: _has_tokens(value or "", patterns) is wanted
        case _:
            raise Refusal(f"VALIDATION_ERROR: unknown operator {relation}")


def _between(low: Any, value: Any, high: Any) -> bool:
    return bool(low <= value <= high)


def _operand(given: dict[str, Any], name: str) -> str:
    if name not in given:
        raise Refusal(f"VALIDATION_ERROR: {given['operator']} on {given['propertyName']} needs {name}")
    return str(given[name])


def _operands(given: dict[str, Any]) -> list[str]:
    if not given.get("values"):
        raise Refusal(f"VALIDATION_ERROR: {given['operator']} on {given['propertyName']} needs values")
    return [str(value) for value in given["values"]]


@lru_cache(maxsize=200_000)  # two thirds of a search of 30,000 records
def comparable(kind: str, text: str) -> Value:
    """Numbers as numbers, dates (ISO or epoch milliseconds) as milliseconds, text without regard to case."""
    if kind == "enumeration":
        return text
    if kind not in ("number", "datetime"):
        return text.casefold()
    with contextlib.suppress(InvalidOperation):
        if (number := Decimal(text)).is_finite():
            return number
    with contextlib.suppress(ValueError):
        if kind == "datetime":
            moment = datetime.fromisoformat(text)
            return Decimal(round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000))
    raise Refusal(f"VALIDATION_ERROR: {text!r} is not a {'number' if kind == 'number' else 'date'}")


def _has_tokens(text: str, patterns: list[str]) -> bool:
    tokens = re.findall(r"[^\s,;:()<>\"]+", text.casefold())
    tokens += re.findall(r"\w+", text.casefold())
    return all(any(fnmatchcase(token, pattern) for token in tokens) for pattern in patterns)


def _mentions(kind: ObjectType, properties: Properties, words: list[str]) -> bool:
    text = " ".join(properties[name] or "" for name in kind.searchable).casefold()
    return all(word in text for word in words)


def _association(organization: Organization, kind: ObjectType, other: ObjectType, given: dict[str, Any]) -> Test:
    relation = given["operator"]
    if relation not in ("EQ", "IN"):
        raise Refusal(f"VALIDATION_ERROR: {given['propertyName']} can be compared with EQ or IN only")
    values = [_operand(given, "value")] if relation == "EQ" else _operands(given)
    wanted = {int(value) for value in values if value.isdigit()}
    return lambda record, properties: not wanted.isdisjoint(_associated(organization, record, other.name))


def _associated(organization: Organization, record: Record, other: str) -> set[int]:
    """The ids of the other type that the record is associated with. HubSpot associates both ways."""
    match record, other:
        case ((Contact() | Deal()), "companies"):
            return {record.company_id} if record.company_id else set()
        case Company(), "contacts" | "deals":
            others: dict[int, Any] = getattr(organization, other)
            return {number for number, one in others.items() if one.company_id == record.id}
        case Deal(), "contacts":
            return set(record.contact_ids)
        case Contact(), "deals":
            return {number for number, deal in organization.deals.items() if record.id in deal.contact_ids}
        case _:
            return set()


def _ordered(found: list[tuple[Record, Properties]], kind: ObjectType, sorts: list[dict[str, str]]) -> list[Record]:
    found.sort(key=lambda pair: pair[0].id)
    for rule in sorts:
        name = rule["propertyName"]
        type_of_property = TYPES_OF_PROPERTIES[kind.name].get(name)
        if type_of_property is None:
            raise Refusal(f"VALIDATION_ERROR: there is no property {name} on {kind.name}")
        keys: list[Any] = [value and comparable(type_of_property, value) for value in (pair[1][name] for pair in found)]
        filled = [index for index, key in enumerate(keys) if key not in (None, "")]
        filled.sort(key=keys.__getitem__, reverse=rule["direction"] == "DESCENDING")
        found = [found[index] for index in filled] + [pair for pair in found if not pair[1][name]]
    return [record for record, _ in found]
