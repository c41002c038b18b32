"""Whose Google account it is, asked at every sync: of the authorisation server, since no tool of Google's tells."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any

import httpx
import pytest

from boots_pipeline.errors import BadPage, BootsError, ConfigError, NeedsReauth, RateLimited, Transient
from boots_pipeline.providers.base import Provider
from boots_pipeline.providers.gmail import GMAIL
from boots_pipeline.providers.google_drive import GOOGLE_DRIVE
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.resources import mcp_gateway
from boots_pipeline.resources import user_info as user_info_module
from boots_pipeline.resources.user_info import user_info
from boots_pipeline.settings import provider_settings
from tests.conftest import Connected
from tests.http_server import Handler, serving
from tests.outside import Outside

ADDRESS = "admin@harbour-joinery.example"


@pytest.fixture(params=[GOOGLE_DRIVE, GMAIL], ids=lambda provider: provider.name)
def google(request: pytest.FixtureRequest, connected_to: Callable[[Provider], Connected]) -> Connected:
    """One of Google's services, connected just now."""
    return connected_to(request.param)


def asked(google: Connected) -> list[str]:
    """What the provider was asked for since it was connected, by tool, each once."""
    calls = google.outside.control("GET", "calls")
    return list(dict.fromkeys(call["tool"] for call in calls if "tool" in call))


def test_it_is_asked_first_and_another_account_is_neither_read_nor_deleted(google: Connected) -> None:
    google.sync()
    assert asked(google)[0] == "userinfo"
    assert google.source()["external_account_name"] == ADDRESS
    kept = google.documents()
    assert kept
    google.owner.execute("update connected_sources set external_account_id = '1999'")
    google.outside.control("DELETE", "calls")
    outcome = google.sync("reconcile")
    assert (outcome.status, outcome.error_class) == ("failed", "needs_reauth")
    told = f"The grant now opens another {google.provider.title} account. Connect again."
    assert (google.source()["status"], google.source()["status_message"]) == ("needs_reauth", told)
    assert asked(google) == ["userinfo"]
    assert google.documents() == kept
    assert google.source()["external_account_name"] == ADDRESS


def test_another_address_of_the_same_account_is_another_name_for_it(connected_to: Callable[..., Connected]) -> None:
    mailbox = connected_to(GMAIL)
    mailbox.owner.execute("update connected_sources set external_account_name = 'before@wedding.example'")
    assert mailbox.sync().status == "completed"
    assert mailbox.source()["external_account_name"] == ADDRESS
    read_as = {row["raw_payload"]["mailbox"] for row in mailbox.documents().values()}
    assert read_as == {ADDRESS}, "what was read in this very sync is of the mailbox by its new name"


@pytest.mark.parametrize("meanwhile", ["status = 'revoked'", "external_account_id = '1999'"])
def test_a_connection_that_ended_or_goes_to_another_account_meanwhile_is_not_named(
    connected_to: Callable[..., Connected], meanwhile: str
) -> None:
    mailbox = connected_to(GMAIL)
    mailbox.owner.execute("update connected_sources set external_account_name = 'as it was'")
    mailbox.outside.fault(provider="gmail", tool="userinfo", kind="slow", seconds=0.7)
    syncing = Thread(target=mailbox.sync)
    syncing.start()
    while not mailbox.calls("userinfo"):
        time.sleep(0.02)
    mailbox.owner.execute(f"update connected_sources set {meanwhile}")
    syncing.join()
    assert mailbox.source()["external_account_name"] == "as it was"


USERINFO = {"provider": "google_drive", "tool": "userinfo"}


