"""How the world's records look as HubSpot objects: names of properties, every value a string or null.

Which properties exist is data, in `hubspot_properties.json`.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from importlib import resources
from typing import Any

from sandbox.provider import Refusal
from sandbox.world import Company, Contact, Deal, Organization, Record, User

Properties = dict[str, str | None]


@dataclass(frozen=True)
class ObjectType:
    """One of HubSpot's object types, as far as the search and the tools need to know it."""

    name: str
    type_id: str
    modified: str  # contacts call it differently
    defaults: tuple[str, ...]
    searchable: tuple[str, ...]


OBJECT_TYPES = {
    "companies": ObjectType(
        "companies",
        "0-2",
        modified="hs_lastmodifieddate",
        defaults=("name", "domain"),
        searchable=("name", "domain", "website", "phone"),
    ),
    "contacts": ObjectType(
        "contacts",
        "0-1",
        modified="lastmodifieddate",
        defaults=("firstname", "lastname", "email"),
        searchable=("firstname", "lastname", "email", "phone", "company"),
    ),
    "deals": ObjectType(
        "deals",
        "0-3",
        modified="hs_lastmodifieddate",
        defaults=("dealname", "amount", "closedate", "pipeline", "dealstage"),
        searchable=("dealname", "description"),
    ),
}
SPELLINGS = {"company": "companies", "contact": "contacts", "deal": "deals"}
DEFINITIONS: dict[str, list[dict[str, Any]]] = json.loads(
    resources.files("sandbox").joinpath("hubspot_properties.json").read_text("utf-8")
)
TYPES_OF_PROPERTIES = {
    name: {definition["name"]: definition["type"] for definition in definitions}
    for name, definitions in DEFINITIONS.items()
}


def object_type(spelling: str) -> ObjectType:
    """`companies`, `company`, `COMPANY`: callers of the real server write them all."""
    name = spelling.lower()
    found = OBJECT_TYPES.get(SPELLINGS.get(name, name))
    if found is None:
        raise Refusal(f"Unknown objectType: {spelling}")
    return found


def hub_id(organization: Organization) -> int:
    """The number of the organisation's HubSpot account: stable, whatever the seed."""
    return 40_000_000 + zlib.crc32(organization.slug.encode()) % 9_000_000


def owner_id(organization: Organization, user: User) -> int:
    return hub_id(organization) * 10 + organization.users.index(user) + 1


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Portal:
    """The HubSpot accounts, as they are now."""

    def __init__(self) -> None:
        # Of organisation, type and property: its values in order, with their records. Until the world moves on.
        self.orders: dict[tuple[str, str, str], tuple[list[Any], list[Record]]] = {}

    def records(self, organization: Organization, kind: ObjectType) -> Mapping[int, Record]:
        found: Mapping[int, Record] = getattr(organization, kind.name)
        return found

    def properties(self, organization: Organization, record: Record) -> Properties:
        # What a record looks like holds until it is dated anew. Kept with the record, and gone with it: a table of our
        # own was most of a search of 30,000.
        known: tuple[datetime, Properties] | None = vars(record).get("seen_by_hubspot")
        if known is None or known[0] != record.updated:
            known = vars(record)["seen_by_hubspot"] = (record.updated, _render(organization, record))
        return known[1]

    def item(self, organization: Organization, record: Record, wanted: list[str] | None) -> dict[str, Any]:
        """What the tools return: the asked-for properties that exist, and nothing else."""
        properties = self.properties(organization, record)
        kind = kind_of(record)
        names = (*kind.defaults, "createdate", kind.modified, "hs_object_id") if wanted is None else wanted
        return {
            "id": str(record.id),
            "properties": {name: properties[name] for name in names if name in properties},
            "createdAt": iso(record.created),
            "updatedAt": iso(record.updated),
            "archived": False,
        }


def kind_of(record: Record) -> ObjectType:
    match record:
        case Company():
            return OBJECT_TYPES["companies"]
        case Contact():
            return OBJECT_TYPES["contacts"]
        case _:
            return OBJECT_TYPES["deals"]


def _render(organization: Organization, record: Record) -> Properties:
    owners = {user.email: str(owner_id(organization, user)) for user in organization.users}
    common: Properties = {
        "hs_object_id": str(record.id),
        "createdate": iso(record.created),
        kind_of(record).modified: iso(record.updated),
        "hubspot_owner_id": owners.get(record.owner or ""),
        "hs_merged_object_ids": _joined(record.merged_ids),
    }
    match record:
        case Company():
            return {**_company(record), **common}
        case Contact():
            return {**_contact(record), **common}
        case Deal():
            return {**_deal(record), **common}
        case _:
            raise TypeError(f"HubSpot shows no {type(record).__name__}")


def _company(company: Company) -> Properties:
    return {
        "name": company.name,
        "domain": company.domain,
        "hs_additional_domains": _joined(company.extra_domains),
        "industry": company.industry,
        "city": company.city,
        "country": company.country,
        "numberofemployees": str(company.employees),
        "annualrevenue": _text(company.revenue),
        "phone": company.phone,
        "website": company.domain and f"https://www.{company.domain}",
        "description": company.description,
        "lifecyclestage": company.lifecycle,
    }


def _contact(contact: Contact) -> Properties:
    return {
        "firstname": contact.first_name,
        "lastname": contact.last_name,
        "email": contact.email,
        "hs_additional_emails": _joined(contact.extra_emails),
        "jobtitle": contact.title,
        "phone": contact.phone,
        "company": contact.employer,
        "associatedcompanyid": _text(contact.company_id),
        "notes": contact.notes,
        "lifecyclestage": contact.lifecycle,
    }


def _deal(deal: Deal) -> Properties:
    return {
        "dealname": deal.name,
        "amount": None if deal.amount is None else f"{deal.amount}.00",
        "deal_currency_code": deal.currency,
        "dealstage": deal.stage,
        "pipeline": "default",
        "closedate": _midnight(deal.closes) if isinstance(deal.closes, date) else deal.closes,
        "description": deal.description,
        "hs_primary_associated_company": _text(deal.company_id),
    }


def _midnight(day: date) -> str:
    return datetime.combine(day, time(), tzinfo=UTC).isoformat().replace("+00:00", "Z")


def _joined(values: list[Any]) -> str | None:
    return ";".join(map(str, values)) or None


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
