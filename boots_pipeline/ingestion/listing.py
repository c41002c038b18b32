"""What a listing that was read to its end allows: tombstones for what vanished, a watermark, and the count that
proves it.

Only a complete listing may delete, as no official MCP server has a feed of deletes. When a large share of what is known
vanished at once, a guard marks it and keeps it; what the next complete listing misses again is deleted.
"""

from dataclasses import dataclass
from datetime import datetime

from boots_pipeline.ingestion.keep import tombstone
from boots_pipeline.resources.database import Connection
from boots_pipeline.resources.queue import Job

_GUARD_SHARE = 0.2
_GUARD_ITEMS = 10  # below this a share says nothing: three of five clients may well go in a week
_SHORTFALL_RUNS = 3


@dataclass(frozen=True)
class Listed:
    """A stream that was read to its end. `complete`: everything was listed, not only what changed."""

    stream: str
    listed_from: datetime
    newest: datetime | None  # the latest change before the listing began that was seen, by the provider's clock
    complete: bool
    expected: int | None
    cut: int  # records that the server is known to have left out of its pages

    @property
    def watermark(self) -> datetime | None:
        """From when on the next delta asks; None leaves it as it is, for there was nothing to see.

        Never later than the listing began, nor than what was seen of the provider's clock, which may be behind ours.
        """
        return min(self.newest, self.listed_from) if self.newest else None


@dataclass(frozen=True)
class Verdict:
    """What came of it."""

    removed: int = 0
    vanished: int = 0  # deletions that the guard refused
    shortfall: int = 0  # items that the provider counted and did not hand out
    cut: int = 0  # items that it is known to have left out of its answers, and will again


def conclude(transaction: Connection, job: Job, listed: Listed) -> Verdict:
    """Tombstone what a complete listing did not meet, and move the stream's watermark, in the caller's transaction.

    What the listing met and could not keep is no less met. A stream without a history is that of another account: what
    is kept of the one before is not guarded.
    """
    before = transaction.execute(
        "select shortfall_runs, vanished from sync_streams where org_id = %s and source_id = %s and stream = %s",
        [job.org_id, job.source_id, listed.stream],
    ).fetchone()
    seen = _count_seen(transaction, job, listed.stream)
    shortfall = max(0, (listed.expected or 0) - seen)
    removed = vanished = 0
    if listed.complete and not shortfall and not listed.cut:
        missing, again = _missing(transaction, job, listed.stream)
        suspicious = before is not None and len(missing) > _GUARD_ITEMS
        if suspicious and len(missing) > _GUARD_SHARE * (seen + len(missing) + len(again)):
            vanished = len(missing)
        else:
            again, missing = again + missing, []
        removed = tombstone(transaction, job, listed.stream, again)
        _mark(transaction, job, listed.stream, missing)
        _forget_quarantined(transaction, job, listed)
    runs = before["shortfall_runs"] + 1 if before and shortfall else int(bool(shortfall))
    _move_watermark(transaction, job, listed, shortfall, runs, vanished)
    return Verdict(removed, vanished, shortfall, listed.cut)


def _count_seen(transaction: Connection, job: Job, stream: str) -> int:
    row = transaction.execute(
        "select count(*) as n from ingestion_seen where org_id = %s and job_id = %s and stream = %s",
        [job.org_id, job.id, stream],
    ).fetchone()
    return int(row["n"]) if row else 0


def _missing(transaction: Connection, job: Job, stream: str) -> tuple[list[str], list[str]]:
    """What is kept and was not met: for the first time, and again.

    EXCEPT hashes whatever the statistics say. As NOT EXISTS, right after 30,000 rows came into a new table, it was
    planned as a nested loop and took 34 s.
    """
    rows = transaction.execute(
        """select external_id, vanished_at is not null as again from source_documents
            where org_id = %(org)s and source_id = %(source)s and document_type = %(stream)s and deleted_at is null
              and external_id = any(array(
                    select external_id from source_documents
                     where org_id = %(org)s and source_id = %(source)s and document_type = %(stream)s
                       and deleted_at is null
                    except
                    select external_id from ingestion_seen
                     where org_id = %(org)s and job_id = %(job)s and stream = %(stream)s))""",
        {"org": job.org_id, "source": job.source_id, "stream": stream, "job": job.id},
    ).fetchall()
    first = [row["external_id"] for row in rows if not row["again"]]
    return first, [row["external_id"] for row in rows if row["again"]]


def _mark(transaction: Connection, job: Job, stream: str, missing: list[str]) -> None:
    """Remember what is missing; whatever was met again is under no suspicion any more."""
    transaction.execute(
        """update source_documents set vanished_at = case when external_id = any(%(missing)s) then clock_timestamp() end
            where org_id = %(org)s and source_id = %(source)s and document_type = %(stream)s
              and (external_id = any(%(missing)s) or vanished_at is not null)""",
        {"org": job.org_id, "source": job.source_id, "stream": stream, "missing": missing},
    )


def _forget_quarantined(transaction: Connection, job: Job, listed: Listed) -> None:
    transaction.execute(
        """delete from quarantined_items
            where org_id = %s and source_id = %s and stream = %s and last_seen_at < %s""",
        [job.org_id, job.source_id, listed.stream, listed.listed_from],
    )


def _move_watermark(
    transaction: Connection, job: Job, listed: Listed, shortfall: int, runs: int, vanished: int
) -> None:
    """A shortfall holds the watermark for three runs; then it moves on, and a delta's asks for a reconciliation."""
    moves = not shortfall or runs > _SHORTFALL_RUNS
    if shortfall and moves and not listed.complete:
        transaction.execute(
            "select private.enqueue_sync(%s, %s, 'reconcile', 'items were missing')", [job.org_id, job.source_id]
        )
    transaction.execute(
        """insert into sync_streams as s (org_id, source_id, stream, watermark, listed_at, shortfall, shortfall_runs,
                                          vanished)
           values (%(org)s, %(source)s, %(stream)s, coalesce(%(watermark)s::timestamptz, '-infinity'),
                   %(listed_at)s::timestamptz, %(shortfall)s,
                   %(runs)s, %(vanished)s)
           on conflict (org_id, source_id, stream) do update
           set watermark = greatest(s.watermark, excluded.watermark),
               listed_at = coalesce(excluded.listed_at, s.listed_at), shortfall = excluded.shortfall,
               shortfall_runs = excluded.shortfall_runs,
               vanished = case when %(complete)s then excluded.vanished else s.vanished end""",
        {
            "org": job.org_id,
            "source": job.source_id,
            "stream": listed.stream,
            "watermark": listed.watermark if moves else None,
            "listed_at": listed.listed_from if listed.complete else None,
            "shortfall": shortfall,
            "runs": 0 if moves else runs,
            "vanished": vanished,
            "complete": listed.complete,
        },
    )
