"""What the tables know of an organisation's connections, read as the person who asks; nothing is put into words here.

A handful of statements in one transaction, whatever the number of providers.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from boots_pipeline.resources.database import Connection
from oauth_app.services import services
from oauth_app.session import Person

_RUNS_SHOWN = 5
_LEFT_OUT_SHOWN = 20

_CONNECTIONS = """
select s.id, s.provider, s.status, s.status_message as message, s.connected_at, s.last_synced_at, s.forgetting_since,
       s.forgotten_at, coalesce(s.external_account_name, s.external_account_id) as account, due.next_sync_at,
       attempt.begun_at, attempt.open_until, coalesce(docs.documents, '{}') as documents,
       coalesce(missing.n, 0) as left_out
  from connected_sources s
  left join private.attempts_to_connect(%(org)s) attempt on attempt.source_id = s.id
  left join lateral (select min(next_due_at) as next_sync_at from sync_schedules d
                      where d.org_id = s.org_id and d.source_id = s.id) due on true
  left join lateral (select jsonb_object_agg(document_type, n) as documents
                       from (select document_type, count(*) as n from source_documents d
                              where d.org_id = s.org_id and d.source_id = s.id and d.deleted_at is null
                              group by document_type) types) docs on true
  left join lateral (select count(*) as n from quarantined_items q
                      where q.org_id = s.org_id and q.source_id = s.id) missing on true
 where s.org_id = %(org)s
"""
_RUNS = """
select j.*
  from connected_sources s
 cross join lateral (select source_id, kind, status, stage, items_seen as seen, items_expected as expected,
                            seen_at_claim, created_at, claimed_at, lease_until, retry_after, started_at, finished_at,
                            error_class, error_message as message, documents_added as added,
                            documents_changed as changed, documents_removed as removed,
                            documents_unchanged as unchanged, items_quarantined as left_out
                       from ingestion_jobs j where j.org_id = s.org_id and j.source_id = s.id
                      order by j.created_at desc, j.id limit %(shown)s) j
 where s.org_id = %(org)s
"""
_LEFT_OUT = """
select q.*
  from connected_sources s
 cross join lateral (select source_id, stream, external_id, reason, attempts, last_seen_at
                       from quarantined_items q where q.org_id = s.org_id and q.source_id = s.id
                      order by last_seen_at desc, stream, external_id limit %(shown)s) q
 where s.org_id = %(org)s
"""


@dataclass(frozen=True)
class Run:
    """One sync, as its job tells it."""

    kind: str
    status: str
    stage: str
    seen: int
    expected: int | None
    seen_at_claim: int
    created_at: datetime
    claimed_at: datetime | None
    lease_until: datetime | None
    retry_after: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    error_class: str | None
    message: str | None
    added: int
    changed: int
    removed: int
    unchanged: int
    left_out: int

    @property
    def is_live(self) -> bool:
        return self.status in ("queued", "running")


@dataclass(frozen=True)
class LeftOut:
    """An item that the provider has and that could not be kept."""

    stream: str
    external_id: str
    reason: str
    attempts: int
    last_seen_at: datetime


@dataclass(frozen=True)
class Known:
    """A connection as its rows tell it. `open_until`: somebody is at the provider to connect it, until then."""

    provider: str
    status: str
    message: str | None
    connected_at: datetime | None
    last_synced_at: datetime | None
    next_sync_at: datetime | None
    forgetting_since: datetime | None
    forgotten_at: datetime | None
    account: str | None
    begun_at: datetime | None
    open_until: datetime | None
    documents: dict[str, int]
    left_out: int
    left_out_items: tuple[LeftOut, ...] = ()
    runs: tuple[Run, ...] = ()  # the newest first

    @property
    def live(self) -> Run | None:
        """The sync that waits or runs."""
        return self.runs[0] if self.runs and self.runs[0].is_live else None

    @property
    def holds_a_grant(self) -> bool:
        # Its rhythms stand as long as it does.
        return self.status in ("active", "needs_reauth") or (self.status == "error" and self.next_sync_at is not None)


@dataclass(frozen=True)
class Overview:
    """An organisation's connections by provider, and when the pipeline last said that it is there."""

    connections: dict[str, Known]
    worker_seen_at: datetime | None


def overview_of(person: Person) -> Overview:
    """Everything that the settings page shows."""
    with services().database.user(person.user_id) as transaction:
        rows = transaction.execute(_CONNECTIONS, {"org": person.org_id}).fetchall()
        runs = _by_source(transaction, _RUNS, person.org_id, _RUNS_SHOWN)
        left_out = _by_source(transaction, _LEFT_OUT, person.org_id, _LEFT_OUT_SHOWN)
        seen = transaction.execute("select private.last_seen('dagster') as at").fetchone()
    connections = {}
    for row in rows:
        source_id = row.pop("id")
        connections[row["provider"]] = Known(
            **row,
            left_out_items=tuple(LeftOut(**item) for item in left_out[source_id]),
            runs=tuple(Run(**run) for run in runs[source_id]),
        )
    return Overview(connections, seen["at"] if seen else None)


def _by_source(transaction: Connection, query: str, org_id: UUID, shown: int) -> dict[UUID, list[dict[str, Any]]]:
    found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in transaction.execute(query, {"org": org_id, "shown": shown}).fetchall():
        found[row.pop("source_id")].append(row)
    return found


def is_being_forgotten(person: Person, provider: str) -> bool:
    """Whether what this connection brought is being deleted now, so that nothing can be connected."""
    with services().database.user(person.user_id) as transaction:
        row = transaction.execute(
            """select 1 from connected_sources
                where org_id = %s and provider = %s and forgetting_since is not null""",
            [person.org_id, provider],
        ).fetchone()
    return row is not None
