"""Connecting: the whole way through the sandbox's consent page, and every way in which it must not succeed."""

import threading
from collections.abc import Callable
from typing import Any

import httpx2
import psycopg
import pytest
from flask import Flask

from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.settings import provider_settings
from tests.conftest import Organisation
from tests.oauth_app.conftest import OUTSIDE, Browser, accounts, changed, consent

Source = Callable[[], dict[str, Any] | None]


def location(answer: Any) -> str:
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


def calls(sandbox: str, endpoint: str) -> int:
    return sum(call.get("endpoint") == endpoint for call in OUTSIDE.get(f"{sandbox}/_control/calls").json())


def nothing_is_half_made(owner: psycopg.Connection) -> bool:
    row = owner.execute(
        """select (select count(*) from private.app_secrets) + (select count(*) from ingestion_jobs)
                + (select count(*) from pgmq.q_ingestion_queue) + (select count(*) from sync_schedules) as n"""
    ).fetchone()
    return row["n"] == 0


def test_the_whole_way(admin: Browser, source: Source, owner: psycopg.Connection, sandbox: str) -> None:
    answer = admin.connect()
    assert location(answer) == "/settings/integrations?connected=hubspot"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    row = source()
    assert row["status"] == "active"
    assert row["external_account_id"]
    assert row["mcp_server_url"] == f"{sandbox}/hubspot/mcp"
    assert row["token_expires_at"] is not None
    secrets = owner.execute("select id, purpose, body from private.app_secrets").fetchall()
    assert {secret["purpose"]: secret["id"] for secret in secrets} == {
        "access": row["access_token_vault_id"],
        "refresh": row["refresh_token_vault_id"],
    }
    made = owner.execute(
        """select j.kind, q.message ->> 'job_id' = j.id::text as theirs
             from ingestion_jobs j join pgmq.q_ingestion_queue q on q.msg_id = j.message_id"""
    ).fetchall()
    assert made == [{"kind": "full", "theirs": True}]
    assert owner.execute("select count(*) as n from sync_schedules").fetchone()["n"] == 2


def test_the_authorisation_url_carries_what_it_must_and_no_more(admin: Browser, sandbox: str) -> None:
    url = httpx2.URL(admin.start())
    assert str(url).startswith(f"{sandbox}/hubspot/oauth/authorize/user?")
    assert set(url.params) == {
        "client_id", "response_type", "redirect_uri", "state", "code_challenge", "code_challenge_method"
    }  # fmt: skip
    assert url.params["code_challenge_method"] == "S256"
    assert url.params["redirect_uri"] == "http://localhost/api/integrations/hubspot/callback"


def test_a_form_is_sent_there(admin: Browser, sandbox: str) -> None:
    answer = admin.post_form("/api/integrations/hubspot/connect")
    assert location(answer).startswith(f"{sandbox}/hubspot/oauth/authorize/user?")


def test_web_08_who_cancels_is_told_so_and_the_card_stays_as_it_was(
    admin: Browser, source: Source, owner: psycopg.Connection
) -> None:
    path = consent(admin.start(), "deny")
    assert location(admin.get(changed(path, code="stolen", error_description="<b>Call 555</b>"))) == (
        "/settings/integrations?error=cancelled&provider=hubspot"
    )
    assert (source()["status"], source()["status_message"]) == ("pending", None)
    assert nothing_is_half_made(owner)
    admin.connect()
    admin.post("/api/integrations/hubspot/disconnect")
    page = admin.get(location(admin.connect("deny"))).text
    assert "You cancelled at HubSpot. Press Connect when you want to go on." in page
    assert 'data-provider="hubspot" data-state="disconnected"' in page


def test_web_08_another_error_is_never_reflected(admin: Browser, source: Source) -> None:
    path = consent(admin.start(), "deny")
    answer = admin.get(changed(path, error="<script>"))
    assert location(answer) == "/settings/integrations?error=refused&provider=hubspot"
    assert "script" not in source()["status_message"]


def test_web_01_a_state_works_once(admin: Browser, source: Source, sandbox: str) -> None:
    path = consent(admin.start())
    admin.get(path)
    assert location(admin.get(path)) == "/settings/integrations?error=expired&provider=hubspot"
    assert source()["status"] == "active"
    assert source()["status_message"] is None


def test_web_02_an_expired_state(admin: Browser, source: Source, owner: psycopg.Connection, sandbox: str) -> None:
    path = consent(admin.start())
    owner.execute("update private.oauth_states set expires_at = now()")
    assert location(admin.get(path)) == "/settings/integrations?error=expired&provider=hubspot"
    assert source()["status"] == "error"
    assert "expired" in source()["status_message"]
    assert nothing_is_half_made(owner)
    assert calls(sandbox, "token") == 0


@pytest.mark.parametrize("query", ["", "?state=", "?state=unknown&code=x", "?code=x", "?error=access_denied"])
def test_web_03_no_state_or_an_unknown_one(
    admin: Browser, source: Source, owner: psycopg.Connection, query: str
) -> None:
    admin.start()
    answer = admin.get(f"/api/integrations/hubspot/callback{query}")
    assert location(answer) == "/settings/integrations?error=expired&provider=hubspot"
    assert source()["status"] == "error"
    assert nothing_is_half_made(owner)


