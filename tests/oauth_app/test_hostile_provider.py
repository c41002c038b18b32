"""A token endpoint that misbehaves: it points elsewhere, never ends, or gives less than is needed."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import psycopg
import pytest

from boots_pipeline.settings import provider_settings
from tests.http_server import Handler, serving
from tests.oauth_app.conftest import Browser

GRANT = {"access_token": "ACCESS-MARKER", "refresh_token": "REFRESH-MARKER", "expires_in": 1800, "hub_id": 7}


@dataclass
class Endpoint:
    """What it answers, and what it was asked for."""

    answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: None
    paths: list[str] = field(default_factory=list)

    def gives(self, status: int, body: Any, **headers: str) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        self.answer = answer


@pytest.fixture
def endpoint(provider_environment: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    told = Endpoint()

    class Answering(Handler):
        def do_POST(self) -> None:
            told.paths.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            told.answer(self)

        do_GET = do_POST

    with serving(Answering) as address:
        provider_environment.setenv("HUBSPOT_TOKEN_URL", f"{address}/token")
        provider_environment.setenv("HUBSPOT_REVOCATION_URL", f"{address}/revoke")
        provider_settings.cache_clear()
        yield told


def told_on_the_card(admin: Browser, owner: psycopg.Connection) -> str:
    """Connect, which must fail with nothing kept; what the card says."""
    assert admin.connect().headers["Location"] == "/settings/integrations?error=failed&provider=hubspot"
    row = owner.execute("select status, status_message from connected_sources").fetchone()
    assert row["status"] == "error"
    assert owner.execute("select count(*) as n from private.app_secrets").fetchone()["n"] == 0
    return str(row["status_message"])


def test_the_endpoint_is_asked_as_it_should_be(admin: Browser, endpoint: Endpoint, owner: psycopg.Connection) -> None:
    endpoint.gives(200, GRANT)
    assert "connected=hubspot" in admin.connect().headers["Location"]
    for row in owner.execute("select wrapped_key, body from private.app_secrets").fetchall():
        assert b"MARKER" not in bytes(row["wrapped_key"]) + bytes(row["body"])
    assert endpoint.paths == ["/token"]


def test_web_16_a_redirect_is_not_followed(admin: Browser, endpoint: Endpoint, owner: psycopg.Connection) -> None:
    endpoint.gives(302, GRANT, Location="/elsewhere")
    assert "did not answer in time or not properly" in told_on_the_card(admin, owner)
    assert endpoint.paths == ["/token"]


def test_web_16_an_answer_without_end(admin: Browser, endpoint: Endpoint, owner: psycopg.Connection) -> None:
    sent = 0

    def pour(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.end_headers()
        try:
            while sent < 50_000_000:
                sent += handler.wfile.write(b" " * 65_536)
        except OSError:
            pass

    endpoint.answer = pour
    assert "did not answer in time or not properly" in told_on_the_card(admin, owner)
    assert sent < 50_000_000


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"\xff\xfe",
        b"null",
        b"{",
        b'"text"',
        b"[" * 60_000,
        b'{"access_token": "a", "expires_in": Infinity}',
        b'{"access_token": "a", "expires_in": "soon"}',
    ],
)
def test_web_16_what_is_no_token_response(
    admin: Browser, endpoint: Endpoint, owner: psycopg.Connection, body: bytes
) -> None:
    endpoint.gives(200, body)
    assert "do not understand" in told_on_the_card(admin, owner)


@pytest.mark.parametrize("missing", ["access_token", "refresh_token"])
def test_web_20_a_token_that_is_missing(
    admin: Browser, endpoint: Endpoint, owner: psycopg.Connection, missing: str
) -> None:
    endpoint.gives(200, {name: value for name, value in GRANT.items() if name != missing})
    assert f"gave no lasting access ({missing} is missing)" in told_on_the_card(admin, owner)


def test_an_account_that_nobody_names(admin: Browser, endpoint: Endpoint, owner: psycopg.Connection) -> None:
    endpoint.gives(200, {**GRANT, "hub_id": None})
    assert "did not say whose account" in told_on_the_card(admin, owner)


def test_an_error_text_of_the_provider_is_never_shown(
    admin: Browser, endpoint: Endpoint, owner: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.gives(400, {"error": "invalid_grant", "error_description": "call 555 MARKER"})
    assert told_on_the_card(admin, owner) == "HubSpot did not accept the answer. Press Connect to try again."
    assert "MARKER" not in caplog.text


def test_a_client_that_the_provider_does_not_know_is_the_operators_business(
    admin: Browser, endpoint: Endpoint, owner: psycopg.Connection
) -> None:
    endpoint.gives(401, {"error": "invalid_client"})
    assert "HUBSPOT_CLIENT_ID" in told_on_the_card(admin, owner)


@pytest.mark.parametrize(
    ("told", "life"), [({}, 3600), ({"expires_in": 10**30}, 366 * 86_400), ({"expires_in": -5}, 0)]
)
def test_how_long_an_access_token_is_taken_to_live(
    admin: Browser, endpoint: Endpoint, owner: psycopg.Connection, told: dict[str, int], life: int
) -> None:
    endpoint.gives(200, {name: value for name, value in GRANT.items() if name != "expires_in"} | told)
    admin.connect()
    row = owner.execute("select token_expires_at - now() as life from connected_sources").fetchone()
    assert life - 60 < row["life"].total_seconds() <= life
