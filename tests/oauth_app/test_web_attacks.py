"""The web attacks that no other file tries, by their numbers; and what revoking must not harm."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import psycopg
import pytest
from flask import Flask
from pydantic import ValidationError

from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.local.sandboxed import sandbox_environment
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.resources.choices import vault_for
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.tokens import TokenService
from boots_pipeline.settings import ProviderSettings, Settings, provider_settings
from tests.conftest import Organisation
from tests.http_server import Handler, serving
from tests.oauth_app.conftest import OUTSIDE, Browser, accounts, changed, consent

Source = Callable[[], dict[str, Any] | None]


@pytest.fixture
def every_provider(sandbox: str, provider_environment: pytest.MonkeyPatch) -> None:
    """The variables of all providers point at the sandbox."""
    for name in PROVIDERS:
        provider_environment.delenv(f"{PROVIDERS[name].env_prefix}CLIENT_ID", raising=False)
    provider_settings.cache_clear()
    for name, value in sandbox_environment(sandbox).items():
        provider_environment.setenv(name, value)
    provider_settings.cache_clear()


def start(browser: Browser, provider: str) -> str:
    answer = browser.post(f"/api/integrations/{provider}/connect")
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["authorization_url"])


def test_web_05_another_organisation_was_chosen_meanwhile(
    admin: Browser, organisation: Organisation, new_organisation: Callable[..., Organisation], owner: psycopg.Connection
) -> None:
    other = new_organisation("zebra-crossings")
    owner.execute("insert into organization_members values (%s, %s, 'admin')", [other.id, organisation.admin])
    path = consent(admin.start())
    admin.client.post("/login", data={"email": f"admin@{organisation.slug}.example", "organization": other.slug})
    assert "error=mismatch" in admin.get(path).headers["Location"]
    assert owner.execute("select org_id, status from connected_sources").fetchall() == [
        {"org_id": organisation.id, "status": "error"}
    ]
    assert owner.execute("select count(*) as n from private.app_secrets").fetchone() == {"n": 0}


def test_web_11_the_code_of_an_attackers_account(
    app: Flask, admin: Browser, sign_in: Callable[[str], Browser], new_organisation: Callable[..., Organisation],
    source: Source, owner: psycopg.Connection,
) -> None:  # fmt: skip
    attacker = sign_in(f"admin@{new_organisation('attackers').slug}.example")
    stolen = httpx2.URL(consent(attacker.start(), account=accounts(attacker.start())[1])).params["code"]
    mine = consent(admin.start())
    assert "error=failed" in admin.get(changed(mine, code=stolen)).headers["Location"]
    assert source()["status"] == "error"
    assert source()["external_account_id"] is None
    assert owner.execute("select count(*) as n from private.app_secrets").fetchone() == {"n": 0}


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//evil.example"])
@pytest.mark.parametrize(
    "name", ["authorization_url", "token_url", "mcp_url", "revocation_url", "userinfo_url", "redirect_uri"]
)
def test_web_17_an_address_that_is_no_web_address(address: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"HUBSPOT_{name.upper()}", address)
    with pytest.raises(ValidationError, match="must begin with https"):
        ProviderSettings(_env_prefix="HUBSPOT_")


@pytest.fixture
def trap() -> Iterator[tuple[str, list[str]]]:
    """An address that nobody may ask, and who did."""
    asked: list[str] = []

    class Answering(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_POST = do_GET

    with serving(Answering) as address:
        yield address, asked


def test_web_17_what_a_provider_publishes_of_itself_moves_nothing(
    admin: Browser, sandbox: str, trap: tuple[str, list[str]], provider_environment: pytest.MonkeyPatch
) -> None:
    # Even the document that `boots doctor` compares is not asked for when somebody connects.
    root, asked = trap
    provider_environment.setenv("HUBSPOT_DISCOVERY_URL", f"{root}/.well-known/oauth-authorization-server")
    provider_settings.cache_clear()
    assert "connected=hubspot" in admin.connect().headers["Location"]
    assert asked == []


def test_web_18_pkce_is_sent_to_every_provider_whatever_it_says_of_itself(admin: Browser, every_provider: None) -> None:
    for name in PROVIDERS:
        told = httpx2.URL(start(admin, name)).params
        assert told["code_challenge_method"] == "S256", name
        assert len(told["code_challenge"]) == 43, name


def test_web_19_a_box_that_was_unticked(
    admin: Browser, every_provider: None, sandbox: str, source: Source, owner: psycopg.Connection
) -> None:
    url = start(admin, "google_drive")
    narrow = str(httpx2.URL(url).copy_set_param("scope", "openid https://www.googleapis.com/auth/userinfo.email"))
    answer = admin.get(consent(narrow))
    assert "error=failed" in answer.headers["Location"]
    assert "leave all boxes ticked" in source()["status_message"]
    assert owner.execute("select count(*) as n from private.app_secrets").fetchone() == {"n": 0}


def test_web_21_another_account_is_not_continued(
    admin: Browser, source: Source, owner: psycopg.Connection, organisation: Organisation
) -> None:
    admin.connect()
    first = source()
    owner.execute(
        "insert into sync_streams (org_id, source_id, stream, watermark) values (%s, %s, 'companies', now())",
        [organisation.id, first["id"]],
    )
    admin.connect()
    assert source()["external_account_id"] == first["external_account_id"]
    assert owner.execute("select count(*) as n from sync_streams").fetchone() == {"n": 1}, "the same goes on"
    url = admin.start()
    admin.get(consent(url, account=accounts(url)[1]))
    assert source()["external_account_id"] != first["external_account_id"]
    assert owner.execute("select count(*) as n from sync_streams").fetchone() == {"n": 0}
    live = owner.execute("select kind from ingestion_jobs where status = 'queued'").fetchall()
    assert live == [{"kind": "full"}]


def test_web_23_a_token_in_an_address_is_nobody(app: Flask, admin: Browser, owner: psycopg.Connection) -> None:
    with admin.client.session_transaction() as session:
        told = dict(session)
    for name, value in {"access_token": "x" * 40, "session": told["id"], "csrf_token": told["csrf_token"]}.items():
        assert app.test_client().get(f"/api/session?{name}={value}").status_code == 401
        assert app.test_client().post(f"/api/integrations/hubspot/connect?{name}={value}").status_code in (401, 403)


def test_web_23_nothing_of_the_callback_is_passed_on(admin: Browser) -> None:
    answer = admin.get(consent(admin.start()))
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Location"] == "/settings/integrations?connected=hubspot"
    assert "code" not in answer.text


def revocations(sandbox: str) -> list[str]:
    calls = OUTSIDE.get(f"{sandbox}/_control/calls").json()
    return [call["provider"] for call in calls if call.get("endpoint") == "revoke"]


def test_disconnecting_gmail_does_not_end_drive_which_is_the_same_grant(
    admin: Browser, every_provider: None, sandbox: str
) -> None:
    for provider in ("google_drive", "gmail"):
        assert f"connected={provider}" in admin.get(consent(start(admin, provider))).headers["Location"]
    assert admin.post("/api/integrations/gmail/disconnect").get_json()["revoked_at_provider"] is False
    assert revocations(sandbox) == []
    assert admin.post("/api/integrations/google_drive/disconnect").get_json()["revoked_at_provider"] is True
    assert revocations(sandbox) == ["google_drive"]


def test_with_a_client_of_its_own_gmail_is_a_grant_of_its_own(
    admin: Browser, every_provider: None, sandbox: str, provider_environment: pytest.MonkeyPatch
) -> None:
    for provider in ("google_drive", "gmail"):
        admin.get(consent(start(admin, provider)))
    provider_environment.setenv("GMAIL_CLIENT_ID", "another-client")
    provider_settings.cache_clear()
    admin.post("/api/integrations/gmail/disconnect")
    assert revocations(sandbox) == ["gmail"], "it was asked to end, since Drive does not live on it"


def test_disconnecting_waits_for_a_token_that_is_being_renewed_and_gives_that_one_back(
    admin: Browser, sandbox: str, source: Source, owner: psycopg.Connection, urls: DatabaseUrls, web_settings: Settings
) -> None:
    admin.connect()
    row = source()
    owner.execute("update connected_sources set token_expires_at = now()")
    slow = {"provider": "hubspot", "tool": "token", "kind": "slow", "seconds": 2.5}  # longer than a lock of the pages
    OUTSIDE.post(f"{sandbox}/_control/faults", json={"faults": [slow]})
    worker, renewed = Database(urls.worker, application="renewing"), []
    service = TokenService(worker, vault_for(web_settings))
    renewing = threading.Thread(
        target=lambda: renewed.append(service.access_token(row["org_id"], row["id"], PROVIDERS["hubspot"]))
    )
    renewing.start()
    asked = "select count(*) as n from pg_stat_activity where application_name = 'renewing' and state like 'idle in%%'"
    while not owner.execute(asked).fetchone()["n"]:
        time.sleep(0.05)
    answer = admin.post("/api/integrations/hubspot/disconnect")
    renewing.join()
    worker.close()
    assert (answer.status_code, answer.get_json()["revoked_at_provider"]) == (200, True)
    headers = {"Authorization": f"Bearer {renewed[0]}", "Accept": "application/json, text/event-stream"}
    assert OUTSIDE.post(f"{sandbox}/hubspot/mcp", json={}, headers=headers).status_code == 401, "the grant has ended"
    assert owner.execute("select count(*) as n from private.app_secrets").fetchone() == {"n": 0}
