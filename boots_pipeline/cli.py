"""The `boots` command: each subcommand in a few lines over what does the work. Errors are one sentence, exit code 1."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import httpx
import psycopg
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from boots_pipeline.counting import counted
from boots_pipeline.errors import BootsError, ConfigError, NotConnected
from boots_pipeline.local.processes import wait_until_one_ends
from boots_pipeline.local.signals import stop_listening, stop_when_asked
from boots_pipeline.local.supervisor import attach, databases, everything
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.queue import SyncQueue
from boots_pipeline.settings import Settings, settings


class _Commands(click.Group):
    """Turns our errors into sentences, and a stop into a quiet end, for every command at once."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BootsError as error:
            raise click.ClickException(str(error)) from None
        except ValidationError as error:
            # Not its own text: that repeats what was given, and a key may be among it.
            wrong = "; ".join(f"{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors() if each["loc"])
            raise click.ClickException(f"The settings cannot be used. {wrong}.") from None
        except psycopg.OperationalError:
            raise click.ClickException(
                "The database does not answer, or does not let us in; see DATABASE_URL."
            ) from None
        except httpx.HTTPError as error:
            raise click.ClickException(f"A part of Boots stopped answering ({type(error).__name__}).") from None
        except KeyboardInterrupt:
            stop_listening()
            click.echo("Stopped; nothing that this command started is left running.", err=True)
            sys.exit(130)


@click.group(cls=_Commands)
@click.version_option(package_name="boots-integrations")
def main() -> None:
    """Boots' knowledge of its customers' clients."""
    stop_when_asked()


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")


@main.command()
@as_json
def demo(as_json: bool) -> None:
    """The whole loop on this machine. It needs nothing running and no account anywhere."""
    from boots_pipeline.local.demo import Demo

    told = Demo(settings(), Console(stderr=as_json, highlight=False))
    try:
        told.run()
    finally:
        if as_json:
            click.echo(json.dumps(told.result))


@main.command()
def up() -> None:
    """Start everything and stay until Ctrl-C."""
    from boots_pipeline.local.organisations import seed

    console, told = Console(highlight=False), settings()
    with ExitStack() as stack:
        with console.status("Starting Postgres, the sandbox, the pages and Dagster"):
            local = stack.enter_context(everything(told, lambda line: console.print(f"[green]✓[/] {line}")))
            if told.boots_env == "development":
                seed(local.databases.owner, local.sandbox)
        console.print(f"\nsettings   {local.web}/settings/integrations")
        console.print(f"proposals  {local.web}/proposals\nDagster    {local.dagster}\nCtrl-C stops it all.")
        wait_until_one_ends(told.boots_home)


@main.command()
@click.option("--assume-applied", multiple=True, metavar="VERSION", help="Record a version that was applied by hand.")
def migrate(assume_applied: tuple[str, ...]) -> None:
    """Bring the database up to date, as its owner."""
    from boots_pipeline.migrations import migrate

    def report(line: str) -> None:
        click.echo(f"applied {line}")

    told = settings()
    if told.database_url is not None:
        applied = migrate(told.database_url, assume_applied=frozenset(assume_applied), report=report)
    else:
        with databases(told, _beside, migrated=False) as urls:
            applied = migrate(urls.owner, assume_applied=frozenset(assume_applied), report=report)
    click.echo(f"{counted(len(applied), 'migrations')} applied." if applied else "Everything was applied already.")


@main.command()
@as_json
def doctor(as_json: bool) -> None:
    """Look at the whole setup, and say what to do. Exit code 1 when something is wrong."""
    from boots_pipeline.doctor import examine

    console, findings = Console(stderr=as_json, highlight=False), []
    for finding in examine(_as_running(settings())):
        findings.append(finding)
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[yellow]·[/]"}[finding.ok]
        console.print(f"{mark} [bold]{finding.what}[/]  {escape(finding.sentence)}")
    wrong = any(finding.ok is False for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": not wrong, "findings": [asdict(finding) for finding in findings]}))
    sys.exit(wrong)


@main.group()
def vault() -> None:
    """Where the tokens are sealed."""


@vault.command()
def rotate() -> None:
    """Seal every token with the first key of VAULT_KEYS, so that the keys behind it may be taken out."""
    from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing
    from boots_pipeline.resources.key_rotation import rotate

    told = _as_running(settings())
    if told.vault != "envelope":
        raise ConfigError("Supabase Vault has one key, which is the server's own: there is nothing to rotate.")
    ring = KeyRing.from_settings(told)
    with _worker() as database:
        with database.connection() as connection:
            EnvelopeVault(ring).check(connection)
        queue = SyncQueue(database)
        sealed, in_use = rotate(
            database, EnvelopeVault(ring), map(queue.organisation_id, queue.connected_organisations())
        )
    held, all_held = in_use[ring.primary], in_use.total()
    click.echo(f"Sealed {counted(sealed, 'tokens')} anew; {held} of {all_held} are sealed with {ring.primary!r}.")
    for key_id in ring.others:
        if held := in_use[key_id]:
            click.echo(f"{key_id!r} still opens {held}, which were being renewed; run this again.")
        else:
            click.echo(f"{key_id!r} opens none any more: it may be taken out of VAULT_KEYS.")


@main.command()
@click.option("--org", "slug", required=True, help="The organisation's slug.")
@click.option("--provider", help="Only this provider; otherwise every connection.")
@click.option("--full", is_flag=True, help="Everything again, not only what changed.")
def sync(slug: str, provider: str | None, full: bool) -> None:
    """Ask for a sync, and watch it when Boots is running.

    Exit code 1 when one of them failed, died or was cancelled; 0 also when one is partial (some items could not be
    kept) or was put off.
    """
    if provider is not None and provider not in PROVIDERS:
        raise ConfigError(f"There is no provider {provider!r}. There are {', '.join(PROVIDERS)}.")
    with _worker() as database:
        queue = SyncQueue(database)
        org_id = queue.organisation_id(slug)
        with database.organisation(org_id) as transaction:
            sources = transaction.execute(
                "select id, provider from connected_sources where org_id = %s and coalesce(provider = %s, true)",
                [org_id, provider],
            ).fetchall()
        if not sources:
            raise ConfigError(f"{slug} has no such connection; connect it on the settings page.")
        asked: dict[UUID, str] = {}
        for source in sources:
            try:
                queue.enqueue(org_id, source["id"], "full" if full else "delta", "asked for at the command line")
            except NotConnected as error:
                click.echo(f"{source['provider']}: {error}", err=True)
                continue
            asked[source["id"]] = source["provider"]
            click.echo(f"{source['provider']}: a {'full' if full else 'delta'} sync is in the queue.")
        if not asked:
            raise ConfigError(f"Nothing was asked for: {slug} has no such connection that can be synced.")
        if attach(settings()) is None:
            click.echo("Boots is not running here; `boots up` will do it.")
            return
        ended = _watch(database, org_id, asked)
    sys.exit(bool(ended & {"failed", "dead", "cancelled"}))


def _watch(database: Database, org_id: UUID, asked: Mapping[UUID, str]) -> set[str]:
    """Say how the sync of each connection (id → provider) ended, as it does, or that it was put off: the rest of that
    wait is nobody's at a terminal. Returns the states in which they were left."""
    console = Console(highlight=False)
    told: dict[str, str] = {}
    with console.status("waiting for Dagster") as status:
        while True:
            with database.organisation(org_id) as transaction:
                rows = transaction.execute(
                    """select distinct on (s.provider) s.provider, j.status, j.stage, j.items_seen, j.items_expected,
                              j.documents_added, j.documents_changed, j.documents_removed, j.error_message,
                              j.status = 'queued' and j.retry_after > clock_timestamp() as put_off
                         from ingestion_jobs j join connected_sources s on s.org_id = j.org_id and s.id = j.source_id
                        where j.org_id = %s and j.source_id = any(%s) order by s.provider, j.created_at desc""",
                    [org_id, list(asked)],
                ).fetchall()
            for row in rows:
                waits = row["status"] in ("queued", "running") and not row["put_off"]
                if not waits and row["provider"] not in told:
                    told[row["provider"]] = row["status"]
                    console.print(_ended(row))
            live = [row for row in rows if row["provider"] not in told]
            if not live:
                for provider in {*asked.values()} - told.keys():
                    console.print(f"{provider}: the connection is gone, and its sync with it.")
                    told[provider] = "cancelled"
                return set(told.values())
            status.update(
                ", ".join(
                    f"{row['provider']} {row['stage']} {row['items_seen']}/{row['items_expected'] or '?'}"
                    for row in live
                )
            )
            time.sleep(0.5)


def _ended(row: dict[str, Any]) -> str:
    changes = f"{row['documents_added']} new, {row['documents_changed']} changed, {row['documents_removed']} gone"
    state = "put off" if row["put_off"] else row["status"]
    return f"{row['provider']}: {state}, {changes}. {escape(row['error_message'] or '')}".rstrip()


_STATUS = """
select o.slug, s.provider, s.status, s.last_synced_at, j.status as job, j.stage,
       coalesce(case j.status when 'queued' then j.error_message end, s.status_message) as message,
       j.items_seen, j.items_expected,
       (select count(*) from source_documents d
         where d.org_id = s.org_id and d.source_id = s.id and d.deleted_at is null) as documents,
       (select count(*) from client_intelligence c where c.org_id = s.org_id and c.retired_at is null) as clients
  from connected_sources s
  join organizations o on o.id = s.org_id
  left join lateral (select * from ingestion_jobs j where j.org_id = s.org_id and j.source_id = s.id
                      order by j.created_at desc, j.id limit 1) j on true
 where s.org_id = %s
 order by s.provider
"""


@main.command()
@as_json
def status(as_json: bool) -> None:
    """Every connection: how it is, and what is kept."""
    rows: list[dict[str, Any]] = []
    with _worker() as database:
        queue = SyncQueue(database)
        for slug in queue.connected_organisations():
            org_id = queue.organisation_id(slug)
            with database.organisation(org_id) as transaction:
                rows.extend(transaction.execute(_STATUS, [org_id]).fetchall())
    if as_json:
        click.echo(json.dumps({"connections": rows}, default=str))
        return
    if not rows:
        click.echo("Nothing is connected yet: `boots up`, then the settings page.")
        return
    from boots_pipeline import terminal

    Console(highlight=False).print(terminal.connections(rows))


@main.command()
@click.argument("text")
@click.option("--org", "slug", required=True, help="The organisation's slug.")
@click.option("--limit", default=8, show_default=True, type=click.IntRange(1, 100))
@as_json
def search(text: str, slug: str, limit: int, as_json: bool) -> None:
    """What the memory knows about something."""
    if not text.strip():
        raise click.UsageError("Say what to search for.")
    from boots_pipeline import terminal
    from boots_pipeline.knowledge.search import search_knowledge
    from boots_pipeline.resources.choices import embedder_for

    with _worker() as database:
        found = search_knowledge(
            database, embedder_for(settings()), SyncQueue(database).organisation_id(slug), text, limit
        )
    if as_json:
        clients, documents = found.clients.hits, found.documents.hits
        told = {
            "clients": [{"name": c.client_name, "similarity": c.similarity, "summary": c.summary} for c in clients],
            "documents": [
                {"title": d.title, "provider": d.provider, "type": d.document_type, "relevance": d.relevance,
                 "as_of": d.as_of, "url": d.url, "content": d.content}
                for d in documents
            ],
            "incomplete": [each.completeness for each in (found.clients, found.documents) if each.completeness],
        }  # fmt: skip
        click.echo(json.dumps(told, default=str))
        return
    Console(highlight=False).print(terminal.hits(text, found.clients, found.documents))


def _beside(line: str) -> None:
    """Say something that is not the answer."""
    click.echo(line, err=True)


def _as_running(told: Settings) -> Settings:
    """The settings with what a running supervisor has made for itself: its databases and its vault's key."""
    if (local := attach(told)) is None:
        key = told.boots_home / "vault.key"
        unset = told.vault_keys is None and told.vault_key_file is None
        return told.model_copy(update={"vault_key_file": key}) if unset and key.exists() else told
    return told.model_copy(
        update={
            "database_url": local.databases.owner,
            "worker_database_url": local.databases.worker,
            "web_database_url": local.databases.web,
            "dagster_pg_url": local.databases.dagster,
            "vault_key_file": told.vault_key_file or Path(local.vault_key_file),
        }
    )


@contextmanager
def _worker() -> Iterator[Database]:
    """The database as the pipeline's role, wherever it is."""
    with _worker_url(settings()) as url:
        database = Database(url, application="boots-cli", size=2)
        try:
            yield database
        finally:
            database.close()


@contextmanager
def _worker_url(told: Settings) -> Iterator[str]:
    if told.worker_database_url is not None:
        yield told.worker_database_url
    else:
        with databases(told, _beside) as urls:
            yield urls.worker
