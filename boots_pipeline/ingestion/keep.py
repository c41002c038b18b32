"""Writes a batch: what changed and nothing else, its vectors with it, and the checkpoint in the same transaction.

Two hashes are compared in bulk before any work. The payload's (without the parts that move by themselves) decides
whether anything is written, the text's whether anything is embedded. Writing is one binary COPY into a staging table
of the session and one INSERT … ON CONFLICT; never a statement a row.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import astuple, dataclass
from operator import add
from typing import Any
from uuid import UUID

import numpy as np
import orjson
from psycopg.types.json import Jsonb, set_json_dumps

from boots_pipeline.errors import BadItem, BootsError, LeaseLost
from boots_pipeline.ingestion.batches import Batch
from boots_pipeline.ingestion.sanitise import Clean, text
from boots_pipeline.knowledge.passages import cut, text_hash
from boots_pipeline.providers.base import Document, Provider, Rejected
from boots_pipeline.resources.database import Connection, Database
from boots_pipeline.resources.embedder import Embedder
from boots_pipeline.resources.queue import Job

set_json_dumps(orjson.dumps)
_log = logging.getLogger(__name__)

_COLUMNS = {
    "external_id": "text", "title": "text", "content": "text", "raw_payload": "jsonb", "content_hash": "bytea",
    "payload_hash": "bytea", "url": "text", "source_updated_at": "timestamptz", "passage_count": "int4",
    "client_keys": "text[]", "names_client": "bool", "facts": "jsonb", "version": "text", "embedding": "vector",
    "embedding_model": "text",
}  # fmt: skip


@dataclass
class Kept:
    """What became of a batch."""

    seen: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    embedded: int = 0
    quarantined: int = 0
    mended: int = 0  # kept without what Postgres cannot hold

    def __add__(self, more: "Kept") -> "Kept":
        return Kept(*map(add, astuple(self), astuple(more)))

    def __str__(self) -> str:
        return f"{self.seen} seen, {self.added} new, {self.changed} changed, {self.embedded} embedded"


@dataclass
class _Row:
    item: Clean
    document: Document
    payload_hash: bytes
    content_hash: bytes
    passages: list[str]
    embeds: bool
    known: bool
    vector: np.ndarray[Any, Any] | None = None


class Keeper:
    """Keeps the batches of one job's stream."""

    def __init__(self, database: Database, embedder: Embedder, provider: Provider, job: Job, stream: str) -> None:
        self._database = database
        self._embedder = embedder
        self._provider = provider
        self._job = job
        self._stream = stream

    def keep(self, batch: Batch, checkpoint: dict[str, Any], *, listed: bool = True) -> Kept:
        """Write a batch and move the job's checkpoint to `checkpoint`. Raises LeaseLost, having written nothing.

        `listed`: the listing handed these out, and not a question of ours: only then they count as seen.
        """
        items = list({item.external_id: item for item in batch.items}.values())
        known, model = self._known([item.external_id for item in items])
        rejected = {each.external_id: each for each in batch.rejected}
        rows, unmade = self._changed_rows(items, known, model)
        met = [item.external_id for item in items] + list(rejected) + batch.unchanged
        rejected |= {each.external_id: each for each in unmade}
        self._embed([row for row in rows if row.embeds])
        with self._database.organisation(self._job.org_id) as transaction:
            kept = Kept(
                seen=self._note_seen(transaction, met) if listed else 0,
                added=sum(not row.known for row in rows),
                changed=sum(row.known for row in rows),
                unchanged=len(items) - len(rows) - len(unmade) + len(batch.unchanged),
                removed=self._remove(transaction, rows, batch.deleted),
                embedded=sum(row.vector is not None for row in rows),
                quarantined=len(rejected),
                mended=sum(item.mended for item in items),
            )
            self._fence(transaction, checkpoint, kept, batch.expected)
            self._write(transaction, rows, model)
            written = {row.item.external_id for row in rows}
            self._note_versions(transaction, [item for item in items if item.external_id not in written])
            self._quarantine(transaction, list(rejected.values()), [item.external_id for item in items])
        return kept

    def kept_in_version(self, versions: Mapping[str, str]) -> AbstractSet[str]:
        """Of these ids with their versions, those that are kept in just that version."""
        with self._database.organisation(self._job.org_id) as transaction:
            rows = transaction.execute(
                """select d.external_id from unnest(%s::text[], %s::text[]) as listed (external_id, version)
                     join source_documents d on d.external_id = listed.external_id and d.version = listed.version
                    where d.org_id = %s and d.source_id = %s and d.document_type = %s and d.deleted_at is null""",
                [
                    list(versions), list(versions.values()),
                    self._job.org_id, self._job.source_id, self._stream,
                ],
            ).fetchall()  # fmt: skip
        return {row["external_id"] for row in rows}

    def forget(self, external_ids: Sequence[str]) -> None:
        """Quarantined items that the provider has no longer."""
        with self._database.organisation(self._job.org_id) as transaction:
            self._quarantine(transaction, [], external_ids)

    def _known(self, external_ids: Sequence[str]) -> tuple[dict[str, tuple[bytes, bytes, bool]], str]:
        """What is kept already: payload hash, text hash, and whether its vector is of the active model."""
        with self._database.organisation(self._job.org_id) as transaction:
            active = transaction.execute(
                "select active from embedding_models where org_id = %s", [self._job.org_id]
            ).fetchone()
            model = active["active"] if active else self._embedder.model
            rows = transaction.execute(
                """select external_id, payload_hash, content_hash, embedding_model = %s as embedded
                     from source_documents
                    where org_id = %s and source_id = %s and document_type = %s and external_id = any(%s)
                      and deleted_at is null""",
                [model, self._job.org_id, self._job.source_id, self._stream, list(external_ids)],
            ).fetchall()
        return {
            row["external_id"]: (bytes(row["payload_hash"]), bytes(row["content_hash"]), bool(row["embedded"]))
            for row in rows
        }, model

    def _changed_rows(
        self, items: Sequence[Clean], known: dict[str, tuple[bytes, bytes, bool]], model: str
    ) -> tuple[list[_Row], list[Rejected]]:
        """What has to be written, and what no document can be made of."""
        rows, rejected = [], []
        for item in items:
            before = known.get(item.external_id)
            try:
                payload = item.payload
                stable = self._provider.stable(self._stream, payload)
                payload_hash = hashlib.sha256(orjson.dumps(stable, option=orjson.OPT_SORT_KEYS)).digest()
                if before is not None and before[0] == payload_hash:
                    continue
                document = self._provider.document(self._stream, payload)
            except BadItem as reason:
                rejected.append(Rejected(item.external_id, str(reason)))
                continue
            content_hash = text_hash(document.title, document.content)
            same_text = before is not None and before[1] == content_hash and before[2]
            # An organisation that is on another model keeps its vectors pending: mixing models would mix meanings.
            embeds = not same_text and model == self._embedder.model
            passages = cut(document.title, document.content)
            rows.append(_Row(item, document, payload_hash, content_hash, passages, embeds, before is not None))
        return rows, rejected

    def _embed(self, rows: list[_Row]) -> None:
        """Opening passages, outside any transaction. When it fails they stay pending, and `embeddings` does them."""
        if not rows:
            return
        try:
            vectors = self._embedder.embed([row.passages[0] for row in rows])
        except BootsError as error:
            _log.warning("%d documents are kept without vectors: %s", len(rows), error)
            return
        for row, vector in zip(rows, vectors, strict=True):
            row.vector = vector

    def _fence(self, transaction: Connection, checkpoint: dict[str, Any], kept: Kept, expected: int | None) -> None:
        """Count the batch, if the job is still ours. A batch is progress: five claims are five without one."""
        fenced = transaction.execute(
            """update ingestion_jobs
                  set checkpoint = checkpoint || %s, attempt = 0, items_seen = items_seen + %s,
                      items_expected = case when %s::int is null then items_expected
                                            else coalesce(items_expected, 0) + %s end,
                      documents_added = documents_added + %s, documents_changed = documents_changed + %s,
                      documents_unchanged = documents_unchanged + %s, documents_removed = documents_removed + %s,
                      documents_embedded = documents_embedded + %s, items_quarantined = items_quarantined + %s,
                      items_mended = items_mended + %s
                where org_id = %s and id = %s and lease_token = %s""",
            [
                Jsonb({self._stream: checkpoint}), kept.seen, expected, expected, kept.added, kept.changed,
                kept.unchanged, kept.removed, kept.embedded, kept.quarantined, kept.mended,
                self._job.org_id, self._job.id, self._job.lease_token,
            ],
        )  # fmt: skip
        if fenced.rowcount != 1:
            raise LeaseLost("Another worker has taken this sync, or it was cancelled.")

    def _note_seen(self, transaction: Connection, external_ids: Sequence[str]) -> int:
        """Returns how many this listing had not met before: pages overlap, and what comes twice counts once."""
        return transaction.execute(
            """insert into ingestion_seen (org_id, job_id, stream, external_id)
               select %s, %s, %s, unnest(%s::text[]) on conflict do nothing""",
            [self._job.org_id, self._job.id, self._stream, list(external_ids)],
        ).rowcount

    def _remove(self, transaction: Connection, rows: Sequence[_Row], deleted: Sequence[str]) -> int:
        """Records that the provider merged into one of these, or says to have deleted."""
        gone = [*deleted, *(external_id for row in rows for external_id in row.document.absorbed)]
        return tombstone(transaction, self._job, self._stream, gone) if gone else 0

    def _note_versions(self, transaction: Connection, items: Sequence[Clean]) -> None:
        """A new version of the same record: nothing is written but that, or it would be read again each time."""
        versions = {item.external_id: item.version for item in items if item.version is not None}
        if versions:
            transaction.execute(
                """update source_documents d set version = read.version
                     from unnest(%s::text[], %s::text[]) as read (external_id, version)
                    where d.org_id = %s and d.source_id = %s and d.document_type = %s
                      and d.external_id = read.external_id and d.version is distinct from read.version
                      and d.deleted_at is null""",
                [
                    list(versions), list(versions.values()),
                    self._job.org_id, self._job.source_id, self._stream,
                ],
            )  # fmt: skip

    def _write(self, transaction: Connection, rows: Sequence[_Row], model: str) -> None:
        if not rows:
            return
        names = ", ".join(_COLUMNS)
        _staging_table(transaction, names)
        with transaction.cursor().copy(f"copy staged_documents ({names}) from stdin (format binary)") as copy:
            copy.set_types(list(_COLUMNS.values()))
            for row in rows:
                copy.write_row(self._staged(row, model))
        # Further passages of an old text go, a tombstoned one's too; `embeddings` cuts them anew.
        transaction.execute(
            """delete from source_document_passages p using source_documents d, staged_documents s
                where d.org_id = %s and d.source_id = %s and d.document_type = %s and d.external_id = s.external_id
                  and d.content_hash <> s.content_hash and p.org_id = d.org_id and p.document_id = d.id""",
            [self._job.org_id, self._job.source_id, self._stream],
        )
        updates = ", ".join(
            f"{name} = excluded.{name}"
            for name in _COLUMNS
            if name not in ("external_id", "embedding", "embedding_model")
        )
        transaction.execute(
            f"""insert into source_documents as d (org_id, source_id, provider, document_type, {names})
                select %s, %s, %s, %s, {names} from staged_documents
                on conflict (org_id, source_id, document_type, external_id) do update
                set {updates}, deleted_at = null, updated_at = clock_timestamp(),
                    embedding = case when d.content_hash = excluded.content_hash and excluded.embedding is null
                                     then d.embedding else excluded.embedding end,
                    embedding_model = case when d.content_hash = excluded.content_hash and excluded.embedding is null
                                           then d.embedding_model else excluded.embedding_model end""",  # noqa: S608 our own column names
            [self._job.org_id, self._job.source_id, self._provider.name, self._stream],
        )

    def _staged(self, row: _Row, model: str) -> tuple[Any, ...]:
        document = row.document
        facts = [
            {"name": fact.name, "value": fact.value, "as_of": fact.as_of.isoformat() if fact.as_of else None}
            for fact in document.facts
        ]
        return (
            row.item.external_id, text(document.title), text(document.content), Jsonb(row.item.json, dumps=bytes),
            row.content_hash, row.payload_hash, document.url, document.source_updated_at, len(row.passages),
            list(document.client_keys), document.names_client, Jsonb(facts), row.item.version, row.vector,
            model if row.vector is not None else None,
        )  # fmt: skip

    def _quarantine(self, transaction: Connection, rejected: Sequence[Rejected], met: Sequence[str]) -> None:
        """Name what could not be kept; what was met and is none of it has recovered."""
        named = [each.external_id for each in rejected]
        if rejected:
            transaction.execute(
                """insert into quarantined_items as q (org_id, source_id, stream, external_id, reason)
                   select %s, %s, %s, item.external_id, item.reason
                     from unnest(%s::text[], %s::text[]) as item (external_id, reason)
                   on conflict (org_id, source_id, stream, external_id) do update
                   set reason = excluded.reason, attempts = q.attempts + 1, last_seen_at = clock_timestamp()""",
                [
                    self._job.org_id, self._job.source_id, self._stream,
                    named, [each.reason for each in rejected],
                ],
            )  # fmt: skip
        transaction.execute(
            """delete from quarantined_items
                where org_id = %s and source_id = %s and stream = %s and external_id = any(%s)""",
            [self._job.org_id, self._job.source_id, self._stream, list(set(met) - set(named))],
        )


