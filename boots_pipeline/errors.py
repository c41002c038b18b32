"""What can go wrong, by class. The class decides retry, status and what the user is told.

Every message here is ours and safe to store and show: a provider's text, a token or Postgres's DETAIL (which holds row
data) never goes into one. The classes are those of docs/sync.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class BootsError(Exception):
    """An error whose message may be shown. `error_class` is what job rows and checks call it."""

    error_class: ClassVar[str] = "bug"


class Transient(BootsError):
    """The provider or the network failed in a way that usually passes."""

    error_class = "transient"


class RateLimited(BootsError):
    """The provider asks us to wait. `retry_after` in seconds, already clamped."""

    error_class = "rate_limited"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NeedsReauth(BootsError):
    """The grant is gone or too narrow: a person must connect again."""

    error_class = "needs_reauth"


class NotConnected(NeedsReauth):
    """There is no connection, or it was ended: nothing can be synced before somebody connects."""


class Forbidden(BootsError):
    """The grant is fine but does not cover this one thing."""

    error_class = "permission"


class BadItem(BootsError):
    """One item that cannot be kept; the rest of its page can."""

    error_class = "bad_item"


class BadPage(BootsError):
    """An answer that is no page of data: HTML, an error in prose, a cursor that goes round in circles."""

    error_class = "bad_page"


class StaleCursor(BadPage):
    """A place in a listing that the provider has forgotten: the listing begins anew."""


class ConfigError(BootsError):
    """Something that only an operator can set right."""

    error_class = "config"


class InfraError(BootsError):
    """Our own database or machine failed."""

    error_class = "infra"


class DatabaseError(InfraError):
    """A Postgres error without its text: SQLSTATE, table and constraint say enough and hold no row data."""

    def __init__(self, sqlstate: str | None, table: str | None, constraint: str | None) -> None:
        where = ", ".join(part for part in (table, constraint) if part)
        super().__init__(
            f"Postgres error {sqlstate}{f' ({where})' if where else ''}"
            if sqlstate
            else "The database does not answer, or the connection to it broke."
        )
        self.sqlstate = sqlstate


class LeaseLost(BootsError):
    """Another worker, or a disconnect, has taken the job: stop and write nothing more."""

    error_class = "cancelled"


@contextmanager
def alone() -> Iterator[None]:
    """Errors of ours come out of here without the library's that they were made of, which may hold the other side's
    whole answer. `from None` hides that one from tracebacks, and keeps it."""
    try:
        yield
    except BootsError as error:
        error.__context__ = None
        raise
