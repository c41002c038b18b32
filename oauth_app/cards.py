"""What is known of each provider for one organisation, read in one statement and put into words: a card.

The page and `GET /api/integrations` show the same cards.
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from boots_pipeline.providers import PROVIDERS
from oauth_app.services import services
from oauth_app.session import Person
from oauth_app.wording import counted, duration, moment, stage

_CARDS = """
select s.provider, s.status, s.status_message as message, s.connected_at, s.last_synced_at,
       coalesce(s.external_account_name, s.external_account_id) as account,
       due.next_sync_at, docs.documents, coalesce(left_out.items, 0) as left_out,
       job.kind, job.status as job_status, job.stage, job.items_seen, job.items_expected, job.started_at,
       job.retry_after, job.error_message
  from connected_sources s
  left join lateral (select min(next_due_at) as next_sync_at from sync_schedules d
                      where d.org_id = s.org_id and d.source_id = s.id) due on true
  left join lateral (select jsonb_object_agg(document_type, n) as documents
                       from (select document_type, count(*) as n from source_documents d
                              where d.org_id = s.org_id and d.source_id = s.id and d.deleted_at is null
                              group by document_type) types) docs on true
  left join lateral (select count(*) as items from quarantined_items q
                      where q.org_id = s.org_id and q.source_id = s.id) left_out on true
  left join lateral (select * from ingestion_jobs j where j.org_id = s.org_id and j.source_id = s.id
                      order by j.created_at desc, j.id limit 1) job on true
 where s.org_id = %s
"""


@dataclass(frozen=True)
class Progress:
    """A sync that waits or runs."""

    kind: str
    stage: str
    items_seen: int
    items_expected: int | None
    items_per_second: float | None
    seconds_left: int | None
    words: str


@dataclass(frozen=True)
class Card:
    """One provider. `state` says it to programs, `status` to people."""

    provider: str
    title: str
    brings: str
    state: str
    status: str
    advice: str | None = None
    message: str | None = None
    account: str | None = None
    last_synced_at: datetime | None = None
    next_sync_at: datetime | None = None
    documents: dict[str, int] = field(default_factory=dict)
    documents_words: str = "none yet"
    left_out: int = 0
    progress: Progress | None = None
    can: tuple[str, ...] = ()  # connect, sync, disconnect: what the state allows and the person may

    @property
    def is_live(self) -> bool:
        return self.progress is not None

    @property
    def connect_label(self) -> str:
        return (
            "Connect"
            if self.state in ("never_connected", "waiting", "not_connected", "disconnected")
            else "Connect again"
        )

    def as_json(self) -> dict[str, Any]:
        """As the API tells it."""
        told = asdict(self)
        for name in ("last_synced_at", "next_sync_at"):
            told[name] = told[name].isoformat() if told[name] else None
        return told


def cards_of(person: Person) -> list[Card]:
    """Every provider's card."""
    with services().database.user(person.user_id) as transaction:
        rows = {row["provider"]: row for row in transaction.execute(_CARDS, [person.org_id]).fetchall()}
    return [_card(name, provider.title, rows.get(name), person.is_admin) for name, provider in PROVIDERS.items()]


def _card(name: str, title: str, row: dict[str, Any] | None, is_admin: bool) -> Card:
    brings = PROVIDERS[name].brings
    if row is None:
        return Card(name, title, brings, "never_connected", "Never connected", can=_can("never_connected", is_admin))
    progress = _progress(row)
    state = _state(row)
    status, advice = _words(title, row, state)
    documents = dict(sorted((row["documents"] or {}).items()))
    return Card(
        provider=name,
        title=title,
        brings=brings,
        state=state,
        status=status,
        advice=advice,
        message=row["message"],
        account=row["account"],
        last_synced_at=row["last_synced_at"],
        next_sync_at=row["next_sync_at"] if state != "needs_reauth" else None,
        documents=documents,
        documents_words=", ".join(counted(n, kind) for kind, n in documents.items()) or "none yet",
        left_out=row["left_out"],
        progress=progress,
        can=_can(state, is_admin),
    )


def _state(row: dict[str, Any]) -> str:
    if row["status"] in ("needs_reauth", "revoked", "pending"):
        return {"needs_reauth": "needs_reauth", "revoked": "disconnected", "pending": "waiting"}[row["status"]]
    if row["job_status"] == "running":
        return "syncing"
    if row["job_status"] == "queued":
        return "paused" if _is_ahead(row["retry_after"]) else "queued"
    if row["status"] == "error":
        # Its rhythms stand as long as it holds a grant.
        return "error" if row["next_sync_at"] else "not_connected"
    return "up_to_date" if row["last_synced_at"] else "connected"


def _words(title: str, row: dict[str, Any], state: str) -> tuple[str, str | None]:
    retry = f"It is tried again {moment(row['next_sync_at'])}." if row["next_sync_at"] else None
    return {
        "waiting": (f"Waiting for you at {title}", "You have not come back from there yet. Connect starts anew."),
        "needs_reauth": (f"{title} needs you again", "Connect again to go on; nothing that was synced is lost."),
        "disconnected": ("Disconnected", "What was synced is kept, and no longer brought up to date."),
        "syncing": ("Syncing", None),
        "paused": (f"Paused until {moment(row['retry_after'])}", f"{title} asked us to wait; it goes on by itself."),
        "queued": ("Waiting to sync", None),
        "error": ("Something went wrong", retry),
        "not_connected": ("Not connected", None),
        "up_to_date": (f"Up to date as of {moment(row['last_synced_at'])}", None),
        "connected": ("Connected", retry),
    }[state]


def _progress(row: dict[str, Any]) -> Progress | None:
    if row["job_status"] not in ("queued", "running"):
        return None
    seen, expected, started = row["items_seen"], row["items_expected"], row["started_at"]
    rate = None
    if row["job_status"] == "running" and started is not None and seen:
        rate = round(seen / max(1.0, (datetime.now(UTC) - started).total_seconds()), 1)
    left = round((expected - seen) / rate) if rate and expected and expected > seen else None
    parts = [stage(row["stage"])]
    if seen:
        parts.append(f"{seen:,} of {expected:,} items" if expected else f"{seen:,} items")
    if rate:
        parts.append(f"{rate:,.0f} a second")
    if left:
        parts.append(f"about {duration(left)} left")
    words = ", ".join(parts)
    return Progress(row["kind"], row["stage"], seen, expected, rate, left, words[:1].upper() + words[1:])


def _can(state: str, is_admin: bool) -> tuple[str, ...]:
    if not is_admin:
        return ()
    return {
        "never_connected": ("connect",),
        "waiting": ("connect",),
        "disconnected": ("connect",),
        "not_connected": ("connect",),
        "needs_reauth": ("connect", "disconnect"),
        "error": ("sync", "connect", "disconnect"),
    }.get(state, ("sync", "disconnect"))


def _is_ahead(value: datetime | None) -> bool:
    return value is not None and value > datetime.now(UTC)
