"""What a QuickBooks record says, and whose it is."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boots_pipeline.providers.base import Fact
from boots_pipeline.providers.quickbooks import QUICKBOOKS
from boots_pipeline.providers.quickbooks_records import MAKERS, moment

META = {"CreateTime": "2014-09-11T16:48:43-07:00", "LastUpdatedTime": "2015-07-01T10:14:15-07:00"}
WHEN = datetime(2015, 7, 1, 17, 14, 15, tzinfo=UTC)


# The payloads are those of Intuit's documentation, shortened.


def test_a_customer_is_a_client() -> None:
    document = QUICKBOOKS.document(
        "customers",
        {
            "domain": "QBO", "FamilyName": "Lauterbach", "DisplayName": "Amy's Bird Sanctuary", "Job": False,
            "PrimaryEmailAddr": {"Address": "Birds@Intuit.com"}, "FullyQualifiedName": "Amy's Bird Sanctuary",
            "BalanceWithJobs": 274.0, "PrimaryPhone": {"FreeFormNumber": "(650) 555-3311"}, "Active": True,
            "MetaData": META, "BillAddr": {"City": "Bayshore", "Lat": "INVALID", "Long": "INVALID", "Id": "2"},
            "Balance": 274.0, "SyncToken": "5", "CompanyName": "Amy's Bird Sanctuary", "sparse": False, "Id": "1",
        },
    )  # fmt: skip
    assert (document.title, document.names_client, document.source_updated_at) == ("Amy's Bird Sanctuary", True, WHEN)
    assert document.client_keys == ("quickbooks.customer:1", "domain:intuit.com", "email:birds@intuit.com")
    assert {fact.name: fact.value for fact in document.facts} == {
        "email": "birds@intuit.com", "phone": "(650) 555-3311", "city": "Bayshore", "open_balance": "274.00",
    }  # fmt: skip


def test_a_project_is_part_of_the_customer_above_it() -> None:
    payload = {
        "Id": "12", "DisplayName": "Bar", "FullyQualifiedName": "Bay Hotel:Bar", "Job": True,
        "ParentRef": {"value": "10"}, "PrimaryEmailAddr": {"Address": "somebody@else.example"},
    }  # fmt: skip
    document = QUICKBOOKS.document("customers", payload)
    assert (document.title, document.client_keys) == (
        "Bay Hotel / Bar", ("quickbooks.customer:10", "quickbooks.customer:12")
    )  # fmt: skip


def test_a_customer_that_was_put_away_keeps_its_name_and_says_so() -> None:
    document = QUICKBOOKS.document("customers", {"Id": "3", "DisplayName": "Old Mill (deleted)", "Active": False})
    assert document.title == "Old Mill"
    assert document.facts == (Fact("accounting_status", "inactive in QuickBooks"),)


def test_an_invoice_is_about_its_customer_and_its_total_is_the_total() -> None:
    payload = {
        "TxnDate": "2015-07-24", "TotalAmt": 150.1, "DueDate": "2015-08-23", "DocNumber": "1070", "Balance": 150.1,
        "Line": [
            {
                "Amount": 150.1, "DetailType": "SalesItemLineDetail",
                "SalesItemLineDetail": {"ItemRef": {"name": "Services"}},
            },
            {"DetailType": "SubTotalLineDetail", "Amount": 150.1, "SubTotalLineDetail": {}},
        ],
        "CustomerRef": {"name": "Amy's Bird Sanctuary", "value": "1"}, "MetaData": META, "Id": "239",
        "CurrencyRef": {"value": "GBP"},
    }  # fmt: skip
    document = QUICKBOOKS.document("invoices", payload)
    assert (document.title, document.client_keys) == (
        "Invoice 1070 for Amy's Bird Sanctuary", ("quickbooks.customer:1",)
    )  # fmt: skip
    fact = "1070, GBP 150.10, of 2015-07-24, due 2015-08-23, GBP 150.10 open"
    assert document.facts == (Fact("invoice", fact, WHEN),)
    assert document.content == f"{document.title}\n\ninvoice: {fact}\n\n- Services: GBP 150.10"
    paid = QUICKBOOKS.document("invoices", {**payload, "Balance": 0})
    assert paid.facts[0].value.endswith(", paid")
    void = QUICKBOOKS.document("invoices", {**payload, "Balance": 0, "TotalAmt": 0, "PrivateNote": "Voided"})
    assert void.facts[0].value == "1070, GBP 0.00, of 2015-07-24, voided, due 2015-08-23"


def test_an_estimate_without_a_currency_names_none() -> None:
    document = QUICKBOOKS.document(
        "estimates",
        {
            "DocNumber": "1001", "TxnStatus": "Pending", "TxnDate": "2015-03-26", "TotalAmt": 31.5, "Id": "177",
            "CustomerRef": {"value": "3"}, "CustomerMemo": {"value": "Thank you for your business."},
            "Line": [
                {"Description": "Pest Control", "DetailType": "SalesItemLineDetail", "Amount": 35.0},
                {"DetailType": "DiscountLineDetail", "Amount": 3.5, "DiscountLineDetail": {"PercentBased": True}},
            ],
        },
    )  # fmt: skip
    assert document.title == "Estimate 1001"
    assert document.content == (
        "Estimate 1001\n\nestimate: 1001, 31.50, of 2015-03-26, pending\n\n"
        "- Pest Control: 35.00\n- discount: 3.50\n\nThank you for your business."
    )


@pytest.mark.parametrize(
    ("amount", "written"),
    [(0.1 + 0.2, "0.30"), (1234567.895, "1,234,567.90"), (10, "10.00"), ("7.5", "7.50"), (-3.2, "-3.20"), (True, ""),
     (float("nan"), ""), ("1e999999", ""), (None, ""), ([], "")],
)  # fmt: skip
def test_amounts_are_decimals(amount: Any, written: str) -> None:
    fact = QUICKBOOKS.document("payments", {"Id": "1", "DocNumber": "P", "TotalAmt": amount}).facts[0].value
    assert fact == ", ".join(part for part in ("P", written) if part)


def test_offsets_are_compared_as_moments() -> None:
    assert moment("2026-11-01T01:30:00-07:00") < moment("2026-11-01T01:00:00-08:00")
    assert moment("no date") is moment(None) is None


FIELDS = ("DisplayName", "ParentRef", "PrimaryEmailAddr", "WebAddr", "MetaData", "TotalAmt", "Balance", "CurrencyRef",
          "CustomerRef", "Line", "TxnDate", "DocNumber", "Active", "PrivateNote", "BillAddr")  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
NESTED = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("value", "name", "Address", "URI", "Amount", "DetailType")), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@settings(max_examples=50)
@given(st.sampled_from(sorted(MAKERS)), st.dictionaries(st.sampled_from(FIELDS), NESTED))
def test_no_record_can_break_it(stream: str, payload: dict[str, Any]) -> None:
    document = QUICKBOOKS.document(stream, {**payload, "Id": "1"})
    assert document.title
    assert "Id" in QUICKBOOKS.stable(stream, {**payload, "Id": "1"})