@pytest.fixture
def drive(connected_to: Callable[[Provider], Connected], monkeypatch: pytest.MonkeyPatch) -> Connected:
    """A Drive that was connected just now; one try a run shows what would be tried again."""
    monkeypatch.setattr(mcp_gateway, "_ATTEMPTS", 1)
    return connected_to(GOOGLE_DRIVE)


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        ({"kind": "status", "status": 503}, ("queued", "transient")),
        ({"kind": "status", "status": 429, "retry_after": 600}, ("queued", "rate_limited")),
        ({"kind": "cut"}, ("queued", "transient")),
        ({"kind": "html"}, ("queued", "bad_page")),
        ({"kind": "empty"}, ("queued", "bad_page")),
        ({"kind": "malformed_item"}, ("queued", "bad_page")),
        ({"kind": "status", "status": 403}, ("failed", "permission")),
        ({"kind": "status", "status": 401}, ("completed", None)),
        ({"kind": "expire_tokens"}, ("completed", None)),
        ({"kind": "status", "status": 401, "times": 2}, ("failed", "needs_reauth")),
    ],
    ids=lambda told: "-".join(map(str, told.values())) if isinstance(told, dict) else str(told[1]),
)
def test_an_account_that_is_not_told_is_not_another_one(
    drive: Connected, fault: dict[str, Any], ends: tuple[str, str | None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    drive.outside.fault(**USERINFO, **fault)
    drive.outside.control("DELETE", "calls")
    outcome = drive.sync()
    assert (outcome.status, outcome.error_class) == ends, drive.job()
    if outcome.status == "queued":
        assert drive.source()["status"] == "active"
        assert asked(drive) == ["userinfo"], "nothing was read before it was known whose it is"
        drive.wake()
        assert drive.run(drive.take()).status == "completed"
    assert len(drive.calls("token")) == (1 if 401 in fault.values() or fault["kind"] == "expire_tokens" else 0)
    told = caplog.text + str(drive.job()) + str(drive.source())
    assert not [secret for secret in drive.outside.control("GET", "secrets") if secret in told]


def test_the_endpoint_wants_a_living_token_that_was_granted_openid(drive: Connected, outside: Outside) -> None:
    url = GOOGLE_DRIVE.oauth.userinfo_url
    assert url == f"{outside.url}/google_drive/v1/userinfo"
    assert url == httpx.get(GOOGLE_DRIVE.oauth.discovery_url).json()["userinfo_endpoint"]
    for header in ({}, {"Authorization": "Bearer made-up"}):
        assert httpx.get(url, headers=header).status_code == 401
    target = f"{outside.url}/api/integrations/google_drive/callback"
    query = {"response_type": "code", "client_id": "boots-sandbox", "redirect_uri": target}
    for scope, status in (("https://www.googleapis.com/auth/drive.readonly", 403), ("openid", 200)):
        consent = httpx.URL(GOOGLE_DRIVE.oauth.authorization_url, params={**query, "scope": scope})
        code = httpx.URL(outside.consent(str(consent), "harbour-joinery")).params["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": target}
        signed = {"client_id": "boots-sandbox", "client_secret": "boots-sandbox-secret"}
        tokens = httpx.post(GOOGLE_DRIVE.oauth.token_url, data=form | signed).json()
        answer = httpx.get(url, headers={"Authorization": f"Bearer {tokens['access_token']}"})
        assert answer.status_code == status
        assert ("sub" in answer.json()) is (status == 200)


# The endpoint by itself: what it may answer, and what becomes of the token.


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A UserInfo endpoint; the paths and tokens that it was asked with."""
    met: list[str] = []

    class Endpoint(Handler):
        def do_GET(self) -> None:
            met.append(f"{self.path} {self.headers['Authorization']}")
            answer(self)

    with serving(Endpoint) as address:
        yield address, met


def gives(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(40):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            handler.connection.settimeout(0.05)
            try:
                handler.connection.recv(1)
                return
            except TimeoutError:
                pass
    except OSError:
        pass


@pytest.mark.parametrize(
    ("answer", "error", "tries"),
    [
        (gives(200, b"[]"), BadPage, 1),
        (gives(200, b"\xff{"), BadPage, 1),
        (gives(200, b"[" * 60_000), BadPage, 1),
        (gives(200, b" " * 70_000), Transient, 1),
        (gives(302, b"{}", Location="/elsewhere"), Transient, 1),
        (gives(200, b"{}", Content_Encoding="gzip"), Transient, 1),
        (gives(404, b"{}"), BadPage, 1),
        (gives(429, b"", Retry_After="7"), RateLimited, 1),
        (gives(403, b'{"error": {"errors": [{"reason": "rateLimitExceeded"}]}}'), RateLimited, 1),
        (gives(500, b"ACCESS-1"), Transient, 1),
        (gives(401, b"ACCESS-2"), NeedsReauth, 2),
        (drip, Transient, 1),
    ],
    ids=["list", "garbage", "deep", "endless", "redirect", "no gzip", "404", "429", "403", "500", "401", "drip"],
)
def test_whatever_it_answers_is_an_error_of_ours_without_the_token(
    answer: Answer, error: type[BootsError], tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_info_module, "ANSWER_SECONDS", 0.4)
    with answering(answer) as (url, met):
        monkeypatch.setenv("GOOGLE_USERINFO_URL", f"{url}/v1/userinfo")
        provider_settings.cache_clear()
        with pytest.raises(error) as raised:
            asyncio.run(user_info(GOOGLE_DRIVE, lambda refused: "ACCESS-2" if refused else "ACCESS-1"))
    provider_settings.cache_clear()
    assert met == [f"/v1/userinfo Bearer ACCESS-{number}" for number in range(1, tries + 1)]
    assert "ACCESS" not in str(raised.value)


def test_who_has_no_such_address_is_sent_no_token() -> None:
    with pytest.raises(ConfigError, match="no address"):
        asyncio.run(user_info(HUBSPOT, lambda refused: json.dumps(refused)))
