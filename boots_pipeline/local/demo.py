"""The demo: the whole loop with nothing running and no account anywhere, as a user would go through it.

Every step checks what it says; a step that did not happen raises, and the command ends with its sentence.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console, RenderableType
from rich.markdown import Markdown
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from boots_pipeline import terminal
from boots_pipeline.counting import counted
from boots_pipeline.errors import ConfigError
from boots_pipeline.knowledge.search import search_clients, search_documents
from boots_pipeline.local.comparison import compare, drawn
from boots_pipeline.local.organisations import seed
from boots_pipeline.local.runs import latest_run
from boots_pipeline.local.supervisor import Local, attach, everything
from boots_pipeline.local.visitor import VisitError, Visitor, wait_for
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.resources.choices import embedder_for
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.queue import SyncQueue
from boots_pipeline.settings import Settings

_QUESTION = "refurbishment of a waiting area, done while the building stays open"
_SYNC_SECONDS = 600
_PROPOSAL_SECONDS = 120
_CLIENTS = "client_intelligence"
_DONE, _PARTLY, _FAILED = "[green]✓", "[yellow]!", "[red]✗"
_NOT_CONNECTED = ("never_connected", "waiting", "error", "needs_reauth")


@dataclass(frozen=True)
class Visit:
    """An organisation of the sandbox, with its admin at the pages."""

    slug: str
    name: str
    visitor: Visitor


class Demo:
    """One run of the demo. `result` is what `--json` prints."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._started = False  # or found running
        self.result: dict[str, Any] = {"ok": False, "seconds": {}}

    def run(self) -> None:
        """Go through the loop. Raises BootsError at the first step that does not do what it says."""
        titles = ", ".join(provider.title for provider in PROVIDERS.values())
        self._console.print(
            Panel(
                f"The whole loop on this machine: connect {titles} (in the sandbox), pull what they hold through MCP, "
                "roll it up into client profiles, search those, and write a proposal that says what it rests on.\n"
                "[dim]Every company and person below is fiction.[/]",
                title="[bold]Boots integrations",
                border_style="yellow",
            )
        )
        begun = time.time()
        with ExitStack() as stack:
            local = self._start(stack)
            visits = self._connect(local, stack)
            self._sync(local, visits, begun)
            self._compare(local, visits)
            clients = self._search(local, visits[0].slug)
            proposal_id = self._propose(visits[0].visitor, clients)
            self._say_where(local, proposal_id)
        self.result["ok"] = True

    def _start(self, stack: ExitStack) -> Local:
        with self._stage("start", "Start") as tell:
            local = attach(self._settings)
            self._started = local is None
            if local is None:
                local = stack.enter_context(everything(self._settings, tell))
            slugs = seed(local.databases.owner, local.sandbox)
            if not slugs:
                raise ConfigError(
                    "This database has organisations of its own, and the demo's are fiction: give it another one."
                )
            self.result["organizations"] = len(slugs)
        return local

    def _connect(self, local: Local, stack: ExitStack) -> list[Visit]:
        visits = []
        with self._stage("connect", "Connect") as tell:
            world = httpx.get(f"{local.sandbox}/_control/world", timeout=30).json()["organizations"]
            for organisation in world:
                visitor = Visitor(local.web)
                stack.callback(visitor.close)
                admin = next(user["email"] for user in organisation["users"] if user["role"] == "admin")
                visit = Visit(visitor.sign_in(admin), organisation["name"], visitor)
                for provider in PROVIDERS.values():
                    tell(f"as {admin}: {provider.title}")
                    visitor.connect(provider.name, visit.slug)
                    if visitor.card(provider.name)["state"] in _NOT_CONNECTED:
                        raise VisitError(f"{provider.title}'s callback came back, but the connection is not active.")
                visits.append(visit)
            self.result["connections"] = len(visits) * len(PROVIDERS)
            tell(f"{self.result['connections']} consents given; tokens in the vault, full syncs queued")
        return visits

    def _sync(self, local: Local, visits: list[Visit], since: float) -> None:
        begun = time.monotonic()
        titles = {**{name: provider.title for name, provider in PROVIDERS.items()}, _CLIENTS: "clients"}
        # Where nothing can move, in a file, each line is printed when it has come to its end.
        with Progress(
            *_columns(), console=self._console, expand=True, disable=not self._console.is_interactive
        ) as progress:
            rows = {
                (visit.slug, what): _row(progress, f"{visit.name} · {title}")
                for visit in visits
                for what, title in titles.items()
            }

            def look() -> bool | None:
                ended = [self._look_at(local, visit, since, progress, rows) for visit in visits]
                return all(ended) or None

            wait_for(look, _SYNC_SECONDS, "The sync")
        self.result["seconds"]["sync"] = round(time.monotonic() - begun, 2)

    def _look_at(
        self, local: Local, visit: Visit, since: float, progress: Progress, rows: dict[tuple[str, str], TaskID]
    ) -> bool:
        """Show how far an organisation's syncs are; returns whether its last run has ended. Raises VisitError for a
        sync that failed, with what its job says."""
        cards = [visit.visitor.card(provider) for provider in PROVIDERS]
        run = latest_run(local.dagster, {"org": visit.slug}, since)
        for card in cards:
            row, live = rows[visit.slug, card["provider"]], card["progress"]
            if live:
                total = live["items_expected"]
                progress.update(row, told=live["words"], total=total, completed=min(live["items_seen"], total or 0))
            elif card["runs"]:
                ended = card["runs"][0]
                reason = ended["message"] or ended["title"]
                if ended["status"] == "completed":
                    self._end(progress, row, _DONE, card["documents_words"])
                elif ended["status"] == "partial":
                    self._end(progress, row, _PARTLY, reason)
                else:
                    self._end(progress, row, _FAILED, reason)
                    raise VisitError(f"{visit.name}'s {card['title']} could not be synced: {reason}")
        derived = rows[visit.slug, _CLIENTS]
        if run and run.step:
            progress.update(derived, told=run.step.replace("__", "/"))
        if run is None or not run.has_ended or any(card["progress"] for card in cards):
            return False
        if run.status != "SUCCESS":
            raise VisitError(f"Dagster's run {run.id} ended as {run.status}: {local.dagster}/runs/{run.id}")
        self._end(progress, derived, _DONE, "rolled up")
        return True

    def _end(self, progress: Progress, row: TaskID, mark: str, told: str) -> None:
        """Show how a line of progress has ended."""
        task = progress.tasks[row]
        if progress.disable and not task.fields["mark"]:
            self._console.print(f"{mark}[/] {task.description}  {escape(told)}", soft_wrap=True)
        progress.update(row, total=1, completed=1, mark=mark, told=escape(told))

    def _compare(self, local: Local, visits: list[Visit]) -> None:
        """What the providers hold beside what is kept, and how many clients came of it."""
        with self._database(local) as database:
            found = compare(local.sandbox, database, [visit.slug for visit in visits])
            clients = sum(_clients(database, visit.slug) for visit in visits)
        self._console.print(drawn(found))
        different = [f"{each.provider}'s {each.stream} of {each.organisation}" for each in found if not each.is_same]
        if different or not clients:
            raise VisitError(f"What is kept is not what there is: {', '.join(different) or 'no client'}.")
        self.result["documents"] = {
            provider: sum(len(each.here) for each in found if each.provider == provider) for provider in PROVIDERS
        }
        self.result["clients"] = clients

    def _search(self, local: Local, slug: str) -> list[str]:
        with self._stage("search", "Search"), self._database(local) as database:
            org_id = SyncQueue(database).organisation_id(slug)
            embedder = embedder_for(self._settings)
            clients = search_clients(database, embedder, org_id, _QUESTION, 3)
            documents = search_documents(database, embedder, org_id, _QUESTION, 5)
        self._console.print(f"\n[bold]“{_QUESTION}”[/]", terminal.hits(_QUESTION, clients, documents))
        if not clients.hits or not documents.hits:
            raise VisitError("The search found nothing.")
        self.result["hits"] = len(clients.hits) + len(documents.hits)
        return [hit.client_name for hit in clients.hits]

    def _propose(self, visitor: Visitor, clients: list[str]) -> str:
        client = clients[0]
        brief = f"A proposal for {client}: {_QUESTION}. Say what we know of them, what is open, and what to do next."
        with self._progress("proposal", "Propose") as show:
            proposal_id = visitor.ask_for_proposal(f"{client}: {_QUESTION.partition(',')[0]}", brief)

            def look() -> dict[str, Any] | None:
                proposal = visitor.proposal(proposal_id)
                show(None, None, proposal["status"])
                if proposal["status"] == "failed":
                    raise VisitError(f"The proposal failed: {proposal.get('error')}")
                return proposal if proposal["status"] == "ready" else None

            proposal = wait_for(look, _PROPOSAL_SECONDS, "The proposal")
            sources = [source for section in proposal["sections"] for source in section["informed_by"]]
            attributions = sum(max(len(source["quotes"]), 1) for source in sources)
            show(1, 1, f"{counted(len(proposal['sections']), 'sections')}, {counted(attributions, 'attributions')}")
        for section in proposal["sections"]:
            informed = "\n".join(_sources(section["informed_by"]))
            body = f"{section['body']}\n\n**Informed by**\n\n{informed}" if informed else section["body"]
            self._console.print(Panel(Markdown(body), title=section["heading"], title_align="left", border_style="dim"))
        if not proposal["sections"] or not attributions:
            raise VisitError("The proposal rests on nothing.")
        self.result["proposal"] = {"sections": len(proposal["sections"]), "attributions": attributions}
        return proposal_id

    def _say_where(self, local: Local, proposal_id: str) -> None:
        for what, where in (
            ("settings", f"{local.web}/settings/integrations"),
            ("this proposal", f"{local.web}/proposals/{proposal_id}"),
            ("Dagster", local.dagster),
        ):
            self._console.print(f" {what:<14}{where}", soft_wrap=True)  # whole, to be clicked or copied
        stages = "  ".join(f"{stage} {seconds:.1f} s" for stage, seconds in self.result["seconds"].items())
        self._console.print(f"[dim]{stages}[/]")
        if self._started:
            self._console.print("All of it stops now; [bold]make up[/] starts the same things and stays.")

    @contextmanager
    def _stage(self, name: str, title: str) -> Iterator[Any]:
        """A step with a spinner; what it tells is printed under it."""
        with self._progress(name, title) as show:
            yield lambda line: show(None, None, line)

    @contextmanager
    def _progress(self, name: str, title: str) -> Iterator[Any]:
        """A step with a bar, when it knows how much there is."""
        begun = time.monotonic()
        with Progress(*_columns(), console=self._console, expand=True) as progress:
            task = _row(progress, title)

            def show(done: int | None, total: int | None, told: str) -> None:
                progress.update(task, told=told)
                if total:
                    progress.update(task, total=total, completed=min(done or 0, total))

            yield show
            seconds = time.monotonic() - begun
            progress.update(task, total=1, completed=1, mark=_DONE, seconds=f"{seconds:.1f} s")
        self.result["seconds"][name] = round(seconds, 2)

    @contextmanager
    def _database(self, local: Local) -> Iterator[Database]:
        database = Database(local.databases.worker, application="boots-demo", size=2)
        try:
            yield database
        finally:
            database.close()


