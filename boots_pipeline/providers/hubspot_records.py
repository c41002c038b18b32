"""HubSpot's records made readable: companies are the clients; contacts and deals point at them by a property.

Every property is a string or null: numbers, dates and lists too.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from boots_pipeline.providers.base import Document, Fact

MODIFIED = {"companies": "hs_lastmodifieddate", "contacts": "lastmodifieddate", "deals": "hs_lastmodifieddate"}
"""The property that dates a record, by stream."""


class Record:
    """A record's properties with blanks and nulls taken alike."""

    def __init__(self, identity: str, url: Any, properties: Mapping[str, Any], modified: str) -> None:
        self.id = identity
        self.url = url if isinstance(url, str) else None
        self._properties = properties
        self.modified = moment(properties.get(modified))

    def __getitem__(self, name: str) -> str:
        value = self._properties.get(name)
        return value.strip() if isinstance(value, str) else ""

    def several(self, name: str) -> list[str]:
        """The parts of a value that HubSpot joins with semicolons."""
        return [part.strip() for part in self[name].split(";") if part.strip()]

    def facts(self, names: Mapping[str, str]) -> list[Fact]:
        """A fact per property that has a value."""
        return [Fact(fact, self[name], self.modified) for name, fact in names.items() if self[name]]


def _company(record: Record) -> Document:
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


def _contact(record: Record) -> Document:
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


def _deal(record: Record) -> Document:
    name = record["dealname"] or f"Deal {record.id}"
    amount = " ".join(part for part in (record["deal_currency_code"], _amount(record["amount"])) if part)
    stage = _DEFAULT_STAGES.get(record["dealstage"], record["dealstage"])
    closes, told = moment(record["closedate"]), record["closedate"][:40]
    parts = [name, amount, f"stage {stage}" if stage else ""]
    parts.append(f"closes {closes:%Y-%m-%d}" if closes else f"closes {told} (no date)" if told else "")
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


MAKERS = {"companies": _company, "contacts": _contact, "deals": _deal}
"""What makes a document of a record, by stream."""


def _lines(heading: str, facts: list[Fact], prose: str) -> str:
    stated = "\n".join(f"{fact.name.replace('_', ' ')}: {fact.value}" for fact in facts if fact.value != prose)
    return "\n\n".join(part for part in (heading, stated, prose) if part)


def moment(value: Any) -> datetime | None:
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
