"""Every state that a card can show, set in the tables as the pipeline and the callback leave them. The tests look at
each of them, and `make screenshots` takes their pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg

from boots_pipeline.providers import PROVIDERS


@dataclass(frozen=True)
class Scene:
    """One connection to be put into a state."""

    owner: psycopg.Connection
    org_id: UUID
    admin: UUID
    provider: str
    id: UUID

    @property
    def streams(self) -> tuple[str, ...]:
        """What this provider has."""
        return PROVIDERS[self.provider].streams

    def connection(
        self, status: str, *, grant: bool = False, message: str | None = None, synced: str | None = None
    ) -> None:
        self.owner.execute(
            """insert into connected_sources (org_id, id, provider, status, status_message, connected_at,
                                              last_synced_at, access_token_vault_id, external_account_id,
                                              external_account_name)
               values (%s, %s, %s, %s, %s, case when %s then now() - interval '40 days' end,
                       now() - %s::interval,
                       case when %s then gen_random_uuid() end, case when %s then '48151623' end,
                       case when %s then 'Harbour Joinery Ltd' end)""",
            [self.org_id, self.id, self.provider, status, message, grant, synced, grant, grant, grant],
        )
        if grant:
            self.owner.execute(
                "insert into sync_schedules values (%s, %s, 'delta', now() + interval '26 hours')",
                [self.org_id, self.id],
            )

    def documents(self, *counts: int) -> None:
        for kind, count in zip(self.streams, counts, strict=False):
            self.owner.execute(
                """insert into source_documents (org_id, source_id, provider, document_type, external_id, title,
                                                 content, raw_payload, content_hash, payload_hash)
                   select %s, %s, %s, %s, n, 'Title ' || n, 'Content ' || n, '{}', 'x', 'y'
                     from generate_series(1, %s) n""",
                [self.org_id, self.id, self.provider, kind, count],
            )

    def job(self, status: str, ago: timedelta, **columns: object) -> None:
        began = datetime.now(UTC) - ago
        told: dict[str, object] = {
            "kind": "delta", "created_at": began, "started_at": began,
            "finished_at": None if status in ("queued", "running") else began + timedelta(seconds=94), **columns,
        }  # fmt: skip
        names = ", ".join(told)
        self.owner.execute(
            f"insert into ingestion_jobs (org_id, source_id, status, {names}) "
            f"values (%s, %s, %s, {', '.join(['%s'] * len(told))})",
            [self.org_id, self.id, status, *told.values()],
        )

    def history(self) -> None:
        self.job("completed", timedelta(days=40), kind="full", documents_added=1893)
        self.job("completed", timedelta(days=2), documents_added=4, documents_changed=11, documents_removed=1)
        self.job("completed", timedelta(days=1), documents_unchanged=312)

    def running(self, seen: int, expected: int | None, **columns: object) -> None:
        """A sync under way, claimed 20 s ago by a worker that is there."""
        self.job(
            "running", timedelta(seconds=21), kind="full", stage=self.streams[0], items_seen=seen,
            items_expected=expected, lease_token=uuid4(), claimed_at=datetime.now(UTC) - timedelta(seconds=20),
            **{"lease_until": datetime.now(UTC) + timedelta(seconds=90), **columns},
        )  # fmt: skip

    def leave_out(self) -> None:
        for stream, number, reason in (
            (self.streams[0], "90412", "it is not an object"),
            (self.streams[0], "90877", "the provider refuses it"),
            (self.streams[-1], "5518", "it is larger than 5 MB"),
        ):
            self.owner.execute(
                """insert into quarantined_items (org_id, source_id, stream, external_id, reason, attempts,
                                                  last_seen_at)
                   values (%s, %s, %s, %s, %s, 3, now() - interval '12 minutes')""",
                [self.org_id, self.id, stream, number, reason],
            )

    def attempt(self, began: timedelta) -> None:
        """Somebody pressed Connect, and has not come back."""
        self.owner.execute(
            """insert into private.oauth_states (state_hash, org_id, source_id, user_id, provider, browser_hash,
                                                 verifier, issuer, redirect_uri, created_at, expires_at)
               values (%s, %s, %s, %s, %s, '', '', '', '', now() - %s, now() - %s + interval '10 minutes')""",
            [uuid4().bytes, self.org_id, self.id, self.admin, self.provider, began, began],
        )


def never_connected(scene: Scene) -> None:
    """Nothing at all."""


def waiting(scene: Scene) -> None:
    scene.connection("pending")
    scene.attempt(timedelta(minutes=2))


def gave_up_waiting(scene: Scene) -> None:
    scene.connection("pending")
    scene.attempt(timedelta(minutes=25))


def not_connected(scene: Scene) -> None:
    scene.connection("error", message="The provider refused the connection. Press Connect to try again.")


def queued(scene: Scene) -> None:
    scene.connection("active", grant=True)
    scene.job("queued", timedelta(seconds=4), kind="full")


def nobody_there(scene: Scene) -> None:
    scene.connection("active", grant=True)
    scene.job("queued", timedelta(minutes=7), kind="full")
    scene.owner.execute("update private.heartbeats set seen_at = now() - interval '3 hours'")


def syncing(scene: Scene) -> None:
    scene.connection("active", grant=True)
    scene.documents(24, 96)
    scene.running(1240, 4100)


def syncing_without_a_total(scene: Scene) -> None:
    scene.connection("active", grant=True)
    scene.running(310, None)


def interrupted(scene: Scene) -> None:
    scene.connection("active", grant=True, synced="1 day")
    scene.documents(24, 96)
    scene.running(310, 4100, lease_until=datetime.now(UTC) - timedelta(seconds=30))


def paused(scene: Scene) -> None:
    scene.connection("active", grant=True, synced="1 day")
    scene.documents(24, 96)
    scene.job(
        "queued", timedelta(minutes=3), items_seen=800, items_expected=4100, error_class="rate_limited",
        retry_after=datetime.now(UTC) + timedelta(minutes=42),
    )  # fmt: skip


def retrying(scene: Scene) -> None:
    scene.connection("active", grant=True, synced="1 day")
    scene.job(
        "queued", timedelta(minutes=3), error_class="transient",
        error_message="The provider does not answer. Trying again in 4 min.",
    )  # fmt: skip


def up_to_date(scene: Scene) -> None:
    scene.connection("active", grant=True, synced="5 minutes")
    scene.documents(412, 1204, 277)
    scene.history()


def left_out(scene: Scene) -> None:
    scene.connection("active", grant=True, synced="12 minutes", message="3 items could not be kept.")
    scene.documents(412, 1204, 277)
    scene.history()
    scene.job(
        "partial", timedelta(minutes=13), documents_added=2, items_quarantined=3,
        error_message="3 items could not be kept.",
    )  # fmt: skip
    scene.leave_out()


def needs_reauth(scene: Scene) -> None:
    scene.connection(
        "needs_reauth", grant=True, synced="3 days",
        message="The provider no longer accepts our access: it was withdrawn there, or its password was changed.",
    )  # fmt: skip
    scene.documents(412, 1204)
    scene.history()
    scene.job("failed", timedelta(hours=8), error_class="needs_reauth", error_message="The grant is gone.")


def failed(scene: Scene) -> None:
    scene.connection(
        "error", grant=True, synced="1 day", message="The provider answered in a way that we do not understand."
    )
    scene.documents(24, 96)
    scene.job(
        "failed", timedelta(hours=2), error_class="bad_page",
        error_message="The provider answered in a way that we do not understand.",
    )  # fmt: skip


def disconnected_and_kept(scene: Scene) -> None:
    scene.connection("revoked", synced="9 days")
    scene.documents(24, 96)


def disconnected_and_deleted(scene: Scene) -> None:
    scene.connection("revoked")
    scene.job(
        "cancelled", timedelta(hours=2), kind="full", error_message="The connection was changed while it was syncing."
    )
    scene.owner.execute(
        "update connected_sources set forgotten_at = now() - interval '2 hours' where id = %s", [scene.id]
    )


def deleting(scene: Scene) -> None:
    scene.connection("revoked")
    scene.documents(24, 96)
    scene.owner.execute("update connected_sources set forgetting_since = now() where id = %s", [scene.id])


Play = Callable[[Scene], None]
# Each scene, and the state that its card is in.
SCENES: dict[Play, str] = {
    never_connected: "never_connected",
    waiting: "waiting",
    gave_up_waiting: "not_connected",
    not_connected: "not_connected",
    queued: "queued",
    nobody_there: "queued",
    syncing: "syncing",
    syncing_without_a_total: "syncing",
    interrupted: "interrupted",
    paused: "paused",
    retrying: "retrying",
    up_to_date: "up_to_date",
    left_out: "up_to_date",
    needs_reauth: "needs_reauth",
    failed: "error",
    disconnected_and_kept: "disconnected",
    disconnected_and_deleted: "disconnected",
    deleting: "deleting",
}


def in_groups() -> list[dict[str, Play]]:
    """Every scene, as many at once as there are cards."""
    plays, cards = list(SCENES), len(PROVIDERS)
    return [dict(zip(PROVIDERS, plays[at : at + cards], strict=False)) for at in range(0, len(plays), cards)]


@dataclass(frozen=True)
class Stage:
    """An organisation whose cards are put into states, one scene after the other."""

    owner: psycopg.Connection
    org_id: UUID
    admin: UUID
    admin_email: str
    member_email: str

    def set(self, shown: Mapping[str, Play]) -> None:
        """Clear away what was there, and set these providers' cards."""
        self.owner.execute(
            """truncate connected_sources, private.oauth_states, source_documents, client_intelligence, proposals
               cascade"""
        )
        self.owner.execute("delete from private.heartbeats")
        self.owner.execute("select private.note_alive('dagster')")
        for provider, play in shown.items():
            play(Scene(self.owner, self.org_id, self.admin, provider, uuid4()))


def make_stage(owner: psycopg.Connection) -> Stage:
    """An organisation with an admin and a member."""
    stage = Stage(owner, uuid4(), uuid4(), "admin@harbour-joinery.example", "member@harbour-joinery.example")
    owner.execute(
        "insert into organizations (id, slug, name) values (%s, 'harbour-joinery', 'Harbour Joinery')", [stage.org_id]
    )
    for user, email, role in ((stage.admin, stage.admin_email, "admin"), (uuid4(), stage.member_email, "member")):
        owner.execute("insert into auth.users (id, email) values (%s, %s)", [user, email])
        owner.execute("insert into organization_members values (%s, %s, %s)", [stage.org_id, user, role])
    return stage
