"""What an admin had deleted when he disconnected: the pages delete it at once; what they could not finish is finished
here, and profiles that rested on it are computed anew.

The work is `private.forget_batch` (sql/…_forgetting_and_readiness.sql), which touches marked connections only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from boots_pipeline.resources.database import Database

_AT_ONCE = 1_000  # documents a transaction: about a second at worst, and a lock no longer than that
_BATCHES = 20  # as long as a sensor's tick should take


@dataclass(frozen=True)
class Forgetting:
    """What the pages left of it."""

    database: Database

    def finish(self) -> int:
        """Delete what was asked for more than a minute ago and is still there, within a tick's time; returns the
        batches that it took. What is left then is for the next tick."""
        for done in range(_BATCHES):
            with self.database.connection() as connection:
                row = connection.execute("select private.finish_forgetting(%s) as more", [_AT_ONCE]).fetchone()
            if row is None or not row["more"]:
                return done
        return _BATCHES

    def to_roll_up(self) -> Sequence[str]:
        """The organisations, by slug, in which profiles rest on documents that are gone."""
        with self.database.connection() as connection:
            rows = connection.execute("select private.organisations_to_roll_up() as slug").fetchall()
        return [row["slug"] for row in rows]
