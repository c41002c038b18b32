"""The books of an organisation: its customers with their estimates, invoices and payments, as QuickBooks holds them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

from sandbox import vocabulary as words
from sandbox.awkward import BIDI, INJECTION, ORG_ID, ZERO_WIDTH
from sandbox.fiction import IMPORTED, Author, telephone
from sandbox.world import FIRST_DAY, Company, Organization, end_of, moment

STREAMS = {"Customer": "customers", "Invoice": "invoices", "Estimate": "estimates", "Payment": "payments"}
HOME_CURRENCY = "GBP"
RATES = {"EUR": 0.86, "USD": 0.79, "GBP": 1.0}
CALLED = ("{name}", "{name} Ltd", "{name} Limited", "{upper}")
STATUSES = ("Pending", "Pending", "Accepted", "Closed", "Rejected")
CLAIMS = (  # in fields that a company has named itself
    ("org_id", ORG_ID),
    ("__proto__", '{"org_id": "polluted"}'),
    ("'; DROP TABLE invoices;--", "<script>alert(7)</script>"),
)
CHANGES = ("created", "changed", "bumped", "renamed", "made inactive", "made active", "merged", "deleted")


@dataclass(eq=False)
class Entry:
    """A customer or a transaction. `body` is what the API shows of it, but for what every entry has."""

    kind: str
    id: str
    body: dict[str, Any]
    created: datetime
    updated: datetime
    company_id: int | None = None
    edits: int = 0

    def shown(self) -> dict[str, Any]:
        """As the API shows it: what there is nothing of is absent, never null."""
        return {
            **self.body, "Id": self.id, "SyncToken": str(self.edits), "domain": "QBO", "sparse": False,
            "MetaData": {"CreateTime": local(self.created), "LastUpdatedTime": local(self.updated)},
        }  # fmt: skip

    def touch(self, when: datetime) -> None:
        self.updated, self.edits = when.replace(microsecond=0), self.edits + 1


@dataclass
class Books:
    """Everything that one company keeps in QuickBooks."""

    organization: Organization
    entries: dict[str, dict[str, Entry]] = field(default_factory=lambda: {kind: {} for kind in STREAMS})
    deleted: list[tuple[str, str, datetime]] = field(default_factory=list)  # transactions that are gone, and since when
    _numbers: dict[str, int] = field(default_factory=dict)

    @classmethod
    def written(cls, seed: int, organization: Organization) -> "Books":
        """The books on the first day: two in three clients have ordered something."""
        rng = Random(f"{seed}:{organization.slug}:quickbooks")  # noqa: S311 - a story, not a secret
        books, author = cls(organization), Author(rng, organization)
        for company in organization.companies.values():
            if rng.random() < 0.66:
                books._open_account(author, company, company.updated)
        books._plant_awkward(author)
        return books

    def all(self, kind: str) -> list[Entry]:
        """Every entry of a kind, oldest first."""
        return list(self.entries[kind].values())

    def day(self, start: datetime, rng: Random) -> dict[str, dict[str, list[Any]]]:
        """What is written, changed, saved without a change, renamed, merged, put away, paid and deleted on a day."""
        author, end = Author(rng, self.organization), start + timedelta(hours=24)
        report: dict[str, dict[str, list[Any]]] = {
            name: {change: [] for change in CHANGES} for name in STREAMS.values()
        }

        def now() -> datetime:
            return moment(rng, start, end)

        def tell(change: str, *entries: Entry) -> None:
            for entry in entries:
                report[STREAMS[entry.kind]][change].append(entry.id)

        clients = [each for each in self.all("Customer") if each.body["Active"] and "ParentRef" not in each.body]
        rng.shuffle(clients)
        for customer, change in zip(clients, ("changed", "bumped", "renamed", "made inactive"), strict=False):
            match change:
                case "changed":
                    customer.body["PrimaryPhone"] = {"FreeFormNumber": telephone(rng)}
                case "renamed":
                    customer.body["DisplayName"] += f" ({rng.choice(('Holdings', 'Group', 'North'))})"
                case "made inactive":
                    customer.body["Active"] = False
            customer.touch(now())
            tell(change, customer)
        for customer in [each for each in self.all("Customer") if _sleeps(each) and each.updated <= start][:1]:
            customer.body["Active"] = True
            customer.touch(now())
            tell("made active", customer)
        if len(clients) > 5:
            winner, loser = clients[4:6]
            tell("changed", *self._merge(winner, loser, now()))
            report["customers"]["merged"].append({"winner": winner.id, "loser": loser.id})
        for kind in ("Invoice", "Estimate"):
            pool = [each for each in self.all(kind) if each.updated <= start and each.company_id]
            rng.shuffle(pool)
            changed, bumped, gone = pool[:2], pool[2:4], pool[4:5]
            for entry in changed:
                entry.body["Line"] = self._lines(author, None)
                self._total(entry.body)
            for entry in (*changed, *bumped):
                entry.touch(now())
            for entry in gone:
                self._delete(entry, now())
            tell("changed", *changed)
            tell("bumped", *bumped)
            tell("deleted", *gone)
        open_invoices = [each for each in self.all("Invoice") if each.body["Balance"] and each.updated <= start]
        for invoice in open_invoices[:1]:
            tell("created", self._pay(invoice, now()))
            tell("changed", invoice)
        for payment in [each for each in self.all("Payment") if each.updated <= start][:1]:
            self._delete(payment, now())
            tell("deleted", payment)
        known = {customer.company_id for customer in self.all("Customer")}
        new = [company for company in self.organization.companies.values() if company.id not in known]
        for company in new[:1]:
            tell("created", *self._open_account(author, company, now()))
        for customer in clients[6:8]:
            tell("created", self._invoice(author, customer, now()), self._estimate(author, customer, now()))
        return report

    def _open_account(self, author: Author, company: Company, when: datetime) -> list[Entry]:
        """A new customer with what it was offered, what it ordered and what it paid."""
        customer = self._customer(author, company, when)
        written = [customer]
        for _ in range(author.rng.randint(0, 2)):
            written.append(self._estimate(author, customer, when))
        for _ in range(author.rng.randint(0, 3)):
            invoice = self._invoice(author, customer, when)
            written.append(invoice)
            if author.rng.random() < 0.4:
                written.append(self._pay(invoice, when))
        return written

    def _customer(self, author: Author, company: Company, when: datetime) -> Entry:
        rng = author.rng
        name = rng.choice(CALLED).format(name=company.name, upper=company.name.upper())
        taken = {entry.body["DisplayName"] for entry in self.all("Customer")}
        if name in taken:  # names are unique in QuickBooks
            name = f"{name} {self._next('Customer', peek=True)}"
        body: dict[str, Any] = {
            "DisplayName": name, "FullyQualifiedName": name, "PrintOnCheckName": name, "Active": True, "Taxable": True,
            "Job": False, "BillWithParent": False, "PreferredDeliveryMethod": "Print", "Balance": 0,
            "BalanceWithJobs": 0, "CurrencyRef": _currency(company.currency),
        }  # fmt: skip
        if rng.random() < 0.8:
            body["CompanyName"] = company.name
        if company.domain:
            body["PrimaryEmailAddr"] = {"Address": f"accounts@{company.domain}"}
            body["WebAddr"] = {"URI": f"https://www.{company.domain}"}
        if company.phone:
            body["PrimaryPhone"] = {"FreeFormNumber": company.phone}
        if company.city:
            body["BillAddr"] = {
                "Id": self._next("Address"), "Line1": f"{rng.randint(1, 90)} Mill Lane", "City": company.city,
                "Country": company.country, "Lat": "INVALID", "Long": "INVALID",
            }  # fmt: skip
        if rng.random() < 0.3:
            body["Notes"] = author.fill(rng.choice(words.NOTES), company)
        return self._add("Customer", body, when, company.id)

    def _invoice(self, author: Author, customer: Entry, when: datetime) -> Entry:
        body = {
            **self._transaction(author, customer, when), "PrintStatus": "NeedToPrint", "EmailStatus": "NotSet",
            "LinkedTxn": [], "DueDate": f"{when + timedelta(days=30):%Y-%m-%d}",
        }  # fmt: skip
        entry = self._add("Invoice", body, when, customer.company_id)
        self._total(body)
        _owe(customer, body["Balance"])
        return entry

    def _estimate(self, author: Author, customer: Entry, when: datetime) -> Entry:
        body = {
            **self._transaction(author, customer, when), "TxnStatus": author.rng.choice(STATUSES),
            "CustomerMemo": {"value": author.fill(author.rng.choice(words.BRIEFS), self._company(customer))},
        }  # fmt: skip
        self._total(body)
        return self._add("Estimate", body, when, customer.company_id)

    def _transaction(self, author: Author, customer: Entry, when: datetime) -> dict[str, Any]:
        currency = customer.body["CurrencyRef"]["value"]
        body: dict[str, Any] = {
            "TxnDate": f"{when:%Y-%m-%d}", "DocNumber": str(1000 + int(self._next("Document"))),
            "CustomerRef": {"value": customer.id, "name": customer.body["DisplayName"]},
            "CurrencyRef": customer.body["CurrencyRef"], "Line": self._lines(author, self._company(customer)),
        }  # fmt: skip
        return body | ({"ExchangeRate": RATES.get(currency, 0.5)} if currency != HOME_CURRENCY else {})

    def _lines(self, author: Author, company: Company | None) -> list[dict[str, Any]]:
        """What is sold, its sum (which is no line of its own), and a discount, which is written as a positive sum."""
        rng = author.rng
        lines: list[dict[str, Any]] = []
        for number in range(1, rng.randint(2, 4)):
            quantity, price = rng.randint(1, 12), round(rng.randint(2_000, 90_000) / 100, 2)
            detail: dict[str, Any] = {"TaxCodeRef": {"value": "TAX"}, "ItemRef": {"name": "Works", "value": "1"}}
            detail |= {"Qty": quantity, "UnitPrice": price} if rng.random() < 0.7 else {}
            work = author.work(company)
            lines.append(
                {
                    "Id": str(number), "LineNum": number, "Description": work[0].upper() + work[1:],
                    "Amount": round(quantity * price, 2), "DetailType": "SalesItemLineDetail",
                    "SalesItemLineDetail": detail,
                }
            )  # fmt: skip
        total = round(sum(line["Amount"] for line in lines), 2)
        lines.append({"Amount": total, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}})
        if rng.random() < 0.2:
            lines.append(
                {
                    "Amount": round(total / 10, 2), "DetailType": "DiscountLineDetail",
                    "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10},
                }
            )  # fmt: skip
        return lines

    def _total(self, body: dict[str, Any]) -> None:
        sold = sum(line["Amount"] for line in body["Line"] if line["DetailType"] == "SalesItemLineDetail")
        off = sum(line["Amount"] for line in body["Line"] if line["DetailType"] == "DiscountLineDetail")
        tax = round((sold - off) * 0.2, 2)
        body["TxnTaxDetail"] = {"TotalTax": tax}
        body["TotalAmt"] = round(sold - off + tax, 2)
        if "ExchangeRate" in body:
            body["HomeTotalAmt"] = round(body["TotalAmt"] * body["ExchangeRate"], 2)
        if "DueDate" in body:
            body["Balance"] = body["TotalAmt"]

    def _pay(self, invoice: Entry, when: datetime) -> Entry:
        body = {
            "TxnDate": f"{when:%Y-%m-%d}", "CustomerRef": invoice.body["CustomerRef"], "UnappliedAmt": 0,
            "CurrencyRef": invoice.body["CurrencyRef"], "TotalAmt": invoice.body["Balance"],
            "Line": [
                {"Amount": invoice.body["Balance"], "LinkedTxn": [{"TxnId": invoice.id, "TxnType": "Invoice"}]}
            ],
        }  # fmt: skip
        payment = self._add("Payment", body, when, invoice.company_id)
        _owe(self.entries["Customer"][invoice.body["CustomerRef"]["value"]], -invoice.body["Balance"])
        invoice.body["Balance"] = 0
        invoice.body["LinkedTxn"] = [{"TxnId": payment.id, "TxnType": "Payment"}]
        invoice.touch(when)
        return payment

    def _merge(self, winner: Entry, loser: Entry, when: datetime) -> Iterable[Entry]:
        """The loser is put away under a name that says so; what was its own is the winner's."""
        loser.body["Active"] = False
        loser.body["DisplayName"] += " (deleted)"
        moved = [
            entry
            for kind in ("Invoice", "Estimate", "Payment")
            for entry in self.all(kind)
            if entry.body.get("CustomerRef", {}).get("value") == loser.id
        ]
        for entry in moved:
            entry.body["CustomerRef"] = {"value": winner.id, "name": winner.body["DisplayName"]}
        for entry in (winner, loser, *moved):
            entry.touch(when)
        self._settle(winner)
        self._settle(loser)
        return moved

    def _delete(self, entry: Entry, when: datetime) -> None:
        del self.entries[entry.kind][entry.id]
        self.deleted.append((entry.kind, entry.id, when.replace(microsecond=0)))

    def _settle(self, customer: Entry) -> None:
        """What is owed, added up anew. It moves with the invoices and does not date the customer anew."""
        owed = sum(
            invoice.body["Balance"]
            for invoice in self.all("Invoice")
            if invoice.body.get("CustomerRef", {}).get("value") == customer.id
        )
        customer.body["Balance"] = customer.body["BalanceWithJobs"] = round(owed, 2)

    def _company(self, customer: Entry) -> Company | None:
        return self.organization.companies.get(customer.company_id or 0)

    def _add(self, kind: str, body: dict[str, Any], when: datetime, company_id: int | None) -> Entry:
        """Ids are unique within a kind only."""
        when = when.replace(microsecond=0)
        entry = Entry(kind, self._next(kind), body, when, when, company_id)
        self.entries[kind][entry.id] = entry
        return entry

    def _next(self, what: str, *, peek: bool = False) -> str:
        number = self._numbers.get(what, 0) + 1
        if not peek:
            self._numbers[what] = number
        return str(number)

    def _plant_awkward(self, author: Author) -> None:
        """Valid entries that have broken somebody's import once."""
        rng = author.rng
        first, second, apostrophe, hostile, *_ = self.all("Customer")
        when = end_of(FIRST_DAY) - timedelta(days=2)  # of each kind something is new enough for the feed of changes
        job = self._part(first, "Ground floor", 1, when)
        self._invoice(author, self._part(job, "Counter", 2, when), when)
        self._invoice(author, job, when)
        apostrophe.body["DisplayName"] = "Gorsegate's \\ Boathouse"
        apostrophe.body["PrimaryEmailAddr"] = {"Address": "one@gorsegate.example, two@gorsegate.example"}
        hostile.body["Notes"] = f"{INJECTION} Pass{ZERO_WIDTH}word hint {BIDI}."
        currency = _currency(HOME_CURRENCY)
        bare = {"Active": True, "CurrencyRef": currency, "Balance": 0, "BalanceWithJobs": 0}
        for number in range(25):  # brought in from a spreadsheet, all in one second
            name = f"Walk-in customer {number + 1}"
            self._add("Customer", {**bare, "DisplayName": name, "FullyQualifiedName": name}, IMPORTED, None)
        gone = self._add("Customer", {**bare, "DisplayName": "Old Mill (deleted)", "Active": False}, when, None)
        self._invoice(author, gone, when)
        self._add("Customer", {**bare, "DisplayName": "Closed for the winter", "Active": False}, when, None)
        voided = self._invoice(author, second, when)
        for line in voided.body["Line"]:
            line["Amount"] = 0
        self._total(voided.body)
        voided.body["PrivateNote"] = "Voided"
        unnumbered = self._invoice(author, second, when)
        for name in ("DocNumber", "DueDate", "CurrencyRef"):
            del unnumbered.body[name]
        del unnumbered.body["CustomerRef"]["name"]
        foreign = self._customer(author, rng.choice(list(self.organization.companies.values())), when)
        foreign.body["CurrencyRef"] = _currency("USD")
        self._pay(self._invoice(author, foreign, when), when)
        claimed = self._invoice(author, second, when)
        claimed.body["CustomField"] = [
            {"DefinitionId": str(number), "Name": name, "Type": "StringType", "StringValue": value}
            for number, (name, value) in enumerate(CLAIMS, 1)
        ]
        zeroed = self._estimate(author, second, when)
        zeroed.body["PrivateNote"] = "From an old system:\x00 the rest was lost."
        self._settle(second)

    def _part(self, parent: Entry, name: str, level: int, when: datetime) -> Entry:
        """A project of a customer: a customer of its own to QuickBooks."""
        body = {
            "DisplayName": name, "FullyQualifiedName": f"{parent.body['FullyQualifiedName']}:{name}", "Active": True,
            "Job": True, "Level": level, "ParentRef": {"value": parent.id}, "BillWithParent": True, "Balance": 0,
            "BalanceWithJobs": 0, "CurrencyRef": parent.body["CurrencyRef"],
        }  # fmt: skip
        return self._add("Customer", body, when, parent.company_id)


def local(when: datetime) -> str:
    """QuickBooks writes moments in the company's time zone, whose offset changes twice a year."""
    summer = 3 < when.month < 11
    return when.astimezone(timezone(timedelta(hours=-7 if summer else -8))).isoformat(timespec="seconds")


def _currency(code: str) -> dict[str, str]:
    return {"value": code, "name": code}


def _sleeps(customer: Entry) -> bool:
    """Inactive, and not put away for good."""
    return not customer.body["Active"] and not customer.body["DisplayName"].endswith(" (deleted)")


def _owe(customer: Entry, more: float) -> None:
    customer.body["Balance"] = customer.body["BalanceWithJobs"] = round(customer.body["Balance"] + more, 2)
