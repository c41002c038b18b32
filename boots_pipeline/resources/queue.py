"""Jobs and their messages, through the functions of sql/…_sync_engine.sql: the only way in which either changes
hands."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from boots_pipeline.errors import ConfigError, DatabaseError, NotConnected
from boots_pipeline.resources.database import Connection, Database

LEASE_SECONDS = 120
HAND_OFF_SECONDS = 120  # how long a message stays invisible to the sensor while its run is starting


@dataclass(frozen=True)
class Message:
    """A message that was read. `problem` says why no run can finish it; it has been settled then."""

    msg_id: int
    read_ct: int
    org_id: UUID | None
    org_slug: str | None
    job_id: UUID | None
    provider: str | None
    problem: str | None


@dataclass(frozen=True)
class Job:
    """A sync that this process has claimed, as it was at the claim."""

    id: UUID
    org_id: UUID
    source_id: UUID
    kind: str
    attempt: int
    lease_token: UUID
    checkpoint: dict[str, Any]
    created_at: datetime


class SyncQueue:
    """The queue as the sensor and the sync engine use it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, quantity: int) -> list[Message]:
        """What waits, in autocommit: a message that crashes its reader must still be counted as read."""
        with self._database.connection() as connection:
            rows = connection.execute(
                "select * from private.read_sync_messages(%s, %s)", [quantity, HAND_OFF_SECONDS]
            ).fetchall()
        return [Message(**row) for row in rows]

    def note_alive(self) -> None:
        """Say that Dagster's daemon is there: it is who makes the sensor tick."""
        with self._database.connection() as connection:
            connection.execute("select private.note_alive('dagster')")

    def postpone(self, message: Message, seconds: int) -> None:
        """Look at a message again later, as if it had not been read: its run is queued or live."""
        with self._database.connection() as connection:
            connection.execute(
                "select private.postpone_sync_message(%s, %s, %s)", [message.msg_id, message.read_ct, seconds]
            )

    def claim(self, org_id: UUID, job_id: UUID, read_ct: int, run_id: str) -> Job | None:
        """Take a handed-off job; None when somebody holds it, it has ended, has to wait, or was handed off again."""
        with self._database.connection() as connection:
            return _job(
                connection.execute(
                    "select * from private.claim_sync(%s, %s, %s, %s, %s)",
                    [org_id, job_id, read_ct, LEASE_SECONDS, run_id],
                ).fetchone()
            )

    def claim_by_hand(self, org_id: UUID, provider: str, kind: str, run_id: str) -> Job | None:
        """Make (or adopt) a job and take it; None when one is running, or the provider asked us to wait.

        Raises NotConnected.
        """
        with _not_connected(), self._database.connection() as connection:
            return _job(
                connection.execute(
                    "select * from private.claim_sync_by_hand(%s, %s, %s, %s, %s)",
                    [org_id, provider, kind, LEASE_SECONDS, run_id],
                ).fetchone()
            )

    def renew(self, job: Job) -> bool:
        """Renew the lease; False when it is lost."""
        with self._database.connection() as connection:
            row = connection.execute(
                "select private.renew_sync_lease(%s, %s, %s, %s) as held",
                [job.org_id, job.id, job.lease_token, LEASE_SECONDS],
            ).fetchone()
        return bool(row and row["held"])

    def finish(
        self, transaction: Connection, job: Job, status: str, error_class: str | None, message: str | None
    ) -> bool:
        """End the job in the caller's transaction, beside its watermarks; False when the lease is lost."""
        row = transaction.execute(
            "select private.finish_sync(%s, %s, %s, %s, %s, %s) as ended",
            [job.org_id, job.id, job.lease_token, status, error_class, message],
        ).fetchone()
        return bool(row and row["ended"])

    def release(
        self, job: Job, delay: timedelta, *, burns_attempt: bool, error_class: str | None, message: str | None
    ) -> bool:
        """Give the job back to the queue until `delay` has passed; False when the lease is lost."""
        with self._database.connection() as connection:
            row = connection.execute(
                "select private.release_sync(%s, %s, %s, %s, %s, %s, %s) as released",
                [job.org_id, job.id, job.lease_token, delay, burns_attempt, error_class, message],
            ).fetchone()
        return bool(row and row["released"])

    def enqueue(self, org_id: UUID, source_id: UUID, kind: str, reason: str) -> UUID:
        """Ask for a sync; returns the job that will do it. Raises NotConnected."""
        with _not_connected(), self._database.connection() as connection:
            row = connection.execute(
                "select private.enqueue_sync(%s, %s, %s, %s) as job", [org_id, source_id, kind, reason]
            ).fetchone()
        assert row is not None
        return UUID(str(row["job"]))

    def enqueue_due(self, limit: int) -> int:
        """Put what the rhythms say is due into the queue; returns how many."""
        with self._database.connection() as connection:
            row = connection.execute("select private.enqueue_due_syncs(%s) as due", [limit]).fetchone()
        return int(row["due"]) if row else 0

    def leased(self, jobs: Collection[UUID]) -> set[UUID]:
        """Which of these jobs a worker holds now."""
        with self._database.connection() as connection:
            rows = connection.execute("select private.leased_jobs(%s) as id", [list(jobs)]).fetchall()
        return {row["id"] for row in rows}

    def connected_organisations(self) -> Sequence[str]:
        """The slugs of every organisation that has ever been connected."""
        with self._database.connection() as connection:
            rows = connection.execute("select slug from private.connected_organisations()").fetchall()
        return [row["slug"] for row in rows]

    def organisation_id(self, slug: str) -> UUID:
        """The organisation behind a partition. Raises ConfigError when there is none."""
        with self._database.connection() as connection:
            row = connection.execute("select private.organisation_id(%s) as id", [slug]).fetchone()
        if row is None or row["id"] is None:
            raise ConfigError(f"There is no organisation {slug!r}.")
        return UUID(str(row["id"]))


@contextmanager
def _not_connected() -> Iterator[None]:
    """BT001 is the functions' way to say that there is no connection to sync."""
    try:
        yield
    except DatabaseError as error:
        if error.sqlstate != "BT001":
            raise
        raise NotConnected("It is not connected; connect it on the settings page.") from None


def _job(row: dict[str, Any] | None) -> Job | None:
    if row is None:
        return None
    return Job(**{name: row[name] for name in Job.__dataclass_fields__})
