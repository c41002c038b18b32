"""The settings page and its buttons: every state in words, and nothing that a member could press."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import psycopg
import pytest

from boots_pipeline.local.postgres import DatabaseUrls
from tests.conftest import Organisation
from tests.oauth_app.conftest import OUTSIDE, Browser, make_source


def card(browser: Browser, provider: str = "hubspot") -> dict[str, Any]:
    told = browser.get("/api/integrations").get_json()["integrations"]
    return next(card for card in told if card["provider"] == provider)


def make_job(owner: psycopg.Connection, org_id: UUID, source_id: UUID, **columns: Any) -> None:
    names = ", ".join(columns)
    marks = ", ".join(["%s"] * len(columns))
    owner.execute(
        f"insert into ingestion_jobs (org_id, source_id, kind, {names}) values (%s, %s, 'full', {marks})",
        [org_id, source_id, *columns.values()],
    )


def test_a_card_for_every_provider(admin: Browser) -> None:
    told = admin.get("/api/integrations").get_json()["integrations"]
    assert [(card["title"], card["status"]) for card in told] == [
        ("HubSpot", "Never connected"),
        ("Google Drive", "Never connected"),
        ("Gmail", "Never connected"),
        ("QuickBooks", "Never connected"),
    ]
    assert told[0]["can"] == ["connect"]
    page = admin.get("/settings/integrations").text
    assert page.count("<article") == 4
    assert 'aria-label="Connect: HubSpot"' in page


def test_a_running_sync_shows_how_far_it_is(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    source = make_source(owner, organisation.id)
    make_job(
        owner, organisation.id, source, status="running", lease_token=UUID(int=1), stage="contacts",
        items_seen=300, items_expected=1200, started_at=datetime.now(UTC) - timedelta(hours=3), seen_at_claim=100,
        claimed_at=datetime.now(UTC) - timedelta(seconds=10), lease_until=datetime.now(UTC) + timedelta(seconds=90),
    )  # fmt: skip
    told = card(admin)
    assert (told["state"], told["status"]) == ("syncing", "Syncing")
    assert told["progress"]["items_seen"] == 300
    assert 10 < told["progress"]["items_per_second"] <= 20  # since it was claimed, not since it first began
    assert told["progress"]["words"].startswith("Contacts, 300 of 1,200 items, ")
    assert told["progress"]["words"].endswith(" left")
    page = admin.get("/settings/integrations").text
    assert 'max="1200" value="300"' in page
    assert '<noscript><meta http-equiv="refresh"' in page


def test_up_to_date_with_counts_and_the_next_sync(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    source = make_source(owner, organisation.id)
    owner.execute("update connected_sources set last_synced_at = now() - interval '5 minutes'")
    owner.execute(
        "insert into sync_schedules values (%s, %s, 'delta', now() + interval '30 hours')", [organisation.id, source]
    )
    for kind, external_id, gone in (("companies", "1", False), ("contacts", "2", False), ("contacts", "3", True)):
        owner.execute(
            """insert into source_documents (org_id, source_id, provider, document_type, external_id, content_hash,
                 payload_hash, deleted_at) values (%s, %s, 'hubspot', %s, %s, '', '', case when %s then now() end)""",
            [organisation.id, source, kind, external_id, gone],
        )
    told = card(admin)
    assert told["status"] == "Up to date as of 5 minutes ago"
    assert told["documents"] == {"companies": 1, "contacts": 1}
    assert told["documents_words"] == "1 company, 1 contact"
    assert told["next_sync_at"] > told["last_synced_at"]
    assert told["can"] == ["sync", "disconnect"]


@pytest.mark.parametrize(
    ("status", "state", "words", "can"),
    [
        ("pending", "never_connected", "Never connected", ["connect"]),
        ("needs_reauth", "needs_reauth", "HubSpot needs you again", ["connect", "disconnect"]),
        ("error", "not_connected", "Not connected", ["connect"]),
        ("revoked", "disconnected", "Disconnected", ["connect"]),
        ("active", "connected", "Connected", ["sync", "disconnect"]),
    ],
)
def test_every_state_in_words(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation,
    status: str, state: str, words: str, can: list[str],
) -> None:  # fmt: skip
    make_source(owner, organisation.id, status)
    told = card(admin)
    assert (told["state"], told["status"], told["can"]) == (state, words, can)
    assert words in admin.get("/settings/integrations").text


def test_a_sync_that_failed_is_told_apart_from_a_connection_that_never_was(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    source = make_source(owner, organisation.id, "error")
    owner.execute(
        "insert into sync_schedules values (%s, %s, 'delta', now() + interval '30 hours')", [organisation.id, source]
    )
    told = card(admin)
    assert (told["state"], told["status"]) == ("error", "The last sync failed")
    assert told["advice"].startswith("It is tried again ")
    assert told["can"] == ["sync", "connect", "disconnect"]


def test_a_rate_limit_says_until_when(admin: Browser, owner: psycopg.Connection, organisation: Organisation) -> None:
    source = make_source(owner, organisation.id)
    make_job(owner, organisation.id, source, status="queued", retry_after=datetime.now(UTC) + timedelta(hours=30))
    assert card(admin)["status"].startswith("Paused by HubSpot until ")


def test_what_went_wrong_is_shown_and_escaped(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    make_source(owner, organisation.id, "error")
    owner.execute("update connected_sources set status_message = 'It said <b>no</b>.'")
    assert "It said &lt;b&gt;no&lt;/b&gt;." in admin.get("/settings/integrations").text


def test_web_13_a_member_sees_and_cannot_press(
    member: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    make_source(owner, organisation.id)
    assert card(member)["can"] == []
    page = member.get("/settings/integrations").text
    assert "Only an admin can change them." in page
    assert 'action="/api/integrations' not in page
    for action in ("sync", "disconnect", "connect", "retry"):
        answer = member.post(f"/api/integrations/hubspot/{action}")
        assert answer.status_code == 403, action


def test_another_organisations_connection_is_not_seen(
    admin: Browser, owner: psycopg.Connection, new_organisation: Any
) -> None:
    make_source(owner, new_organisation("others").id)
    assert card(admin)["state"] == "never_connected"
    assert admin.post("/api/integrations/hubspot/disconnect").status_code == 404
    assert owner.execute("select status from connected_sources").fetchone()["status"] == "active"


def test_sync_now_asks_once_for_the_wider_kind(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    make_source(owner, organisation.id)
    first = admin.post("/api/integrations/hubspot/sync")
    assert first.status_code == 202
    second = admin.post("/api/integrations/hubspot/sync", json={"kind": "full"})
    assert second.get_json() == first.get_json()
    assert owner.execute("select kind, status from ingestion_jobs").fetchall() == [{"kind": "full", "status": "queued"}]
    page = admin.post_form("/api/integrations/hubspot/sync").headers["Location"]
    assert "A sync of HubSpot has been asked for." in admin.get(page).text


def test_sync_now_needs_a_kind_that_exists_and_a_connection(admin: Browser) -> None:
    assert admin.post("/api/integrations/hubspot/sync", json={"kind": "everything"}).status_code == 400
    for garbage in ('["full"]', "{", "null"):
        answer = admin.post("/api/integrations/hubspot/sync", data=garbage, content_type="application/json")
        assert (answer.status_code, answer.get_json()) == (400, {"error": "The body is to be a JSON object."})
    assert admin.post("/api/integrations/hubspot/sync", content_type="application/json").status_code == 409
    answer = admin.post("/api/integrations/hubspot/sync")
    assert (answer.status_code, answer.get_json()) == (
        409,
        {"error": "The connection is not active. Connect it first."},
    )


def test_disconnecting_forgets_the_secrets_ends_the_sync_and_tells_the_provider(
    admin: Browser, owner: psycopg.Connection, sandbox: str
) -> None:
    admin.connect()
    answer = admin.post("/api/integrations/hubspot/disconnect")
    assert answer.get_json() == {"status": "revoked", "revoked_at_provider": True, "data": "kept"}
    row = owner.execute(
        "select status, access_token_vault_id, refresh_token_vault_id from connected_sources"
    ).fetchone()
    assert tuple(row.values()) == ("revoked", None, None)
    assert owner.execute("select count(*) as n from private.app_secrets").fetchone()["n"] == 0
    assert owner.execute("select status from ingestion_jobs").fetchone()["status"] == "cancelled"
    assert owner.execute("select count(*) as n from pgmq.q_ingestion_queue").fetchone()["n"] == 0
    assert owner.execute("select count(*) as n from sync_schedules").fetchone()["n"] == 0
    assert [call["endpoint"] for call in OUTSIDE.get(f"{sandbox}/_control/calls").json()][-1] == "revoke"


def test_a_grant_whose_account_another_organisation_uses_is_not_revoked(
    admin: Browser, sign_in: Callable[[str], Browser], new_organisation: Any, owner: psycopg.Connection, sandbox: str
) -> None:
    others = sign_in(f"admin@{new_organisation('others').slug}.example")
    admin.connect()
    others.connect()
    first = admin.post("/api/integrations/hubspot/disconnect").get_json()
    assert first == {"status": "revoked", "revoked_at_provider": False, "data": "kept"}
    assert owner.execute("select count(*) as n from private.app_secrets").fetchone()["n"] == 2
    last = others.post("/api/integrations/hubspot/disconnect").get_json()
    assert last == {"status": "revoked", "revoked_at_provider": True, "data": "kept"}
    calls = OUTSIDE.get(f"{sandbox}/_control/calls").json()
    assert [call["endpoint"] for call in calls].count("revoke") == 1


def test_an_account_that_somebody_connects_while_another_disconnects_it_is_not_revoked(
    admin: Browser, sign_in: Callable[[str], Browser], new_organisation: Any, owner: psycopg.Connection, sandbox: str,
    urls: DatabaseUrls,
) -> None:  # fmt: skip
    others = sign_in(f"admin@{new_organisation('others').slug}.example")
    admin.connect()
    answers: list[Any] = []
    with psycopg.connect(urls.owner) as renewing:
        renewing.execute("select 1 from connected_sources for no key update")
        ending = threading.Thread(
            target=lambda: answers.append(admin.post("/api/integrations/hubspot/disconnect").get_json())
        )
        ending.start()
        waits = "select count(*) as n from pg_stat_activity where usename = 'boots_web' and wait_event_type = 'Lock'"
        while not owner.execute(waits).fetchone()["n"]:
            time.sleep(0.02)
        assert "connected=hubspot" in others.connect().headers["Location"]
    ending.join()
    assert answers == [{"status": "revoked", "revoked_at_provider": False, "data": "kept"}]
    assert "revoke" not in [call["endpoint"] for call in OUTSIDE.get(f"{sandbox}/_control/calls").json()]


@pytest.mark.parametrize("status", ["pending", "needs_reauth", "revoked"])
def test_sync_now_of_a_connection_that_does_not_work_is_refused(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation, status: str
) -> None:
    make_source(owner, organisation.id, status)
    assert admin.post("/api/integrations/hubspot/sync").status_code == 409


def test_what_waits_for_a_token_to_be_renewed_is_busy_and_not_broken(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation, urls: Any
) -> None:
    make_source(owner, organisation.id)
    with psycopg.connect(urls.owner) as renewing:
        renewing.execute("select 1 from connected_sources for no key update")
        answer = admin.post("/api/integrations/hubspot/sync")
    assert answer.status_code == 503
    assert "Try again" in answer.get_json()["error"]


def test_web_22_disconnecting_twice_and_with_the_provider_down(
    admin: Browser, owner: psycopg.Connection, provider_environment: pytest.MonkeyPatch
) -> None:
    from boots_pipeline.settings import provider_settings

    admin.connect()
    provider_environment.setenv("HUBSPOT_REVOCATION_URL", "http://127.0.0.1:1/revoke")
    provider_settings.cache_clear()
    first = admin.post("/api/integrations/hubspot/disconnect").get_json()
    assert first == {"status": "revoked", "revoked_at_provider": False, "data": "kept"}
    assert owner.execute("select count(*) as n from private.app_secrets").fetchone()["n"] == 0
    assert admin.post("/api/integrations/hubspot/disconnect").get_json() == first


def test_disconnecting_voids_an_attempt_under_way(admin: Browser, owner: psycopg.Connection) -> None:
    from tests.oauth_app.conftest import consent

    path = consent(admin.start())
    admin.post("/api/integrations/hubspot/disconnect")
    assert httpx2.URL(admin.get(path).headers["Location"]).params["error"] == "expired"
    assert owner.execute("select status from connected_sources").fetchone()["status"] == "revoked"


def test_a_secret_that_no_longer_opens_can_still_be_deleted(admin: Browser, owner: psycopg.Connection) -> None:
    admin.connect()
    owner.execute("update private.app_secrets set body = body || 'x'::bytea")
    assert admin.post("/api/integrations/hubspot/disconnect").status_code == 200
    assert owner.execute("select count(*) as n from private.app_secrets").fetchone()["n"] == 0


def test_somebody_at_the_provider_is_waited_for_ten_minutes(
    admin: Browser, owner: psycopg.Connection, member: Browser
) -> None:
    admin.start()
    told = card(member)
    assert (told["state"], told["status"]) == ("waiting", "Waiting for you at HubSpot")
    assert "the attempt ends in 10 min" in told["advice"]
    owner.execute(
        """update private.oauth_states set created_at = created_at - interval '11 minutes',
                                           expires_at = expires_at - interval '11 minutes'"""
    )
    told = card(member)
    assert (told["state"], told["status"]) == ("not_connected", "Not connected")
    assert told["message"] == "Connecting was begun and not finished in time. Press Connect to start again."


def test_an_attempt_that_nobody_finishes_leaves_a_lost_connection_as_it_was(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    make_source(owner, organisation.id, "needs_reauth")
    before = card(admin)
    admin.start()
    assert (card(admin)["state"], card(admin)["can"]) == ("waiting", ["connect", "disconnect"])
    owner.execute("update private.oauth_states set expires_at = now()")
    assert card(admin) == before


def test_another_organisations_attempts_are_not_told(
    admin: Browser, sign_in: Callable[[str], Browser], new_organisation: Any
) -> None:
    others = sign_in(f"admin@{new_organisation('others').slug}.example")
    admin.start()
    assert card(others)["state"] == "never_connected"


def test_connected_again_says_whether_it_is_the_same_account(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation, sandbox: str
) -> None:
    first = admin.connect().headers["Location"]
    assert "HubSpot is connected. A sync of everything has been asked for." in admin.get(first).text
    owner.execute("insert into sync_streams select org_id, id, 'deals', now() from connected_sources")
    admin.post("/api/integrations/hubspot/disconnect")
    again = admin.connect().headers["Location"]
    assert (
        "to the same account. What was synced is kept, and everything is compared with it anew."
        in admin.get(again).text
    )
    jobs = owner.execute("select kind from ingestion_jobs").fetchall()
    assert [job["kind"] for job in jobs] == ["full", "full"]
    assert owner.execute("select count(*) as n from sync_streams").fetchone()["n"] == 1
    from tests.oauth_app.conftest import accounts

    other = admin.connect(account=accounts(admin.start())[1]).headers["Location"]
    assert "to another account than before" in admin.get(other).text
    assert owner.execute("select count(*) as n from sync_streams").fetchone()["n"] == 0


def test_what_was_left_out_is_told_with_its_reason_and_tried_again(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    source = make_source(owner, organisation.id)
    owner.execute("insert into sync_schedules values (%s, %s, 'delta', now())", [organisation.id, source])
    owner.execute(
        """insert into quarantined_items (org_id, source_id, stream, external_id, reason, attempts)
           values (%s, %s, 'deals', '77', 'it is too <b>deep</b>', 10)""",
        [organisation.id, source],
    )
    told = card(admin)
    assert (told["left_out"], told["can"]) == (1, ["sync", "retry", "disconnect"])
    assert [(each["stream"], each["id"], each["reason"], each["attempts"]) for each in told["left_out_items"]] == [
        ("deals", "77", "it is too <b>deep</b>", 10)
    ]
    page = admin.get("/settings/integrations").text
    assert "Deal 77" in page
    assert "It is too &lt;b&gt;deep&lt;/b&gt;." in page
    # Ten tries and it is given up; whoever presses begins anew, and a sync comes.
    answer = admin.post_form("/api/integrations/hubspot/retry")
    assert answer.headers["Location"] == "/settings/integrations?asked=hubspot"
    assert owner.execute("select attempts from quarantined_items").fetchone() == {"attempts": 1}
    assert owner.execute("select kind, status from ingestion_jobs").fetchall() == [
        {"kind": "delta", "status": "queued"}
    ]


def test_the_last_syncs_with_their_outcomes(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    source = make_source(owner, organisation.id)
    now = datetime.now(UTC)
    for days, columns in (
        (9, {"status": "completed", "documents_added": 1200}),
        (2, {"status": "failed", "error_message": "The grant is gone."}),
        (1, {"status": "partial", "documents_changed": 3, "items_quarantined": 2, "error_message": "2 items …"}),
    ):
        began = now - timedelta(days=days)
        make_job(
            owner, organisation.id, source,
            created_at=began, started_at=began, finished_at=began + timedelta(seconds=90), **columns,
        )  # fmt: skip
    runs = card(admin)["runs"]
    assert [(run["title"], run["words"], run["message"]) for run in runs] == [
        ("Everything: completed, with something missing", "3 changed, 2 left out, took 2 min", "2 items …"),
        ("Everything: failed", "Took 2 min", "The grant is gone."),
        ("Everything: completed", "1,200 new, took 2 min", None),
    ]
    assert all(run["finished_at"].endswith("Z") for run in runs)


def test_a_sync_that_nobody_takes_up_says_so_instead_of_seeming_stuck(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation
) -> None:
    source = make_source(owner, organisation.id)
    make_job(owner, organisation.id, source, status="queued", created_at=datetime.now(UTC) - timedelta(minutes=5))
    assert "the pipeline has never been seen" in card(admin)["advice"]
    owner.execute("select private.note_alive('dagster')")
    assert card(admin)["advice"] is None
    owner.execute("update private.heartbeats set seen_at = now() - interval '20 minutes'")
    assert "the pipeline was last seen 20 minutes ago" in card(admin)["advice"]
    owner.execute("update ingestion_jobs set status = 'running', lease_token = gen_random_uuid(), lease_until = now()")
    assert card(admin)["status"] == "The sync was interrupted"


def test_a_rate_counts_from_the_claim(owner: psycopg.Connection, organisation: Organisation) -> None:
    source = make_source(owner, organisation.id)
    make_job(owner, organisation.id, source, status="queued", items_seen=800)
    owner.execute("update ingestion_jobs set status = 'running', lease_token = gen_random_uuid(), lease_until = now()")
    claimed = owner.execute("select claimed_at, seen_at_claim from ingestion_jobs").fetchone()
    assert claimed["seen_at_claim"] == 800
    owner.execute("update ingestion_jobs set items_seen = 900, lease_until = now() + interval '1 minute'")
    assert owner.execute("select claimed_at, seen_at_claim from ingestion_jobs").fetchone() == claimed
