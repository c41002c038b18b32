"""Why a search found fewer than were asked for, or could not look at everything, in one sentence."""

from typing import Any
from uuid import UUID

from boots_pipeline.counting import counted
from boots_pipeline.resources.database import Connection


def documents_completeness(connection: Connection, org_id: UUID, found: int, asked: int) -> str | None:
    """None when everything was looked at and as many were found as were asked for."""
    row = connection.execute(
        """select count(*) as living, count(*) filter (where d.embedding_model is distinct from m.active) as waiting
             from public.source_documents d left join public.embedding_models m on m.org_id = d.org_id
            where d.org_id = %s and d.deleted_at is null""",
        [org_id],
    ).fetchone()
    return _in_words(row, "documents", ": found by words alone", found, asked)


def clients_completeness(connection: Connection, org_id: UUID, found: int, asked: int) -> str | None:
    """None when as many were found as were asked for, and none waits for its vector."""
    row = connection.execute(
        """select count(*) as living, count(*) filter (where c.embedding_model is distinct from m.active) as waiting
             from public.client_intelligence c left join public.embedding_models m on m.org_id = c.org_id
            where c.org_id = %s and c.retired_at is null""",
        [org_id],
    ).fetchone()
    return _in_words(row, "clients", ", and cannot be found", found, asked)


def _in_words(row: dict[str, Any] | None, things: str, without_vectors: str, found: int, asked: int) -> str | None:
    living, waiting = (row["living"], row["waiting"]) if row else (0, 0)
    if not living:
        return f"The organisation has no {things} yet."
    if waiting:
        are = "is" if waiting == 1 else "are"
        return f"{waiting} of {counted(living, things)} {are} not embedded yet{without_vectors}."
    if living < asked:
        return f"The organisation has only {counted(living, things)}."
    return f"Only {found} of {living} {things} have anything to do with it." if found < asked else None