@pytest.mark.parametrize("twice", ["state", "code", "iss"])
def test_web_03_a_parameter_twice(admin: Browser, owner: psycopg.Connection, twice: str) -> None:
    path = consent(admin.start())
    answer = admin.get(f"{path}&{twice}=again")
    assert location(answer) == "/settings/integrations?error=mismatch&provider=hubspot"
    assert nothing_is_half_made(owner)


def test_web_03_a_parameter_without_end(admin: Browser) -> None:
    path = consent(admin.start())
    answer = admin.get(changed(path, code="c" * 5000))
    assert location(answer) == "/settings/integrations?error=mismatch&provider=hubspot"


def test_web_03_a_state_without_a_code(admin: Browser, owner: psycopg.Connection) -> None:
    path = consent(admin.start())
    assert "error=mismatch" in location(admin.get(changed(path, code=None)))
    assert nothing_is_half_made(owner)


def test_an_unknown_state_leaves_a_working_connection_alone(admin: Browser, source: Source) -> None:
    admin.connect()
    admin.get("/api/integrations/hubspot/callback?state=unknown&code=x")
    assert source()["status_message"] is None


def test_web_04_the_flow_of_one_person_finished_by_another(
    admin: Browser, sign_in: Callable[[str], Browser], new_organisation: Any, source: Source, owner: psycopg.Connection,
    sandbox: str,
) -> None:  # fmt: skip
    victim = sign_in(f"admin@{new_organisation('victims').slug}.example")
    path = consent(admin.start())
    # The attacker even plants the cookie of the attempt.
    for name, cookie in list(admin.client._cookies.items()):
        if "oauth_" in cookie.key:
            victim.client._cookies[name] = cookie
    assert location(victim.get(path)) == "/settings/integrations?error=mismatch&provider=hubspot"
    assert source()["status"] == "error"
    assert nothing_is_half_made(owner)
    assert calls(sandbox, "token") == 0


def test_web_04_the_same_person_in_another_browser(
    admin: Browser, sign_in: Callable[[str], Browser], organisation: Organisation, owner: psycopg.Connection
) -> None:
    elsewhere = sign_in(f"admin@{organisation.slug}.example")
    assert "error=mismatch" in location(elsewhere.get(consent(admin.start())))
    assert nothing_is_half_made(owner)


def test_web_04_signed_out_meanwhile(admin: Browser, owner: psycopg.Connection) -> None:
    path = consent(admin.start())
    admin.post("/logout")
    assert "error=mismatch" in location(admin.get(path))
    assert nothing_is_half_made(owner)


def test_web_06_the_path_of_another_provider_is_unknown(admin: Browser, owner: psycopg.Connection) -> None:
    path = consent(admin.start())
    owner.execute("update private.oauth_states set provider = 'gmail'")
    assert "error=mismatch" in location(admin.get(path))
    assert admin.get(path.replace("hubspot", "salesforce", 1)).status_code == 404


@pytest.mark.parametrize("issuer", ["https://mcp.hubspot.com", "", "with-slash"])
def test_web_07_a_wrong_issuer(admin: Browser, owner: psycopg.Connection, sandbox: str, issuer: str) -> None:
    path = consent(admin.start())
    wrong = f"{sandbox}/hubspot/" if issuer == "with-slash" else issuer
    assert "error=mismatch" in location(admin.get(changed(path, iss=wrong)))
    assert nothing_is_half_made(owner)
    assert calls(sandbox, "token") == 0


def test_web_07_hubspot_may_leave_the_issuer_out(admin: Browser) -> None:
    assert "connected=hubspot" in location(admin.get(changed(consent(admin.start()), iss=None)))


def test_web_10_two_callbacks_at_once(admin: Browser, app: Flask, owner: psycopg.Connection) -> None:
    path = consent(admin.start())
    cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in admin.client._cookies.values())
    found: list[str] = []

    def go() -> None:
        with app.test_client(use_cookies=False) as client:
            found.append(location(client.get(path, headers={"Cookie": cookies})))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("connected=" in place for place in found) == 1
    assert owner.execute("select count(*) as n from ingestion_jobs").fetchone()["n"] == 1


def test_web_13_a_member_cannot_connect(member: Browser, source: Source) -> None:
    answer = member.post("/api/integrations/hubspot/connect")
    assert answer.status_code == 403
    assert "Only an admin" in answer.get_json()["error"]
    assert source() is None


def test_web_13_no_longer_an_admin_when_he_comes_back(
    admin: Browser, source: Source, owner: psycopg.Connection, organisation: Organisation
) -> None:
    path = consent(admin.start())
    owner.execute("update organization_members set role = 'member' where user_id = %s", [organisation.admin])
    assert "error=not_admin" in location(admin.get(path))
    assert nothing_is_half_made(owner)


