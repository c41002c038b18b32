"""Writing a proposal down with what informed it: sections, attributions and the end of its job, in one transaction."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson
from psycopg.types.json import Jsonb

from boots_pipeline.agents.jobs import finish_job
from boots_pipeline.agents.stages import Knowledge, Research, ReviewedClaim, ReviewedDraft, ReviewedSection
from boots_pipeline.errors import BadItem
from boots_pipeline.resources.database import Connection, Database

_ROLE = "writer"
_LONGEST_QUOTE = 2000
_COLUMNS = (
    ("section", "text"),
    ("org_brain_id", "uuid"),
    ("client_intelligence_id", "uuid"),
    ("source_document_id", "uuid"),
    ("relevance_score", "float4"),
    ("evidence_document_id", "uuid"),
    ("evidence_passage", "int4"),
    ("evidence_quote", "text"),
    ("evidence_content_hash", "bytea"),
    ("evidence_title", "text"),
    ("evidence_provider", "text"),
    ("evidence_as_of", "timestamptz"),
)


def attribute(
    database: Database,
    org_id: UUID,
    proposal_id: UUID,
    reviewed: ReviewedDraft,
    research: Research,
    *,
    job_id: UUID,
    worker: str,
) -> int:
    """Write it all, or nothing: how many attributions stand. Doing it again changes nothing.

    Raises LeaseLost when the job is no longer this worker's, and BadItem when the review left nothing to write.
    """
    if not reviewed.sections:
        raise BadItem("Nothing of the draft could be verified, so no proposal was written.")
    knowledge = {piece.id: piece for piece in research.knowledge}
    sections = [_section(section) for section in reviewed.sections]
    with database.organisation(org_id) as connection:
        finish_job(connection, org_id, job_id, worker)
        rows = list(_attributions(reviewed, _still_there(connection, org_id, knowledge)))
        connection.execute(
            """update public.proposals set sections = %s, status = 'ready', updated_at = now()
                where org_id = %s and id = %s""",
            [Jsonb(sections, dumps=orjson.dumps), org_id, proposal_id],
        )
        _insert(connection, org_id, proposal_id, rows)
    return len(rows)


def _section(section: ReviewedSection) -> dict[str, str]:
    """What the page shows. Quotes and titles stand in source_attribution alone, where deleting a source blanks them."""
    return {"heading": section.heading, "body": "\n\n".join(_paragraph(claim) for claim in section.claims)}


def _paragraph(claim: ReviewedClaim) -> str:
    return f"{claim.text} _({claim.note})_" if claim.note else claim.text


def _still_there(connection: Connection, org_id: UUID, knowledge: dict[str, Knowledge]) -> dict[str, Knowledge]:
    """What rests on no document, or on one that is living: what was deleted while we wrote is quoted no more."""
    # private.forget_batch deletes under this lock: it has gone before us, or it sees what we write and blanks it.
    connection.execute("select pg_advisory_xact_lock(hashtextextended('roll_up:' || %s, 0))", [org_id])
    found = connection.execute(
        "select id from public.source_documents where org_id = %s and id = any(%s) and deleted_at is null",
        [org_id, [piece.document_id for piece in knowledge.values() if piece.document_id]],
    )
    living = {None, *(row["id"] for row in found)}
    return {each: piece for each, piece in knowledge.items() if piece.document_id in living}


def _attributions(reviewed: ReviewedDraft, knowledge: dict[str, Knowledge]) -> Iterator[tuple[Any, ...]]:
    """One row a section and quote. The target is the client, else our own word, else the document itself."""
    seen: set[tuple[str, str, str]] = set()
    for section in reviewed.sections:
        for citation in (each for claim in section.claims for each in claim.citations):
            piece = knowledge.get(citation.knowledge_id)
            if piece is None:
                continue
            quote = citation.quote[:_LONGEST_QUOTE]
            if (section.heading, piece.id, quote) in seen:
                continue
            seen.add((section.heading, piece.id, quote))
            of_nobody = piece.client_intelligence_id is None and piece.org_brain_id is None
            yield (
                section.heading,
                piece.org_brain_id,
                piece.client_intelligence_id,
                piece.document_id if of_nobody else None,
                piece.relevance,
                piece.document_id,
                piece.passage if piece.document_id else None,
                quote,
                bytes.fromhex(piece.content_hash) if piece.content_hash else None,
                piece.title,
                piece.provider,
                piece.as_of,
            )


def _insert(connection: Connection, org_id: UUID, proposal_id: UUID, rows: list[tuple[Any, ...]]) -> None:
    names = ", ".join(name for name, _ in _COLUMNS)
    columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS)
    connection.execute(f"create temp table staged_attributions ({columns}) on commit drop")
    with connection.cursor().copy("copy staged_attributions from stdin (format binary)") as copy:
        copy.set_types([kind for _, kind in _COLUMNS])
        for row in rows:
            copy.write_row(row)
    connection.execute(
        f"""insert into public.source_attribution (org_id, proposal_id, agent_role, {names})
            select %s, %s, %s, {names} from staged_attributions
            on conflict on constraint source_attribution_once do nothing""",  # noqa: S608
        [org_id, proposal_id, _ROLE],
    )
