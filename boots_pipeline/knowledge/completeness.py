"""Why a search found fewer than were asked for, or could not look at everything, in one sentence."""

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
    living, waiting = (row["living"], row["waiting"]) if row else (0, 0)
    if not living:
        return "The organisation has no documents yet."
    if waiting:
        return f"{waiting} of {counted(living, 'documents')} {_are(waiting)} not embedded yet: found by words alone."
    if found < asked:
        whole = f"The organisation has only {counted(living, 'documents')}" if living < asked else ""
        return f"{whole or f'Only {found} of {living} documents have anything to do with it'}."
    return None


def clients_completeness(connection: Connection, org_id: UUID, found: int, asked: int) -> str | None:
    """None when as many were found as were asked for, and none waits for its vector."""
    row = connection.execute(
        """select count(*) as living, count(*) filter (where c.embedding_model is distinct from m.active) as waiting
             from public.client_intelligence c left join public.embedding_models m on m.org_id = c.org_id
            where c.org_id = %s and c.retired_at is null""",
        [org_id],
    ).fetchone()
    living, waiting = (row["living"], row["waiting"]) if row else (0, 0)
    if not living:
        return "The organisation has no clients yet."
    if waiting:
        return f"{waiting} of {counted(living, 'clients')} {_are(waiting)} not embedded yet, and cannot be found."
    if found < asked:
        whole = f"The organisation has only {counted(living, 'clients')}" if living < asked else ""
        return f"{whole or f'Only {found} of {living} clients have anything to do with it'}."
    return None


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
