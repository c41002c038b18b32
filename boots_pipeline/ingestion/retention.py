"""What was deleted at the provider leaves us, too: after its days, what a tombstoned document said is dropped.

Its row, title and address stay: proposals name it as what they were informed by.
"""

from dataclasses import dataclass

from boots_pipeline.resources.database import Database

_AT_ONCE = 1_000


@dataclass(frozen=True)
class Retention:
    """How long what a deleted document said is kept: for as long as a deletion may turn out to have been a mistake."""

    database: Database
    days: int

    def drop_deleted(self) -> int:
        """Drop what is due, in every organisation, a thousand documents a transaction; returns how many."""
        dropped = 0
        while True:
            with self.database.connection() as connection:
                row = connection.execute(
                    "select private.drop_deleted_content(%s, %s) as n", [self.days, _AT_ONCE]
                ).fetchone()
            now = int(row["n"]) if row else 0
            dropped += now
            if now < _AT_ONCE:
                return dropped
