"""In which state a connection is, what that is called, what to do about it, and what an admin may press. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from boots_pipeline.resources.attempts import NEVER_FINISHED
from oauth_app.connections import Known, Run
from oauth_app.wording import clock, moment

_UNSEEN = timedelta(minutes=1)  # the pipeline says that it is there every 15 s


@dataclass(frozen=True)
class State:
    """`name` says it to programs, `status` to people; `advice` is what to do or to expect."""

    name: str
    status: str
    advice: str | None = None
    message: str | None = None


def state_of(known: Known | None, title: str, worker_seen_at: datetime | None) -> State:
    """The one state that a person should know of first. `worker_seen_at`: when the pipeline last said so."""
    if known is None:
        return State("never_connected", "Never connected")
    if known.forgetting_since is not None:
        return State(
            "deleting", "Deleting what was synced",
            "It goes on by itself, and you can connect again when it is done.",
        )  # fmt: skip
    if known.open_until is not None and known.status != "active":
        return State(
            "waiting", f"Waiting for you at {title}",
            f"You have not come back from there yet. Connect starts anew; the attempt ends "
            f"{moment(known.open_until)}.",
        )  # fmt: skip
    if known.live is not None and known.status in ("active", "error"):
        return _at_work(known.live, title, worker_seen_at)
    return _at_rest(known, title)


def _at_rest(known: Known, title: str) -> State:
    retry = f"It is tried again {moment(known.next_sync_at)}." if known.next_sync_at else None
    kept = sum(known.documents.values())
    if known.status == "pending":
        if known.begun_at is not None:
            return _not_connected(NEVER_FINISHED)  # as the pipeline will write it down, within minutes
        return State("never_connected", "Never connected")
    if known.status == "needs_reauth":
        return State(
            "needs_reauth", f"{title} needs you again",
            "Connect again to go on. Nothing that was synced is lost.", known.message,
        )  # fmt: skip
    if known.status == "revoked":
        deleted = f"What had been synced was deleted {moment(known.forgotten_at)}."
        stays = "What was synced is kept, and no longer brought up to date." if kept else None
        return State("disconnected", "Disconnected", deleted if known.forgotten_at and not kept else stays)
    if known.status == "error":
        if known.holds_a_grant:
            return State("error", "The last sync failed", retry, known.message)
        return _not_connected(known.message)
    if known.last_synced_at is None:
        return State("connected", "Connected", retry, known.message)
    return State("up_to_date", f"Up to date as of {moment(known.last_synced_at)}", None, known.message)


def _not_connected(message: str | None) -> State:
    return State("not_connected", "Not connected", None if message else "Press Connect to try again.", message)


def _at_work(run: Run, title: str, worker_seen_at: datetime | None) -> State:
    now = datetime.now(UTC)
    if run.status == "running":
        if run.lease_until is not None and run.lease_until < now:
            return State(
                "interrupted", "The sync was interrupted", "It goes on from where it was, within a few minutes.",
            )  # fmt: skip
        return State("syncing", "Syncing")
    if run.retry_after is not None and run.retry_after > now:
        return State(
            "paused", f"Paused by {title} until {clock(run.retry_after)}",
            f"{title} asked us to slow down. The sync goes on by itself then.",
        )  # fmt: skip
    seen = f"was last seen {moment(worker_seen_at)}" if worker_seen_at else "has never been seen"
    if max(run.created_at, worker_seen_at or run.created_at) < now - _UNSEEN:
        return State(
            "queued", "Waiting to sync",
            f"Nothing takes up syncs at the moment: the pipeline {seen}. Tell whoever runs Boots for you. The sync "
            "starts by itself once it is back.",
        )  # fmt: skip
    if run.error_class is not None:
        return State("retrying", "Waiting to try again", "It goes on by itself.", run.message)
    return State("queued", "Waiting to sync")


def allowed(state: State, known: Known | None) -> tuple[str, ...]:
    """What an admin may press: connect, sync, retry (what was left out), disconnect, forget (what was kept)."""
    if state.name == "deleting":
        return ()
    if known is None or not known.holds_a_grant:
        kept = known is not None and (known.documents or known.left_out)
        return ("connect", "forget") if kept else ("connect",)
    if state.name in ("needs_reauth", "waiting"):
        return ("connect", "disconnect")
    retry = ("retry",) if known.left_out else ()
    return ("sync", *(("connect",) if state.name == "error" else ()), *retry, "disconnect")
