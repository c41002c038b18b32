"""Attempts to connect that nobody finished: when their time is over, the connection that waited for one has failed, and
says so. An attempt that is begun anew goes on, and so does a callback that came in time.
"""

from dataclasses import dataclass

from boots_pipeline.resources.database import Database

NEVER_FINISHED = "Connecting was begun and not finished in time. Press Connect to start again."


@dataclass(frozen=True)
class Attempts:
    """Those of every organisation."""

    database: Database

    def end_abandoned(self) -> int:
        """End what is over; returns how many connections waited in vain."""
        with self.database.connection() as connection:
            row = connection.execute("select private.end_abandoned_attempts(%s) as n", [NEVER_FINISHED]).fetchone()
        return int(row["n"]) if row else 0
