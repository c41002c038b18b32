"""How the commands show connections and what a search found: readable at 80 columns, and no harder when there are more.

What is shown was written by anybody: it is escaped, never read as markup, nor as an order to the terminal.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from boots_pipeline.agents.untrusted import visible
from boots_pipeline.counting import counted
from boots_pipeline.knowledge.search import ClientHit, DocumentHit, Found
from boots_pipeline.providers import PROVIDERS

_SHORT = 3  # letters of a word that stands in every text
_EXCERPT = 120  # characters of a hit: two lines of 80 columns
_STATES = {"revoked": "disconnected", "needs_reauth": "connect it again"}  # what the pages call them


def connections(rows: Iterable[Mapping[str, Any]]) -> Group:
    """A block an organisation, a line a connection. `rows` come in the order of their organisations."""
    return Group(*(_of_one(slug, list(held)) for slug, held in groupby(rows, key=lambda row: row["slug"])))


def _of_one(slug: str, rows: list[Mapping[str, Any]]) -> Table:
    table = Table(
        title=f"[bold]{escape(slug)}[/], {counted(rows[0]['clients'], 'clients')}", title_style="",
        title_justify="left", box=None, header_style="dim", pad_edge=False,
    )  # fmt: skip
    for heading, width in (("provider", 12), ("documents", 9), ("last synced", 16), ("last sync", 9)):
        table.add_column(heading, min_width=width, no_wrap=True, justify="right" if heading == "documents" else "left")
    table.add_column("state", overflow="fold")
    for row in rows:
        synced = f"{row['last_synced_at'].astimezone():%Y-%m-%d %H:%M}" if row["last_synced_at"] else "never"
        state = escape(row["message"] or _STATES.get(row["status"], row["status"]))
        table.add_row(row["provider"], f"{row['documents']:,}", synced, row["job"] or "", state)
    table.add_row()
    return table


def hits(text: str, clients: Found[ClientHit], documents: Found[DocumentHit]) -> Table:
    """Clients, then documents: each list by the number before it, which means another thing in each."""
    asked = {word for word in text.casefold().split() if len(word) > _SHORT}
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(justify="right", style="yellow", no_wrap=True)
    grid.add_column(ratio=1)
    for heading, found in (("Clients, by how close their profile is", clients), ("Documents, best first", documents)):
        if found.hits:
            grid.add_row("", f"[dim]{heading}[/]")
        for hit in found.hits:
            number, title, told = _client(hit) if isinstance(hit, ClientHit) else _document(hit, asked)
            grid.add_row(number, f"[bold]{escape(visible(title))}[/]\n{escape(visible(told))}")
        if found.completeness:
            grid.add_row("", f"[dim]{escape(found.completeness)}[/]")
        grid.add_row()
    return grid


def _client(hit: ClientHit) -> tuple[str, str, str]:
    number = "named" if hit.named else f"{hit.similarity:.2f}"
    return number, hit.client_name, _excerpt(hit.summary.splitlines(), hit.client_name)


def _document(hit: DocumentHit, asked: set[str]) -> tuple[str, str, str]:
    origin = PROVIDERS[hit.provider].title if hit.provider in PROVIDERS else hit.provider
    as_of = f", {hit.as_of:%Y-%m-%d}" if hit.as_of else ""
    lines = hit.content.splitlines()
    # From the first line that holds one of the words: a mail begins with whom it is from and to.
    first = next((at for at, line in enumerate(lines) if any(word in line.casefold() for word in asked)), 0)
    return f"{hit.relevance:.2f}", hit.title, f"{origin}{as_of}: {_excerpt(lines[first:], hit.title)}"


def _excerpt(lines: list[str], title: str) -> str:
    """Their beginning, in whole words, without the title that records and summaries repeat."""
    if len(lines) > 1 and lines[0].startswith(title):
        lines = lines[1:]
    told = " · ".join(" ".join(line.split()) for line in lines if line.strip()).replace(f"{title}, ", "", 1)
    return told if len(told) <= _EXCERPT else f"{told[:_EXCERPT].rpartition(' ')[0]} …"
