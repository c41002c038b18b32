"""What the sandbox's providers hold beside what is kept of it, record by record: what the demo ends with."""

from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from rich.box import SIMPLE_HEAD
from rich.table import Table

from boots_pipeline.providers import PROVIDERS
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.queue import SyncQueue


@dataclass(frozen=True)
class Held:
    """One stream of one organisation: the ids there, and the ids kept here."""

    organisation: str
    provider: str
    stream: str
    there: frozenset[str]
    here: frozenset[str]

    @property
    def is_same(self) -> bool:
        return self.there == self.here


def compare(sandbox: str, database: Database, slugs: Sequence[str]) -> list[Held]:
    """Every stream of these organisations. Raises httpx.HTTPError."""
    answer = httpx.get(f"{sandbox}/_control/truth", timeout=60).raise_for_status()
    truth = answer.json()["organizations"]
    found = []
    for slug in slugs:
        kept = _kept(database, slug)
        for provider in PROVIDERS.values():
            for stream in provider.streams:
                there = frozenset(truth[slug][provider.name].get(stream, ()))
                found.append(Held(slug, provider.name, stream, there, kept.get((provider.name, stream), frozenset())))
    return found


def _kept(database: Database, slug: str) -> dict[tuple[str, str], frozenset[str]]:
    """The ids of the living documents, by provider and stream."""
    org_id = SyncQueue(database).organisation_id(slug)
    with database.organisation(org_id) as transaction:
        rows = transaction.execute(
            """select provider, document_type, array_agg(external_id) as ids from source_documents
                where org_id = %s and deleted_at is null group by 1, 2""",
            [org_id],
        ).fetchall()
    return {(row["provider"], row["document_type"]): frozenset(row["ids"]) for row in rows}


def drawn(found: Sequence[Held]) -> Table:
    """A line a stream, a column an organisation."""
    organisations = list(dict.fromkeys(each.organisation for each in found))
    table = Table(box=SIMPLE_HEAD, header_style="dim")
    table.add_column("there / kept", no_wrap=True)
    for organisation in organisations:
        table.add_column(organisation, justify="right", no_wrap=True)
    cells = {(each.organisation, each.provider, each.stream): _cell(each) for each in found}
    for provider, stream in dict.fromkeys((each.provider, each.stream) for each in found):
        row = (cells[organisation, provider, stream] for organisation in organisations)
        table.add_row(f"{PROVIDERS[provider].title} · {stream}", *row)
    return table


def _cell(held: Held) -> str:
    return f"{len(held.there):,} / {len(held.here):,} {'[green]✓' if held.is_same else '[red]✗'}"
