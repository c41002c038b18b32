"""Provider pages gathered into batches: up to 1,000 items, 8 MB or 2 s, the first one page so that something shows at
once.

Memory is bounded by these numbers and not by the size of the source.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from boots_pipeline.errors import BadItem, BootsError
from boots_pipeline.ingestion.sanitise import Clean, clean, text
from boots_pipeline.providers.base import Page, Rejected

_ITEMS = 1_000
_BYTES = 8_000_000
_SECONDS = 2.0
_NAME = 200  # characters of an id that serves as a name only


@dataclass
class Batch:
    """Items that are kept together, and where the listing goes on after them (None: it was read to its end)."""

    until: datetime  # when the listing began: a later date is of another clock than the provider's, or somebody's joke
    items: list[Clean] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    cursor: Any | None = None
    expected: int | None = None
    newest: datetime | None = None
    cut: int = 0
    size: int = 0

    def add(self, page: Page) -> None:
        """Take a page in; what cannot be kept is set aside with the reason."""
        for refused in page.rejected:
            self.reject(refused.external_id, refused.reason)
            self.cut += refused.nameless  # or what it was would be taken for deleted
        for item in page.items:
            try:
                kept = clean(item.external_id, item.payload, item.version)
            except BadItem as reason:
                self.reject(item.external_id, str(reason))
            else:
                self.items.append(kept)
                self._note(item.updated_at)
                self.size += len(kept.json)
        self.unchanged += page.unchanged
        self.deleted += page.deleted
        for date in page.dates:
            self._note(date)
        self.cut += page.cut
        self.cursor = page.cursor
        self.expected = page.total if page.total is not None else self.expected

    def _note(self, date: datetime | None) -> None:
        if date is not None and date <= self.until:
            self.newest = max(self.newest or date, date)

    def reject(self, external_id: str, reason: str) -> None:
        """Name an item that cannot be kept."""
        self.rejected.append(Rejected(text(external_id)[:_NAME], reason))


async def gather(pages: AsyncIterator[Page], *, first_is_one_page: bool, until: datetime) -> AsyncIterator[Batch]:
    """Batches of pages, in order. The last one has no cursor. What was gathered before an error comes before it."""
    batch, begun, full_at_once = Batch(until), time.monotonic(), first_is_one_page
    try:
        async for page in pages:
            batch.add(page)
            waited = time.monotonic() - begun
            full = len(batch.items) + len(batch.unchanged) >= _ITEMS or batch.size >= _BYTES or waited >= _SECONDS
            if full or full_at_once or page.cursor is None:
                yield batch
                batch, begun, full_at_once = Batch(until), time.monotonic(), False
    except BootsError:
        if batch.cursor is not None:
            yield batch
        raise
