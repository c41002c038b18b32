"""What a provider's error amounts to: a class of ours, by its status and by how long it asks us to wait."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from boots_pipeline.errors import BootsError, Forbidden, NeedsReauth, RateLimited, Transient
from boots_pipeline.providers.answers import Trouble


def error_of(title: str, trouble: Trouble, told_to_wait: str | None = None) -> BootsError | None:
    """An error as a class of ours, by the status that it amounts to; None where that says nothing. The provider's text
    is not repeated."""
    match trouble.status:
        case 401:
            return NeedsReauth(f"{title} refused the token. Connect again.")
        case 403:
            return Forbidden(f"{title} does not allow this with what was granted. Connect again with more rights.")
        case 429:
            wait = retry_after(told_to_wait) if trouble.wait is None else trouble.wait
            return RateLimited(f"{title} asks us to slow down.", wait)
        case status if 500 <= status < 600:
            return Transient(f"{title} failed with HTTP {status}.")
    return None


def retry_after(header: str | None) -> float:
    """Seconds to wait, between one and 3,600, told as seconds or as a date; 10 when it is neither."""
    try:
        seconds = float(header or "")
    except ValueError:
        try:
            until = parsedate_to_datetime(header or "")
        except (ValueError, OverflowError):
            return 10.0
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(3600.0, max(1.0, seconds))
