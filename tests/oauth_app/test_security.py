"""Headers, cookies, forged requests, strange hosts, large bodies, and errors that tell no more than they should."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask

import oauth_app
from boots_pipeline.errors import ConfigError
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.settings import Settings
from oauth_app import create_app
from oauth_app.outcomes import Outcome
from oauth_app.text import to_html
from tests.oauth_app.conftest import Browser

CHANGES = [
    "/api/integrations/hubspot/connect",
    "/api/integrations/hubspot/sync",
    "/api/integrations/hubspot/disconnect",
    "/api/proposals",
    "/proposals",
    "/logout",
]


@pytest.mark.parametrize("path", CHANGES)
def test_web_12_without_the_token_nothing_is_changed(admin: Browser, path: str) -> None:
    for headers in ({}, {"X-CSRF-Token": "wrong"}, {"X-CSRF-Token": "é"}, {"Content-Type": "text/plain"}):
        answer = admin.client.post(path, headers=headers)
        assert answer.status_code == 403
        assert "CSRF" in answer.text


@pytest.mark.parametrize("path", [*CHANGES, "/login"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
    ],
)
def test_web_12_another_site_changes_nothing_even_with_the_token(
    admin: Browser, path: str, headers: dict[str, str]
) -> None:
    answer = admin.client.post(path, headers={"X-CSRF-Token": admin.csrf_token, **headers})
    assert answer.status_code == 403
    assert "another site" in answer.text


def test_our_own_origin_passes(admin: Browser) -> None:
    answer = admin.client.post("/logout", headers={"X-CSRF-Token": admin.csrf_token, "Origin": "http://localhost"})
    assert answer.status_code == 303


def test_web_14_headers(admin: Browser) -> None:
    for path in ("/settings/integrations", "/api/session", "/nowhere", "/login", "/static/boots.css"):
        with admin.get(path) as answer:
            headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert (headers["Cache-Control"] == "no-store") == (path != "/static/boots.css")


def test_no_page_has_inline_script_or_style() -> None:
    for template in (Path(oauth_app.__file__).parent / "templates").glob("*.html"):
        text = template.read_text()
        assert " style=" not in text
        assert " onclick=" not in text
        assert "<style" not in text
        assert text.count("<script") == text.count("<script src=")


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io"])
def test_web_15_a_strange_host(admin: Browser, host: str) -> None:
    answer = admin.client.post(
        "/api/integrations/hubspot/connect", headers={"X-CSRF-Token": admin.csrf_token}, base_url=f"http://{host}"
    )
    assert answer.status_code == 400
    page = admin.client.get("/login", headers={"Accept": "text/html"}, base_url=f"http://{host}")
    assert (page.status_code, page.text) == (400, "These pages are at http://localhost, and under no other name.\n")


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/readyz", 503), ("/login", 400), ("/none", 400)])
def test_who_watches_us_may_ask_by_the_machines_address(admin: Browser, path: str, status: int) -> None:
    assert admin.client.get(path, base_url="http://10.1.2.3:5050").status_code == status


def test_web_15_a_forwarded_host_is_not_believed(admin: Browser) -> None:
    answer = admin.client.post(
        "/api/integrations/hubspot/connect",
        headers={"X-CSRF-Token": admin.csrf_token, "X-Forwarded-Host": "evil.example"},
    )
    assert "evil" not in answer.text


def test_web_25_nothing_changes_by_get(admin: Browser, owner: psycopg.Connection) -> None:
    for path in CHANGES:
        answer = admin.get(path)
        assert answer.status_code == 405 or path == "/proposals"
    assert owner.execute("select count(*) as n from connected_sources").fetchone()["n"] == 0


def test_a_large_body_is_refused(admin: Browser) -> None:
    assert admin.post("/api/proposals", json={"title": "t", "brief": "b" * 70_000}).status_code == 413


def test_web_09_no_flag_of_the_address_bar_is_reflected(admin: Browser) -> None:
    page = admin.get("/settings/integrations?error=<script>alert(1)</script>&connected=//evil.example").text
    assert "alert(1)" not in page
    assert "evil.example" not in page
    for outcome in Outcome:
        assert outcome.sentence.split("{")[0] in admin.get(f"/settings/integrations?error={outcome.flag}").text


def test_https_makes_cookies_that_only_https_sends(urls: DatabaseUrls, web_settings: Settings) -> None:
    app = create_app(web_settings.model_copy(update={"public_base_url": "https://portal.example"}))
    try:
        assert app.config["SESSION_COOKIE_SECURE"] is True
        assert app.config["SESSION_COOKIE_NAME"].startswith("__Host-")
        answer = app.test_client().get("/healthz", base_url="https://portal.example")
        assert "max-age" in answer.headers["Strict-Transport-Security"]
    finally:
        app.extensions["boots"].close()


def test_health(app: Flask) -> None:
    answer = app.test_client().get("/healthz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})


def test_an_error_is_a_sentence_for_people_and_for_programs(admin: Browser) -> None:
    page = admin.get("/nowhere", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "<h1>Not found</h1>" in page.text
    assert set(admin.get("/api/nowhere").get_json()) == {"error"}


def test_what_nobody_foresaw_is_not_told(
    admin: Browser, owner: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    owner.execute("alter table proposals rename column title to heading")
    try:
        answer = admin.get("/proposals", headers={"Accept": "text/html"})
    finally:
        owner.execute("alter table proposals rename column heading to title")
    assert answer.status_code == 500
    assert "42703" not in answer.text
    assert "Something went wrong on our side" in answer.text
    assert "42703" in caplog.text


def test_attack_24_no_row_reaches_a_page_or_its_log(
    admin: Browser, owner: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Postgres answers a value that it will not take with the value."""
    owner.execute("alter table proposals add constraint numbers_only check (title::int > 0) not valid")
    try:
        answers = [
            admin.post("/api/proposals", json={"title": "for your eyes", "brief": "only"}),
            admin.post_form("/proposals", title="for your eyes", brief="only"),
        ]
    finally:
        owner.execute("alter table proposals drop constraint numbers_only")
    assert [answer.status_code for answer in answers] == [500, 500]
    told = "".join([*(answer.text for answer in answers), caplog.text])
    assert "Postgres error 22P02" in caplog.text
    for secret in ("for your eyes", "invalid input"):
        assert secret not in told


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"vault_keys": None}, "No vault key"),
        ({"secret_key": None}, "SECRET_KEY is not set"),
        ({"secret_key": "short"}, "at least 32 bytes"),
        ({"web_database_url": None}, "WEB_DATABASE_URL is not set"),
        ({"boots_env": "production"}, "development sign-in is refused"),
        ({"boots_env": "production", "supabase_url": "https://x.supabase.co"}, "PUBLIC_BASE_URL must be https"),
        ({"boots_env": "production", "supabase_url": "http://x.supabase.co"}, "SUPABASE_URL must be https"),
        ({"supabase_jwt_secret": "k" * 32}, "SUPABASE_URL is not"),
        ({"supabase_url": "https://x.supabase.co", "supabase_jwt_secret": "short"}, "at least 32 bytes"),
        ({"vault": "supabase"}, "no Supabase Vault"),
        ({"web_database_url": "owner"}, "superuser"),
    ],
)
def test_it_refuses_to_start(web_settings: Settings, urls: DatabaseUrls, change: dict[str, Any], sentence: str) -> None:
    if change.get("web_database_url") == "owner":
        change = {"web_database_url": urls.owner}
    told = {name: getattr(web_settings, name) for name in Settings.model_fields} | change
    with pytest.raises(ConfigError, match=sentence):
        create_app(Settings(**told))


def test_a_wrong_vault_key_is_refused_at_start(app: Flask, web_settings: Settings) -> None:
    other = "dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q="
    with pytest.raises(ConfigError, match="not the one"):
        create_app(Settings(**(dict(web_settings) | {"vault_keys": f"test:{other}"})))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("One.\n\nTwo & three.", "<p>One.</p>\n<p>Two &amp; three.</p>\n"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("# Big", "<h3>Big</h3>\n"),
        ("**bold**", "<p><strong>bold</strong></p>\n"),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"),
        ("[here](javascript:alert(1))", "<p>[here](javascript:alert(1))</p>\n"),
        ("![x](https://evil.example/p.png)", "<p>![x](https://evil.example/p.png)</p>\n"),
        ("<https://evil.example>", "<p>&lt;https://evil.example&gt;</p>\n"),
    ],
)
def test_a_sections_text_is_never_more_than_text(text: str, html: str) -> None:
    assert str(to_html(text)) == html
