"""Intuit's open-source MCP server (`quickbooks-online-mcp-server` at 508c151) over the same books.

The real one runs on stdio for one company. Its traps are kept: every argument is inside `params`, a record is a block
of text, errors are texts like any other, inactive customers are found only when they are asked for, and payments know
no date of change.
"""

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

from mcp.types import Tool

from sandbox import quickbooks_query
from sandbox.books import Books
from sandbox.faults import RAW
from sandbox.provider import ProseErrors, Refusal, Texts
from sandbox.world import Organization

SEARCHES = {
    "search_customers": ("Customer", "customers:"),
    "search_invoices": ("Invoice", "invoices"),
    "search_estimates": ("Estimate", "estimates:"),
    "search_payments": ("Payment", "payments:"),
}
READS = {
    "get_customer": ("Customer", "id"),
    "read_invoice": ("Invoice", "invoice_id"),
    "get_estimate": ("Estimate", "id"),
    "get_payment": ("Payment", "id"),
}


class IntuitServer(ProseErrors):
    """See `provider.McpServer` for what each method owes."""

    public_listing = False

    def __init__(self, books: Callable[[str], Books]) -> None:
        self.books = books
        listed = json.loads(resources.files("sandbox").joinpath("quickbooks_tools.json").read_text("utf-8"))
        self.tools = [Tool.model_validate(tool) for tool in listed]

    def error_text(self, tool: str, text: str) -> str:
        return f"Error {'searching' if tool in SEARCHES else 'getting'} {tool.partition('_')[2]}: Unknown error: {text}"

    def call(self, organization: Organization, tool: str, arguments: dict[str, Any]) -> Any:
        books, params = self.books(organization.slug), arguments["params"]
        if tool in SEARCHES:
            kind, called = SEARCHES[tool]
            found = quickbooks_query.answer(books, _query(kind, params)).get(kind, [])
            return Texts([f"Found {len(found)} {called}", *(json.dumps(record) for record in found)])
        if tool in READS:
            kind, name = READS[tool]
            entry = books.entries[kind].get(params[name])
            if entry is None:
                raise Refusal("Object Not Found")
            return Texts([f"{kind}:", json.dumps(entry.shown())])
        if tool == "get_company_info":
            info = {"Id": "1", "CompanyName": organization.name, "Country": "GB"}
            return Texts(["Company Info:", json.dumps(info)])
        raise Refusal("the sandbox lists this tool and does not serve it")

    def spoil(self, kind: str, arguments: dict[str, Any], answer: Any) -> Any:
        """Faults in the blocks of records."""
        heading, *blocks = answer.blocks
        if not blocks:
            return answer
        match kind:
            case "duplicate":
                blocks.append(blocks[0])
            case "reorder":
                blocks.reverse()
            case "malformed_item":
                blocks[len(blocks) // 2] = json.dumps({"Id": 7})
            case "raw":
                blocks[len(blocks) // 2] = json.dumps({**json.loads(blocks[len(blocks) // 2]), RAW: None})
            case "truncated":
                del blocks[len(blocks) // 2 :]
            case "empty":
                blocks, heading = [], heading.replace(str(len(blocks)), "0")
        return Texts([heading, *blocks])


def _query(kind: str, params: dict[str, Any]) -> str:
    """The query that the server makes of its arguments: for invoices they are one level deeper."""
    if kind == "Payment":
        criteria = [{"field": "CustomerRef", "value": params["customer_ref"]}] if "customer_ref" in params else []
        criteria += [
            {"field": "TxnDate", "value": params[name], "operator": operator}
            for name, operator in (("txn_date_from", ">="), ("txn_date_to", "<="))
            if name in params
        ]
        options = params
    elif kind == "Invoice":
        options = params.get("criteria", {})
        criteria = options.get("filters", [])
    else:
        options, criteria = params, params.get("criteria", [])
    terms = " and ".join(f"{each['field']} {each.get('operator', '=')} {_literal(each['value'])}" for each in criteria)
    order = f" orderby {options['asc']} asc" if "asc" in options else ""
    order += f" startposition {options['offset']}" if "offset" in options else ""
    order += f" maxresults {options['limit']}" if "limit" in options else ""
    return f"select * from {kind}{' where ' if terms else ''}{terms}{order}"  # noqa: S608 - no database's


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