def test_web_16_a_token_endpoint_that_fails(
    admin: Browser, source: Source, owner: psycopg.Connection, sandbox: str
) -> None:
    OUTSIDE.post(
        f"{sandbox}/_control/faults",
        json={"faults": [{"provider": "hubspot", "tool": "token", "kind": "status", "status": 500, "times": None}]},
    ).raise_for_status()
    assert location(admin.connect()) == "/settings/integrations?error=failed&provider=hubspot"
    assert source()["status"] == "error"
    assert "Press Connect" in source()["status_message"]
    assert nothing_is_half_made(owner)
    assert calls(sandbox, "token") == 1


def test_web_16_a_token_endpoint_that_answers_a_page(admin: Browser, source: Source, sandbox: str) -> None:
    OUTSIDE.post(
        f"{sandbox}/_control/faults", json={"faults": [{"provider": "hubspot", "tool": "token", "kind": "html"}]}
    ).raise_for_status()
    assert "error=failed" in location(admin.connect())
    assert "login" not in source()["status_message"].lower()


def test_a_code_that_the_provider_does_not_know(admin: Browser, source: Source) -> None:
    assert "error=failed" in location(admin.get(changed(consent(admin.start()), code="invented")))
    assert source()["status_message"] == "HubSpot did not accept the answer. Press Connect to try again."


def test_what_cannot_be_kept_is_given_back(
    admin: Browser, source: Source, owner: psycopg.Connection, sandbox: str
) -> None:
    owner.execute("revoke insert on private.app_secrets from boots_web")
    try:
        assert location(admin.connect()) == "/settings/integrations?error=failed&provider=hubspot"
    finally:
        owner.execute("grant insert on private.app_secrets to boots_web")
    assert source()["status"] == "error"
    assert nothing_is_half_made(owner)
    assert calls(sandbox, "revoke") == 1


def test_a_grant_of_an_account_that_works_already_is_not_given_back(
    admin: Browser, source: Source, owner: psycopg.Connection, sandbox: str
) -> None:
    admin.connect()
    before = source()
    owner.execute("revoke update on private.app_secrets from boots_web")
    try:
        assert location(admin.connect()) == "/settings/integrations?error=failed&provider=hubspot"
    finally:
        owner.execute("grant update on private.app_secrets to boots_web")
    assert source()["status"] == "active"
    assert source()["refresh_token_vault_id"] == before["refresh_token_vault_id"]
    assert calls(sandbox, "revoke") == 0


def test_a_callback_waits_for_a_token_that_is_being_renewed(
    admin: Browser, source: Source, owner: psycopg.Connection, urls: DatabaseUrls
) -> None:
    admin.connect()
    before = source()["connected_at"]
    path = consent(admin.start())
    with psycopg.connect(urls.owner) as renewing:
        renewing.execute("select 1 from connected_sources for no key update")
        let_go = threading.Timer(5.5, renewing.rollback)  # longer than a statement of the pages may take
        let_go.start()
        assert "connected=hubspot" in location(admin.get(path))
        let_go.join()
    assert source()["connected_at"] > before


def test_connecting_again_replaces_the_secrets_and_keeps_the_row(
    admin: Browser, source: Source, owner: psycopg.Connection
) -> None:
    admin.connect()
    before = source()
    url = admin.start()
    assert source()["status"] == "active"
    admin.get(consent(url, account=accounts(url)[1]))
    after = source()
    assert after["id"] == before["id"]
    assert after["external_account_id"] != before["external_account_id"]
    assert owner.execute("select count(*) as n from private.app_secrets").fetchone()["n"] == 2
    jobs = owner.execute("select status from ingestion_jobs order by created_at").fetchall()
    assert [job["status"] for job in jobs] == ["cancelled", "queued"]


def test_a_reconnect_that_fails_leaves_the_connection_working(admin: Browser, source: Source) -> None:
    admin.connect()
    assert "error=cancelled" in location(admin.connect("deny"))
    assert (source()["status"], source()["status_message"]) == ("active", None)


def test_an_unknown_provider(admin: Browser) -> None:
    answer = admin.post("/api/integrations/salesforce/connect")
    assert answer.status_code == 404
    known = "gmail, google_drive, hubspot, quickbooks"
    assert answer.get_json()["error"] == f"There is no provider 'salesforce'. Known: {known}."


def test_without_a_client_id_it_says_which_variables_to_set(
    admin: Browser, provider_environment: pytest.MonkeyPatch, source: Source
) -> None:
    provider_environment.delenv("HUBSPOT_CLIENT_ID")
    provider_settings.cache_clear()
    answer = admin.post("/api/integrations/hubspot/connect")
    assert answer.status_code == 503
    assert "HUBSPOT_CLIENT_ID" in answer.get_json()["error"]
    assert source() is None


def test_no_token_is_logged(admin: Browser, caplog: pytest.LogCaptureFixture, app: Flask) -> None:
    caplog.set_level("DEBUG")
    path = consent(admin.start())
    admin.get(path)
    code = httpx2.URL(path).params["code"]
    assert code not in caplog.text.replace(path, "")
    with admin.client.session_transaction() as session:
        assert set(session) == {"id", "csrf_token"}
