"""What the demo says is so: a sync that failed ends it and says why, and so does a record that is there and not kept,
or kept and not there; it is named."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from boots_pipeline.local import demo as told_by
from boots_pipeline.local.demo import Demo, Visit
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.local.runs import Run
from boots_pipeline.local.supervisor import Local
from boots_pipeline.local.visitor import VisitError, Visitor
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.settings import Settings
from oauth_app.cards import Card, PastRun, Progress
from tests.conftest import Connected


@pytest.mark.parametrize(
    "change",
    [
        "delete from source_documents where document_type = 'contacts' and external_id = (select min(external_id) from "
        "source_documents where document_type = 'contacts')",
        "update source_documents set external_id = '0' where document_type = 'contacts' and external_id = (select "
        "min(external_id) from source_documents where document_type = 'contacts')",
    ],
    ids=["missing", "another"],
)
def test_what_is_not_the_same_ends_it(connected: Connected, urls: DatabaseUrls, change: str) -> None:
    connected.sync()
    demo = Demo(Settings(_env_file=None), Console(file=io.StringIO()))
    local = Local(urls, web="", dagster="", sandbox=connected.outside.url, bridge="", vault_key_file="")
    visits = [Visit(connected.organisation.slug, "Harbour Joinery", Visitor("http://127.0.0.1:1"))]

    def named() -> str:
        with pytest.raises(VisitError) as ended:  # at the other providers, which nobody connected
            demo._compare(local, visits)
        return str(ended.value)

    assert "hubspot" not in named()
    connected.owner.execute(change)
    assert "hubspot's contacts" in named()
    assert demo.result["ok"] is False


class Synced(Visitor):
    """Somebody at pages whose syncs end as told, after one look at which each had seen all and still ran."""

    def __init__(self, **ended: tuple[str, str | None]) -> None:
        self._ended = {name: ended.get(name, ("completed", None)) for name in PROVIDERS}
        self._seen: set[str] = set()

    def card(self, provider: str) -> dict[str, Any]:
        status, message = self._ended[provider]
        run = PastRun("full", status, datetime.now(UTC), None, 0, 0, 0, 0, 0, message, f"Everything: {status}", "")
        progress = (
            None if provider in self._seen else Progress("full", "embedding", 9, 9, None, None, "Embedding, 9 of 9")
        )
        self._seen.add(provider)
        runs = () if progress else (run,)
        title = PROVIDERS[provider].title
        return Card(
            provider, title, "", "active", "", documents={}, documents_words="412 companies", progress=progress,
            runs=runs,
        ).as_json()  # fmt: skip


def synced(visitor: Visitor, monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> tuple[list[str], str | None]:
    """What the demo prints of one organisation's syncs, and the sentence with which it ends there."""
    monkeypatch.setattr(told_by, "latest_run", lambda *asked: Run("1", "SUCCESS", None))
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)
    local = Local(DatabaseUrls("", "", "", ""), web="", dagster="", sandbox="", bridge="", vault_key_file="")
    sentence = None
    try:
        Demo(Settings(_env_file=None), console)._sync(local, [Visit("harbour", "Harbour Joinery", visitor)], 0)
    except VisitError as error:
        sentence = str(error)
    return console.file.getvalue().splitlines(), sentence


@pytest.mark.parametrize(("status", "terminal"), [("failed", True), ("dead", False), ("cancelled", False)])
def test_a_sync_that_failed_ends_it_with_what_its_job_says(
    monkeypatch: pytest.MonkeyPatch, status: str, terminal: bool
) -> None:
    lines, sentence = synced(Synced(hubspot=(status, "The app [7] is gone.")), monkeypatch, terminal=terminal)
    assert sentence == "Harbour Joinery's HubSpot could not be synced: The app [7] is gone."
    marks = [line.partition(" Harbour")[0][-1] for line in lines if "HubSpot" in line]
    assert marks[-1] == "✗"
    assert "✓" not in marks


def test_where_no_line_can_move_each_is_printed_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    why = f"Not kept: {', '.join(f'invoice {number}' for number in range(20))}."
    assert synced(Synced(quickbooks=("partial", why)), monkeypatch, terminal=False) == (
        [
            "✓ Harbour Joinery · HubSpot  412 companies",
            "✓ Harbour Joinery · Google Drive  412 companies",
            "✓ Harbour Joinery · Gmail  412 companies",
            f"! Harbour Joinery · QuickBooks  {why}",
            "✓ Harbour Joinery · clients  rolled up",
        ],
        None,
    )
