"""What an admin had deleted when he disconnected: the pages delete it at once; what they could not finish is finished
here, and profiles that rested on it are computed anew.

The work is `private.forget_batch` (sql/…_forgetting_and_readiness.sql), which touches marked connections only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from boots_pipeline.errors import DatabaseError
from boots_pipeline.resources.database import Database

_AT_ONCE = 1_000  # documents a transaction: about a second at worst, and a lock no longer than that
_BATCHES = 20  # as long as a sensor's tick should take


@dataclass
class Finished:
    """What a tick came to: batches that were followed by another, and what could not be deleted, and why."""

    batches: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Forgetting:
    """What the pages left of it."""

    database: Database

    def finish(self) -> Finished:
        """Delete what was asked for more than a minute ago and is still there, within a tick's time. What is left then,
        or fails, is for the next tick; what fails is in nobody else's way."""
        with self.database.connection() as connection:
            marked = connection.execute("select org_id, source_id from private.marked_to_forget()").fetchall()
        finished = Finished()
        for each in marked:
            try:
                while finished.batches < _BATCHES and self._forget(each["org_id"], each["source_id"]):
                    finished.batches += 1
            except DatabaseError as error:
                finished.failures.append(f"connection {each['source_id']}: {error}")
        return finished

    def _forget(self, org_id: UUID, source_id: UUID) -> bool:
        """One batch; returns whether there may be more."""
        with self.database.connection() as connection:
            row = connection.execute(
                "select private.finish_forgetting(%s, %s, %s) as more", [org_id, source_id, _AT_ONCE]
            ).fetchone()
        return bool(row and row["more"])

    def to_roll_up(self) -> Sequence[str]:
        """The organisations, by slug, in which profiles rest on documents that are gone."""
        with self.database.connection() as connection:
            rows = connection.execute("select private.organisations_to_roll_up() as slug").fetchall()
        return [row["slug"] for row in rows]
