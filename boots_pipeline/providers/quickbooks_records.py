"""QuickBooks' records made readable: customers are the clients; a project is part of the customer above it; invoices,
estimates and payments point at a customer.

What there is nothing of is absent. Amounts are numbers of JSON, read as decimals; `TotalAmt` is the total, since the
lines hold subtotals, and discounts as positive amounts. Ids are unique within a company and a kind only.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from boots_pipeline.providers.base import Document, Fact

_DELETED = " (deleted)"  # what QuickBooks adds to the name of a customer that was put away
_URL = re.compile(r"^(?:https?://)?(?:www\.)?([^/:\s]+\.[^/:\s]+)", re.IGNORECASE)
_DAY = re.compile(r"^\d{4}-\d\d-\d\d$")


class _Record:
    """A record whose parts may be missing, or be of any type."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self._payload = payload
        self.id = str(payload.get("Id"))
        self.modified = moment(self.text("MetaData", "LastUpdatedTime"))
        self.currency = self.text("CurrencyRef", "value")

    def __getitem__(self, name: str) -> Any:
        return self._payload.get(name)

    def text(self, *path: str) -> str:
        """A text, at the end of a path of names; empty when there is none."""
        value: Any = self._payload
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return " ".join(value.split()) if isinstance(value, str) else ""

    def day(self, name: str) -> str:
        """A date, as it is written."""
        told = self.text(name)
        return told if _DAY.match(told) else ""

    def money(self, name: str) -> str:
        """An amount with its currency; empty when there is none."""
        return _money(self[name], self.currency)


def _customer(payload: Mapping[str, Any]) -> Document:
    record = _Record(payload)
    parent = record.text("ParentRef", "value")
    called = record.text("DisplayName") or record.text("CompanyName") or f"Customer {record.id}"
    name = (
        (record.text("FullyQualifiedName") or called).replace(":", " / ") if parent else called.removesuffix(_DELETED)
    )
    emails = [each.lower() for each in re.split(r"[,;\s]+", record.text("PrimaryEmailAddr", "Address")) if "@" in each]
    website = record.text("WebAddr", "URI")
    stated = {
        "company": record.text("CompanyName") if record.text("CompanyName") != name else "",
        "email": ", ".join(emails),
        "phone": record.text("PrimaryPhone", "FreeFormNumber"),
        "website": website,
        "city": record.text("BillAddr", "City"),
        "country": record.text("BillAddr", "Country"),
        "open_balance": record.money("Balance") if _amount(record["Balance"]) else "",
        "accounting_status": "inactive in QuickBooks" if record["Active"] is False else "",
        "about": record.text("Notes"),
    }
    facts = tuple(Fact(fact, value, record.modified) for fact, value in stated.items() if value)
    # A project has the addresses of whoever it is done for, who need not be its client.
    domain = _URL.match(website)
    hints = (
        *(f"domain:{email.rpartition('@')[2]}" for email in emails),
        *((f"domain:{domain[1].lower()}",) if domain else ()),
        *(f"email:{email}" for email in emails),
    )
    own = f"quickbooks.customer:{record.id}"
    return Document(
        title=name,
        content=_lines(f"{name}, a project of a customer" if parent else f"{name}, a customer", facts),
        source_updated_at=record.modified,
        client_keys=(f"quickbooks.customer:{parent}", own) if parent else (own, *dict.fromkeys(hints)),
        names_client=True,
        facts=facts,
    )


def _transaction(kind: str, payload: Mapping[str, Any], *details: str) -> Document:
    """A document about a customer; `details` are what only this kind has."""
    record = _Record(payload)
    customer, client = record.text("CustomerRef", "name"), record.text("CustomerRef", "value")
    number = record.text("DocNumber") or record.text("PaymentRefNum") or f"without a number ({record.id})"
    dated = record.day("TxnDate")
    notes = [record.text("CustomerMemo", "value"), record.text("PrivateNote")]
    voided = record.text("PrivateNote").lower().startswith("voided") and not _amount(record["TotalAmt"])
    parts = [number, record.money("TotalAmt"), f"of {dated}" if dated else "", "voided" if voided else "", *details]
    fact = Fact(kind, ", ".join(part for part in parts if part), record.modified)
    title = f"{kind.capitalize()} {number}" + (f" for {customer.removesuffix(_DELETED)}" if customer else "")
    sold = record["Line"] if isinstance(record["Line"], list) else []
    lines = [line for each in sold if isinstance(each, dict) and (line := _line(each, record.currency))]
    return Document(
        title=title,
        content="\n\n".join(part for part in (_lines(title, (fact,)), "\n".join(lines), *notes) if part),
        source_updated_at=record.modified,
        client_keys=(f"quickbooks.customer:{client}",) if client else (),
        facts=(fact,),
    )


def _invoice(payload: Mapping[str, Any]) -> Document:
    record = _Record(payload)
    due, owed = record.day("DueDate"), _amount(record["Balance"])
    paid = owed == 0 and bool(_amount(record["TotalAmt"]))
    return _transaction(
        "invoice", payload, f"due {due}" if due else "",
        f"{record.money('Balance')} open" if owed else "paid" if paid else "",
    )  # fmt: skip


def _estimate(payload: Mapping[str, Any]) -> Document:
    return _transaction("estimate", payload, _Record(payload).text("TxnStatus").lower())


def _payment(payload: Mapping[str, Any]) -> Document:
    return _transaction("payment", payload)


MAKERS = {"customers": _customer, "invoices": _invoice, "estimates": _estimate, "payments": _payment}
"""What makes a document of a record, by stream."""


def moment(value: Any) -> datetime | None:
    """QuickBooks' moments, each with the offset that its company had then. None for what is none."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _line(line: Mapping[str, Any], currency: str) -> str:
    """What was sold, or taken off: subtotals say nothing new."""
    record = _Record(line)
    match record.text("DetailType"):
        case "SubTotalLineDetail":
            return ""
        case "DiscountLineDetail":
            return f"- discount: {_money(record['Amount'], currency)}"
    what = record.text("Description") or record.text("SalesItemLineDetail", "ItemRef", "name")
    return f"- {what}: {_money(record['Amount'], currency)}" if what else ""


def _amount(value: Any) -> Decimal | None:
    """A number of JSON to the cent that was written: through its digits, never as a binary fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    # 1e999999 is a number, too, and would be written out in a million digits.
    return number if number.is_finite() and abs(number) < 10**15 else None


def _money(value: Any, currency: str) -> str:
    number = _amount(value)
    return "" if number is None else " ".join(part for part in (currency, f"{number:,.2f}") if part)


def _lines(heading: str, facts: tuple[Fact, ...]) -> str:
    stated = "\n".join(f"{fact.name.replace('_', ' ')}: {fact.value}" for fact in facts)
    return "\n\n".join(part for part in (heading, stated) if part)
