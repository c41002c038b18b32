"""A document as the roll-up sees it: whom it is about and what it states, without its text."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from uuid import UUID

from boots_pipeline.knowledge.keys import domain, own_keys
from boots_pipeline.providers.base import Fact


@dataclass(frozen=True)
class Source:
    """One living document."""

    id: UUID
    source_id: UUID
    provider: str
    external_id: str
    title: str
    keys: tuple[str, ...]
    names_client: bool
    facts: tuple[Fact, ...]
    updated_at: datetime | None

    @cached_property
    def own_keys(self) -> tuple[str, ...]:
        """Where it is a client's record: that client's keys at its provider, its own first."""
        return own_keys(self.keys) if self.names_client else ()

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """The domains that its hints speak of."""
        return tuple(dict.fromkeys(found for key in self.keys if (found := domain(key))))
