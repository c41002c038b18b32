"""One sync from its claim to its end: pull → sanitise → normalise → embed → keep + checkpoint → conclude → finish.

The pull runs ahead of the writer by two batches at most. Whatever dies, and when, at most one batch is done again:
its checkpoint is written with it, under a fence that only the holder of the lease passes.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from boots_pipeline.errors import (
    BadItem,
    BadPage,
    BootsError,
    Forbidden,
    InfraError,
    LeaseLost,
    NeedsReauth,
    RateLimited,
    StaleCursor,
    Transient,
)
from boots_pipeline.ingestion.batches import Batch, gather
from boots_pipeline.ingestion.keep import Keeper, Kept, organisation_model
from boots_pipeline.ingestion.lease import Lease
from boots_pipeline.ingestion.listing import Listed, Verdict, conclude
from boots_pipeline.ingestion.outcome import Outcome
from boots_pipeline.ingestion.sanitise import text
from boots_pipeline.providers.base import Page, Provider
from boots_pipeline.resources.database import Connection, Database
from boots_pipeline.resources.embedder import Embedder
from boots_pipeline.resources.mcp_gateway import McpGateway, Session
from boots_pipeline.resources.queue import Job, SyncQueue

_AHEAD = 2  # batches pulled before the first of them is written
_ATTEMPTS = 5
_QUARANTINE_RETRIES = 50
_log = logging.getLogger(__name__)

Progress = Callable[[str], None]


class SyncEngine:
    """Runs claimed syncs. Holds no state of its own between them."""

    def __init__(self, database: Database, queue: SyncQueue, gateway: McpGateway, embedder: Embedder) -> None:
        self.queue = queue
        self._database = database
        self._gateway = gateway
        self._embedder = embedder

    async def run(self, job: Job, provider: Provider, report: Progress = _log.info) -> Outcome:
        """Sync one connection. Every failure that is not ours comes back as an outcome; `bug` and `infra` raise."""
        outcome = Outcome("running", job.kind)
        with Lease(self.queue, job) as lease:
            try:
                await self._sync_or_settle(job, provider, lease, outcome, report)
            except LeaseLost as lost:
                outcome.status, outcome.error_class, outcome.message = "cancelled", "cancelled", str(lost)
        return outcome

    async def _sync_or_settle(
        self, job: Job, provider: Provider, lease: Lease, outcome: Outcome, report: Progress
    ) -> None:
        try:
            await self._sync(job, provider, lease, outcome, report)
            self._finish(job, outcome)
        except (LeaseLost, InfraError):
            raise  # after an InfraError the lease runs out by itself: the database may be what failed
        except BootsError as error:
            self._settle(job, error, outcome)
        except Exception:
            self._fail(job, "bug", "An error of ours stopped the sync; the Dagster run has the details.", outcome)
            raise
        except BaseException:
            # A stop (deploy, Ctrl-C, a cancelled run): the next worker goes on from the checkpoint at once.
            self.queue.release(job, timedelta(0), burns_attempt=False, error_class=None, message=None)
            raise

    async def _sync(self, job: Job, provider: Provider, lease: Lease, outcome: Outcome, report: Progress) -> None:
        account_known = await asyncio.to_thread(self._prepare, job, outcome)
        async with self._gateway.session(job.org_id, job.source_id, provider) as tools:
            account = await tools.profile.identify(tools)
            if account is not None and account_known is not None and account.id != account_known:
                raise NeedsReauth(f"The grant now opens another {provider.title} account. Connect again.")
            if account is not None and account.name:
                await asyncio.to_thread(self._name_account, job, account.id, account.name)
                tools.account = account  # what is read from here on is read under this name
            unavailable = account.unavailable if account else {}
            for stream in tools.profile.streams:
                if stream in unavailable:
                    report(f"{stream}: not available with this grant ({unavailable[stream]})")
                    continue
                await self._sync_stream(_Stream(self, job, provider, tools, stream, lease, outcome, report))
        outcome.left_out = await asyncio.to_thread(self._left_out, job)
        outcome.conclude(provider, unavailable)

    def _prepare(self, job: Job, outcome: Outcome) -> str | None:
        """Take up what earlier claims of this job have counted, and clear away what cancelled ones left; returns the
        account that the connection is for."""
        with self._database.organisation(job.org_id) as transaction:
            organisation_model(transaction, job.org_id, self._embedder.model)
            transaction.execute(
                """delete from ingestion_seen s using ingestion_jobs j
                    where s.org_id = %s and j.org_id = s.org_id and j.id = s.job_id and j.finished_at is not null""",
                [job.org_id],
            )
            row = transaction.execute(
                """select s.external_account_id, j.items_seen as seen, j.documents_added as added,
                          j.documents_changed as changed, j.documents_unchanged as unchanged,
                          j.documents_removed as removed, j.documents_embedded as embedded,
                          j.items_quarantined as quarantined, j.items_mended as mended
                     from ingestion_jobs j join connected_sources s on s.org_id = j.org_id and s.id = j.source_id
                    where j.org_id = %s and j.id = %s""",
                [job.org_id, job.id],
            ).fetchone()
        assert row is not None
        account: str | None = row.pop("external_account_id")
        outcome.kept = Kept(**row)
        return account

    def _name_account(self, job: Job, account_id: str, name: str) -> None:
        """Some say at the consent only which account it is, and what it is called when they are asked. A connection
        that has ended, or goes to another account by now, is not named."""
        with self._database.organisation(job.org_id) as transaction:
            transaction.execute(
                """update connected_sources set external_account_name = %(name)s
                    where org_id = %(org)s and id = %(source)s and external_account_id = %(account)s
                      and status <> 'revoked' and external_account_name is distinct from %(name)s""",
                {"name": text(name)[:200], "account": account_id, "org": job.org_id, "source": job.source_id},
            )

    async def _sync_stream(self, run: "_Stream") -> None:
        checkpoint: dict[str, Any] | None = run.job.checkpoint.get(run.stream)
        if checkpoint is None:
            checkpoint = await asyncio.to_thread(self._begin_stream, run)
        if not checkpoint["read"]:
            checkpoint = await self._read_stream(run, checkpoint)
        if checkpoint["verdict"] is None:
            checkpoint = await asyncio.to_thread(self._conclude_stream, run, checkpoint)
        run.outcome.verdicts[run.stream] = Verdict(**checkpoint["verdict"])

    def _begin_stream(self, run: "_Stream") -> dict[str, Any]:
        """Where this stream starts, fixed before its listing does, by the database's clock, and kept across crashes."""
        with self._database.organisation(run.job.org_id) as transaction:
            row = transaction.execute(
                """select clock_timestamp() as now,
                          (select nullif(watermark, '-infinity') from sync_streams
                            where org_id = %s and source_id = %s and stream = %s) as watermark""",
                [run.job.org_id, run.job.source_id, run.stream],
            ).fetchone()
            assert row is not None
            # What comes twice for the overlap is unchanged, and costs a hash.
            since = row["watermark"] - run.provider.overlap if run.job.kind == "delta" and row["watermark"] else None
            checkpoint = {
                "cursor": None, "read": False, "verdict": None, "expected": None, "newest": None, "cut": 0,
                "listed_from": row["now"].isoformat(), "since": since.isoformat() if since else None,
            }  # fmt: skip
            _save_checkpoint(transaction, run.job, run.stream, checkpoint)
        return checkpoint

    async def _read_stream(self, run: "_Stream", checkpoint: dict[str, Any]) -> dict[str, Any]:
        """List the stream from its checkpoint to its end; from its beginning, where the provider forgot the place."""
        keeper = Keeper(self._database, self._embedder, run.provider, run.job, run.stream)
        if checkpoint["since"] is not None and checkpoint["cursor"] is None:
            await self._retry_quarantined(run, keeper, checkpoint)
        try:
            return await self._read_pages(run, keeper, checkpoint)
        except StaleCursor:
            if checkpoint["cursor"] is None:
                raise
            run.report(f"{run.stream}: the place where the last run stopped is no longer known; listing anew")
            return await self._read_pages(run, keeper, {**checkpoint, "cursor": None, "cut": 0})

    async def _read_pages(self, run: "_Stream", keeper: Keeper, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Pull ahead while batches are written."""
        since, until = _moment(checkpoint["since"]), datetime.fromisoformat(checkpoint["listed_from"])

        async def known(versions: Mapping[str, str]) -> AbstractSet[str]:
            return await asyncio.to_thread(keeper.kept_in_version, versions)

        ahead: asyncio.Queue[Batch | None] = asyncio.Queue(maxsize=_AHEAD)

        async def pull() -> None:
            listing = run.tools.profile.pages(
                run.tools, run.stream, since=since, cursor=checkpoint["cursor"], known=known
            )
            try:
                async for batch in gather(
                    _counted(listing), first_is_one_page=checkpoint["cursor"] is None, until=until
                ):
                    run.lease.check()
                    await ahead.put(batch)
            except BootsError:
                await ahead.join()  # what came before is kept, or a provider that often says "later" is never read
                raise
            await ahead.put(None)

        # One thread writes: the allocator keeps a heap a thread, and the default pool's six were 130 MB after 50,000
        # items.
        with ThreadPoolExecutor(1, "keeper") as writer:
            async with _one_error(), asyncio.TaskGroup() as tasks:
                tasks.create_task(pull())
                while (batch := await ahead.get()) is not None:
                    run.lease.check()
                    cut = checkpoint["cut"] + batch.cut
                    checkpoint = {**checkpoint, "cursor": batch.cursor, "read": batch.cursor is None, "cut": cut}
                    if batch.expected is not None:
                        checkpoint["expected"] = batch.expected
                    if batch.newest is not None:
                        checkpoint["newest"] = max(checkpoint["newest"] or "", batch.newest.isoformat())
                    kept = await asyncio.get_running_loop().run_in_executor(writer, keeper.keep, batch, checkpoint)
                    run.outcome.kept += kept
                    run.outcome.progressed = True
                    run.report(f"{run.stream}: {run.outcome.kept}")
                    ahead.task_done()
        return checkpoint

    async def _retry_quarantined(self, run: "_Stream", keeper: Keeper, checkpoint: dict[str, Any]) -> None:
        """Items that could not be kept last time, asked for by id: a delta would never meet them again."""
        batch, gone = Batch(datetime.fromisoformat(checkpoint["listed_from"])), []
        for external_id in await asyncio.to_thread(self._quarantined, run):
            try:
                item = await run.tools.profile.read(run.tools, run.stream, external_id)
            except (BadItem, BadPage, Forbidden) as reason:
                batch.reject(external_id, str(reason))
            else:
                if item is None:
                    gone.append(external_id)
                else:
                    batch.add(Page([item], [], None))
        kept = await asyncio.to_thread(keeper.keep, batch, checkpoint, listed=False)
        run.outcome.kept += kept
        await asyncio.to_thread(keeper.forget, gone)

    def _quarantined(self, run: "_Stream") -> list[str]:
        with self._database.organisation(run.job.org_id) as transaction:
            rows = transaction.execute(
                """select external_id from quarantined_items
                    where org_id = %s and source_id = %s and stream = %s and attempts < 10
                    order by last_seen_at limit %s""",
                [run.job.org_id, run.job.source_id, run.stream, _QUARANTINE_RETRIES],
            ).fetchall()
        return [row["external_id"] for row in rows]

    def _left_out(self, job: Job) -> int:
        """Everything in quarantine, of whichever sync: what is missing is missing until it comes in."""
        with self._database.organisation(job.org_id) as transaction:
            row = transaction.execute(
                "select count(*) as n from quarantined_items where org_id = %s and source_id = %s",
                [job.org_id, job.source_id],
            ).fetchone()
        return int(row["n"]) if row else 0

    def _conclude_stream(self, run: "_Stream", checkpoint: dict[str, Any]) -> dict[str, Any]:
        listed_from, newest = _moment(checkpoint["listed_from"]), _moment(checkpoint["newest"])
        assert listed_from is not None
        complete = checkpoint["since"] is None
        listed = Listed(run.stream, listed_from, newest, complete, checkpoint["expected"], checkpoint["cut"])
        with self._database.organisation(run.job.org_id) as transaction:
            verdict = conclude(transaction, run.job, listed)
            checkpoint = {**checkpoint, "verdict": asdict(verdict)}
            _save_checkpoint(transaction, run.job, run.stream, checkpoint, verdict.removed)
        run.outcome.kept.removed += verdict.removed
        return checkpoint

    def _finish(self, job: Job, outcome: Outcome) -> None:
        with self._database.organisation(job.org_id) as transaction:
            transaction.execute("delete from ingestion_seen where org_id = %s and job_id = %s", [job.org_id, job.id])
            if not self.queue.finish(transaction, job, outcome.status, outcome.error_class, outcome.message):
                raise _lease_lost()

    def _settle(self, job: Job, error: BootsError, outcome: Outcome) -> None:
        """Its class decides whether the job goes back to the queue or ends; so do five tries without a batch."""
        attempt = 0 if outcome.progressed else job.attempt
        backoff = timedelta(minutes=min(60, 2**attempt))
        waits = {
            RateLimited: (timedelta(seconds=getattr(error, "retry_after", 0)), False),
            Transient: (backoff, True),
            BadPage: (backoff, True),
        }
        wait = waits.get(type(error))
        if wait is None or (wait[1] and attempt >= _ATTEMPTS):
            self._fail(job, error.error_class, str(error), outcome)
            return
        delay, burns = wait
        message = f"{error} Trying again in {_minutes(delay)}."
        if not self.queue.release(job, delay, burns_attempt=burns, error_class=error.error_class, message=message):
            raise _lease_lost()
        outcome.status, outcome.error_class, outcome.message = "queued", error.error_class, message

    def _fail(self, job: Job, error_class: str, message: str, outcome: Outcome) -> None:
        outcome.status, outcome.error_class, outcome.message = "failed", error_class, message
        self._finish(job, outcome)


@dataclass(frozen=True)
class _Stream:
    """A stream being synced, with all that its steps need."""

    engine: SyncEngine
    job: Job
    provider: Provider
    tools: Session
    stream: str
    lease: Lease
    outcome: Outcome
    report: Progress


@asynccontextmanager
async def _one_error() -> AsyncIterator[None]:
    """A task group's errors as the one that came first: the others are its cancellations."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def _counted(pages: AsyncIterator[Page]) -> AsyncIterator[Page]:
    """Pages, until a cursor comes again: a listing that goes in circles never ends, and never says so."""
    met: set[str] = set()
    async for page in pages:
        position = repr(page.cursor)
        if page.cursor is not None and position in met:
            raise BadPage("The provider's listing goes in circles.")
        met.add(position)
        yield page


def _save_checkpoint(
    transaction: Connection, job: Job, stream: str, checkpoint: dict[str, Any], removed: int = 0
) -> None:
    saved = transaction.execute(
        """update ingestion_jobs
              set checkpoint = checkpoint || %s, stage = %s, documents_removed = documents_removed + %s
            where org_id = %s and id = %s and lease_token = %s""",
        [Jsonb({stream: checkpoint}), stream, removed, job.org_id, job.id, job.lease_token],
    )
    if saved.rowcount != 1:
        raise _lease_lost()


def _lease_lost() -> LeaseLost:
    return LeaseLost("Another worker has taken this sync, or it was cancelled.")


def _moment(stored: str | None) -> datetime | None:
    return datetime.fromisoformat(stored) if stored else None


def _minutes(delay: timedelta) -> str:
    seconds = int(delay.total_seconds())
    return f"{seconds} s" if seconds < 90 else f"{round(seconds / 60)} min"
