"""The app on a fresh database, people signed in to it, and the sandbox that plays HubSpot."""

import os
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

import httpx2
import psycopg
import pytest
import uvicorn
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from boots_pipeline.local.postgres import DatabaseUrls, create_databases
from boots_pipeline.settings import Settings, provider_settings
from oauth_app import create_app
from sandbox.app import create_app as create_sandbox
from tests.conftest import Organisation

OUTSIDE = httpx2.Client()
AUTHORIZE = "/hubspot/oauth/authorize/user"


@pytest.fixture(scope="session")
def sandbox() -> Iterator[str]:
    """The outside world, over HTTP."""
    listening = socket.create_server(("127.0.0.1", 0))
    base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    world = create_sandbox(seed=7, size="small", base_url=base_url)
    server = uvicorn.Server(uvicorn.Config(world, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield base_url
    OUTSIDE.close()
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def provider_environment(sandbox: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """HubSpot's variables point at the sandbox."""
    root = f"{sandbox}/hubspot"
    for name, value in {
        "CLIENT_ID": "boots-sandbox",
        "CLIENT_SECRET": "boots-sandbox-secret",
        "ISSUER": root,
        "AUTHORIZATION_URL": f"{sandbox}{AUTHORIZE}",
        "TOKEN_URL": f"{root}/oauth/v3/token",
        "REVOCATION_URL": f"{root}/oauth/v3/token/revoke",
        "MCP_URL": f"{root}/mcp",
    }.items():
        monkeypatch.setenv(f"HUBSPOT_{name}", value)
    provider_settings.cache_clear()
    OUTSIDE.delete(f"{sandbox}/_control/faults")
    OUTSIDE.delete(f"{sandbox}/_control/calls")
    yield monkeypatch
    monkeypatch.undo()
    provider_settings.cache_clear()


@pytest.fixture(scope="session")
def urls(postgres: str) -> DatabaseUrls:
    """One database for all of these tests, emptied after each: a copy for each would take most of their time."""
    name = "boots_web_pages"
    with psycopg.connect(DatabaseUrls.on_socket(postgres, "postgres").owner, autocommit=True) as connection:
        connection.execute(f"create database {name} template template_boots")
    return create_databases(postgres, name)


@pytest.fixture(autouse=True)
def empty_afterwards(owner: psycopg.Connection) -> Iterator[None]:
    """Leave nothing to the next test."""
    yield
    owner.execute(
        """truncate organizations, organization_members, auth.users, private.oauth_states, private.app_secrets,
                    private.web_sessions, private.heartbeats, pgmq.q_ingestion_queue, pgmq.a_ingestion_queue, jobs,
                    proposals cascade"""
    )


@pytest.fixture(scope="session")
def web_settings(urls: DatabaseUrls) -> Settings:
    """What `python -m oauth_app` would read."""
    return Settings(
        web_database_url=urls.web,
        vault_keys=f"test:{b64encode(os.urandom(32)).decode()}",
        vault_key_file=None,
        secret_key="k" * 32,
        public_base_url="http://localhost",
        boots_env="development",
    )


@pytest.fixture(scope="session")
def app(web_settings: Settings) -> Iterator[Flask]:
    """The app, ready to be asked."""
    made = create_app(web_settings)
    yield made
    made.extensions["boots"].close()


@dataclass
class Browser:
    """Somebody's browser: its cookies, and what its pages would send along."""

    client: FlaskClient
    csrf_token: str = ""

    def post(self, path: str, **arguments: Any) -> TestResponse:
        """As the page's script would."""
        return self.client.post(path, headers={"X-CSRF-Token": self.csrf_token}, **arguments)

    def post_form(self, path: str, **fields: str) -> TestResponse:
        """As a form of the page would."""
        headers = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
        return self.client.post(path, data={"csrf_token": self.csrf_token, **fields}, headers=headers)

    def get(self, path: str, **arguments: Any) -> TestResponse:
        return self.client.get(path, **arguments)

    def start(self) -> str:
        """Press Connect; where the provider's consent page is."""
        answer = self.post("/api/integrations/hubspot/connect")
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["authorization_url"])

    def connect(self, decision: str = "allow", account: str | None = None) -> TestResponse:
        """The whole way, as far as the redirect at its end."""
        return self.get(consent(self.start(), decision, account))


def consent(authorization_url: str, decision: str = "allow", account: str | None = None) -> str:
    """Decide on the consent page; where it sends the browser back to, as a path of ours."""
    chosen = account or accounts(authorization_url)[0]
    answer = OUTSIDE.post(authorization_url, data={"account": chosen, "decision": decision})
    assert answer.status_code == 303, answer.text
    target = urlsplit(answer.headers["location"])
    return f"{target.path}?{target.query}"


def accounts(authorization_url: str) -> list[str]:
    """The accounts that the sandbox knows."""
    parts = urlsplit(authorization_url)
    world = OUTSIDE.get(f"{parts.scheme}://{parts.netloc}/_control/world").json()
    return [organization["slug"] for organization in world["organizations"]]


def changed(path: str, **parameters: str | None) -> str:
    """A callback's path with some parameters put in or taken out."""
    parts = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | parameters
    return f"{parts.path}?{urlencode({name: value for name, value in query.items() if value is not None})}"


@pytest.fixture
def sign_in(app: Flask) -> Callable[[str], Browser]:
    """A browser of its own, signed in."""

    def enter(email: str) -> Browser:
        browser = Browser(app.test_client())
        assert browser.client.post("/login", data={"email": email}).status_code == 303
        browser.csrf_token = browser.get("/api/session").get_json()["csrf_token"]
        return browser

    return enter


@pytest.fixture
def admin(sign_in: Callable[[str], Browser], organisation: Organisation, provider_environment: object) -> Browser:
    """The admin of the organisation, in front of the sandbox."""
    return sign_in(f"admin@{organisation.slug}.example")


@pytest.fixture
def member(sign_in: Callable[[str], Browser], organisation: Organisation, provider_environment: object) -> Browser:
    """A plain member."""
    return sign_in(f"member@{organisation.slug}.example")


@pytest.fixture
def source(owner: psycopg.Connection, organisation: Organisation) -> Callable[[], dict[str, Any] | None]:
    """The organisation's connection as it stands in the table."""

    def read() -> dict[str, Any] | None:
        return owner.execute("select * from connected_sources where org_id = %s", [organisation.id]).fetchone()

    return read


def make_source(owner: psycopg.Connection, org_id: UUID, status: str = "active") -> UUID:
    """A connection as if it had been made long ago."""
    row = owner.execute(
        """insert into connected_sources (org_id, provider, status, connected_at, external_account_id,
                                         access_token_vault_id)
           values (%s, 'hubspot', %s, now(), '4242', gen_random_uuid()) returning id""",
        [org_id, status],
    ).fetchone()
    return row["id"]
