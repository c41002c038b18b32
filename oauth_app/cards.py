"""A provider's card: what is known of it, put into words. The page and `GET /api/integrations` show the same cards."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from boots_pipeline.counting import counted
from boots_pipeline.providers import PROVIDERS
from oauth_app.connections import Known, Run, overview_of
from oauth_app.session import Person
from oauth_app.states import State, allowed, state_of
from oauth_app.wording import duration, iso, stage

_KINDS = {"full": "Everything", "delta": "What changed", "reconcile": "Weekly check of everything"}
_OUTCOMES = {
    "completed": "Completed",
    "partial": "Completed, with something missing",
    "failed": "Failed",
    "cancelled": "Stopped",
    "dead": "Given up",
}
_STEADY_SECONDS = 3  # a rate of the first moments says nothing


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
class PastRun:
    """A sync that has ended."""

    kind: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    added: int
    changed: int
    removed: int
    unchanged: int
    left_out: int
    message: str | None
    title: str
    words: str


@dataclass(frozen=True)
class Missing:
    """An item that was left out, and why."""

    stream: str
    id: str
    reason: str
    attempts: int
    last_tried_at: datetime


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
    documents: dict[str, int] | None = None
    documents_words: str = "none yet"
    left_out: int = 0
    left_out_items: tuple[Missing, ...] = ()
    progress: Progress | None = None
    runs: tuple[PastRun, ...] = ()
    can: tuple[str, ...] = ()  # what the state allows and the person may

    @property
    def is_live(self) -> bool:
        """Whether it changes by itself."""
        return self.progress is not None or self.state in ("waiting", "deleting")

    @property
    def has_history(self) -> bool:
        """Whether there is more to tell than that it could be connected."""
        return bool(self.runs or self.has_facts)

    @property
    def has_facts(self) -> bool:
        return bool(self.documents or self.progress or self.last_synced_at or self.account)

    @property
    def mark(self) -> str:
        """A monogram: GD for Google Drive, H for Hubspot."""
        return "".join(letter for letter in self.title if letter.isupper())[:2] or self.title[:1]

    @property
    def connect_label(self) -> str:
        return "Connect again" if self.state in ("needs_reauth", "error") else "Connect"

    @property
    def version(self) -> str:
        """Changes when more than the progress and the distance of times does."""
        told = {
            **asdict(self),
            "progress": self.progress is not None,
            "status": "",
            "advice": "",
            "documents_words": "",
        }
        told["documents"] = None if self.progress else told["documents"]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """As the API tells it: times in ISO 8601, UTC."""
        return {**_in_iso(asdict(self)), "version": self.version}


def cards_of(person: Person) -> list[Card]:
    """Every provider's card."""
    overview = overview_of(person)
    cards = []
    for name, provider in PROVIDERS.items():
        known = overview.connections.get(name)
        state = state_of(known, provider.title, overview.worker_seen_at)
        can = allowed(state, known) if person.is_admin else ()
        cards.append(_card(name, known, state, can))
    return cards


def _card(name: str, known: Known | None, state: State, can: tuple[str, ...]) -> Card:
    provider = PROVIDERS[name]
    if known is None:
        return Card(name, provider.title, provider.brings, state.name, state.status, can=can)
    documents = dict(sorted(known.documents.items()))
    return Card(
        provider=name,
        title=provider.title,
        brings=provider.brings,
        state=state.name,
        status=state.status,
        advice=state.advice,
        message=state.message,
        account=known.account,
        last_synced_at=known.last_synced_at,
        next_sync_at=known.next_sync_at if known.status in ("active", "error") else None,
        documents=documents,
        documents_words=in_words(documents),
        left_out=known.left_out,
        left_out_items=tuple(
            Missing(item.stream, item.external_id, item.reason, item.attempts, item.last_seen_at)
            for item in known.left_out_items
        ),
        progress=_progress(known.live) if known.live and known.status in ("active", "error") else None,
        runs=tuple(_past(run) for run in known.runs if not run.is_live),
        can=can,
    )


def in_words(documents: dict[str, int]) -> str:
    """`412 companies, 1,204 contacts`."""
    return ", ".join(counted(n, kind) for kind, n in documents.items()) or "none yet"


def _progress(run: Run) -> Progress:
    rate, now = None, datetime.now(UTC)
    moves = run.status == "running" and (run.lease_until is None or run.lease_until > now)
    if moves and run.claimed_at is not None:
        seconds = (now - run.claimed_at).total_seconds()
        if seconds >= _STEADY_SECONDS and run.seen > run.seen_at_claim:
            rate = round((run.seen - run.seen_at_claim) / seconds, 1)
    left = round((run.expected - run.seen) / rate) if rate and run.expected and run.expected > run.seen else None
    parts = [stage(run.stage)] if moves or not run.seen else []
    if run.seen:
        known_total = run.expected if run.expected is not None and run.expected >= run.seen else None
        parts.append(f"{run.seen:,} of {counted(known_total, 'items')}" if known_total else counted(run.seen, "items"))
        parts += [] if moves else ["so far"]
    if rate and rate >= 1:
        parts.append(f"{rate:,.0f} a second")
    if left:
        parts.append(f"about {duration(left)} left")
    words = ", ".join(parts).replace(", so far", " so far")
    return Progress(run.kind, run.stage, run.seen, run.expected, rate, left, words[:1].upper() + words[1:])


def _past(run: Run) -> PastRun:
    counts = [
        f"{number:,} {word}"
        for number, word in (
            (run.added, "new"), (run.changed, "changed"), (run.removed, "removed"), (run.left_out, "left out"),
        )
        if number
    ]  # fmt: skip
    began = run.started_at or run.created_at
    words = ", ".join(counts) or ("nothing had changed" if run.status == "completed" else "")
    if run.finished_at is not None and run.started_at is not None:
        took = f"took {duration((run.finished_at - run.started_at).total_seconds())}"
        words = f"{words}, {took}" if words else took
    return PastRun(
        kind=run.kind,
        status=run.status,
        started_at=began,
        finished_at=run.finished_at,
        added=run.added,
        changed=run.changed,
        removed=run.removed,
        unchanged=run.unchanged,
        left_out=run.left_out,
        message=run.message,
        title=f"{_KINDS.get(run.kind, run.kind)}: {_OUTCOMES.get(run.status, run.status).lower()}",
        words=words[:1].upper() + words[1:],
    )


def _in_iso(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, dict):
        return {name: _in_iso(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_in_iso(each) for each in value]
    return value