def _staging_table(transaction: Connection, names: str) -> None:
    """The session's staging table, made once. CREATE TABLE … AS forgets the storage; pglz is most of COPY's cost."""
    if transaction.execute("select to_regclass('pg_temp.staged_documents') as made").fetchone() == {"made": None}:
        transaction.execute(
            f"""create temp table staged_documents on commit delete rows as
                select {names} from source_documents with no data"""  # noqa: S608 our own column names
        )
        transaction.execute(
            """alter table staged_documents alter column content set storage external,
                                            alter column raw_payload set storage external"""
        )


def tombstone(transaction: Connection, job: Job, stream: str, external_ids: Sequence[str]) -> int:
    """Take documents out of search and of every profile; returns how many were living."""
    return transaction.execute(
        """update source_documents set deleted_at = clock_timestamp(), updated_at = clock_timestamp()
            where org_id = %s and source_id = %s and document_type = %s and external_id = any(%s)
              and deleted_at is null""",
        [job.org_id, job.source_id, stream, list(external_ids)],
    ).rowcount


def organisation_model(transaction: Connection, org_id: UUID, model: str) -> None:
    """Register the organisation's first embedding model; one that it has stays."""
    transaction.execute(
        "insert into embedding_models (org_id, active) values (%s, %s) on conflict do nothing", [org_id, model]
    )
