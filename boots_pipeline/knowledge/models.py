"""Which embedding model an organisation's vectors are of. Vectors of two models are never compared."""

from uuid import UUID

from boots_pipeline.errors import ConfigError
from boots_pipeline.resources.database import Connection
from boots_pipeline.resources.embedder import Embedder


def active_model(connection: Connection, org_id: UUID) -> str | None:
    """The model that the organisation's queries are embedded with; None before its first vector."""
    row = connection.execute("select active from public.embedding_models where org_id = %s", [org_id]).fetchone()
    return row["active"] if row else None


def require_model(connection: Connection, org_id: UUID, embedder: Embedder) -> None:
    """Refuse an embedder of another model than the organisation's; the first one becomes the organisation's."""
    connection.execute(
        "insert into public.embedding_models (org_id, active) values (%s, %s) on conflict do nothing",
        [org_id, embedder.model],
    )
    _refuse_other(active_model(connection, org_id), embedder)


def check_model(connection: Connection, org_id: UUID, embedder: Embedder) -> None:
    """The same for a reader, who registers nothing."""
    _refuse_other(active_model(connection, org_id), embedder)


def _refuse_other(active: str | None, embedder: Embedder) -> None:
    if active is not None and active != embedder.model:
        raise ConfigError(
            f"This organisation's vectors were made by {active}, but this process embeds with {embedder.model}. "
            f"EMBEDDING_MODEL must be set back to {active.removeprefix('openai/')}."
        )