def _clients(database: Database, slug: str) -> int:
    org_id = SyncQueue(database).organisation_id(slug)
    with database.organisation(org_id) as transaction:
        row = transaction.execute(
            "select count(*) as n from client_intelligence where org_id = %s and retired_at is null", [org_id]
        ).fetchone()
    return row["n"] if row else 0


class _Mark(SpinnerColumn):
    """Turns, and says at the end how it ended."""

    def render(self, task: Task) -> RenderableType:
        mark = task.fields["mark"]
        return Text.from_markup(mark) if mark else super().render(task)


def _row(progress: Progress, title: str) -> TaskID:
    return progress.add_task(title, total=None, told="", seconds="", mark="")


def _columns() -> tuple[ProgressColumn, ...]:
    """A line of progress: how it ended, what it is, how far, how long it took, what it says."""
    return (
        _Mark(),
        TextColumn("[bold]{task.description}"),
        BarColumn(12, table_column=Column(no_wrap=True)),
        TextColumn("[yellow]{task.fields[seconds]}"),
        # What is told gives way where the terminal is narrow, and nothing else.
        TextColumn("[dim]{task.fields[told]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )


def _sources(informed_by: list[dict[str, Any]]) -> Iterator[str]:
    """A line a source, however much was quoted of it."""
    for source in informed_by:
        quotes = f", {counted(len(source['quotes']), 'quotes')}" if len(source["quotes"]) > 1 else ""
        yield f"- *{source['title']}*, {source['provider_title']}, relevance {source['relevance']:.2f}{quotes}"
