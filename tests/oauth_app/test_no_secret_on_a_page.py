"""No token, code, key, state or verifier in any answer of the pages, whoever asks, whatever has happened before.

Every answer of a test is kept, and what the app can be asked for is read from its own map of addresses: a new page is
among them by itself. The one place for a state is the address that the person is sent to, the provider's.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from flask import Flask

from boots_pipeline.ingestion.sync import SyncEngine
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.resources.choices import vault_for
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from boots_pipeline.resources.mcp_gateway import McpGateway
from boots_pipeline.resources.queue import SyncQueue
from boots_pipeline.resources.tokens import TokenService
from boots_pipeline.settings import Settings, provider_settings
from oauth_app.verifier import open_verifier
from tests.oauth_app.conftest import OUTSIDE, Browser, changed, consent
from tests.oauth_app.test_hostile_provider import GRANT, Endpoint, endpoint  # noqa: F401  a fixture
from tests.test_no_secret_in_errors import ANSWERS, echo

ACCEPTED = ("text/html", "application/json")


@dataclass
class Answers:
    """Every answer of the app since the test began: who was asked for what, and all that was said."""

    app: Any
    kept: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        said: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            said.append(f"{status} {headers}")
            return start_response(status, headers, *error)

        body = self.app(environ, start)
        content = b"".join(body)
        getattr(body, "close", lambda: None)()
        self.kept.append((f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}", said[-1] + content.decode("latin-1")))
        return [content]


@dataclass
class Scene:
    """The app, who looks at it, and what nobody may see."""

    app: Flask
    answers: Answers
    admin: Browser
    member: Browser
    settings: Settings
    sandbox: str
    owner: psycopg.Connection
    proposal: UUID
    states: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)

    def start(self) -> str:
        """Press Connect, and remember what came of it."""
        url = self.admin.start()
        self.states.add(state := httpx2.URL(url).params["state"])
        sealed = self.owner.execute("select verifier from private.oauth_states order by created_at desc").fetchone()
        self.secrets.add(open_verifier(bytes(sealed["verifier"]), state, self.settings))
        return url

    def collect(self) -> None:
        """The sandbox's secrets so far: it forgets them when it is told to."""
        self.secrets |= set(OUTSIDE.get(f"{self.sandbox}/_control/secrets").json())

    def look_everywhere(self, *more: str) -> None:
        """Ask for all that can be asked for, as everybody; and see that no answer so far told a secret."""
        values = {"name": "hubspot", "proposal_id": self.proposal, "filename": None}
        static = Path(str(self.app.static_folder))
        paths = {"/nowhere", "/api/nowhere", f"/proposals/{uuid4()}", "/api/integrations/nobody/callback", *more}
        for rule in self.app.url_map.iter_rules():
            if "GET" in rule.methods:
                for name in sorted(each.name for each in static.iterdir()) if "filename" in rule.arguments else [None]:
                    told = {argument: values[argument] or name for argument in rule.arguments}
                    paths.add(self.app.url_map.bind("localhost").build(rule.endpoint, told))
        browsers = [self.admin.client, self.member.client, self.app.test_client()]
        for client in browsers:
            for path in sorted(paths):
                for accepted in ACCEPTED:
                    client.get(path, headers={"Accept": accepted})
            client.get("/login", base_url="http://elsewhere.example")
            client.delete("/login")
        self.collect()
        for asked, said in self.answers.kept:
            states = set() if asked.endswith("/connect") else self.states
            found = [secret for secret in self.secrets | states if secret in said]
            assert found == [], (asked, said)


@pytest.fixture
def scene(
    app: Flask, admin: Browser, member: Browser, web_settings: Settings, sandbox: str, owner: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:  # fmt: skip
    """Nothing is connected, and somebody has asked for a proposal."""
    answers = Answers(app.wsgi_app)
    monkeypatch.setattr(app, "wsgi_app", answers)
    key = web_settings.required("vault_keys").partition(":")[2]
    secrets = {"boots-sandbox-secret", key, web_settings.required("secret_key"), "MARKER"}
    proposal = UUID(admin.post("/api/proposals", json={"title": "A kitchen", "brief": "Oak."}).get_json()["id"])
    yield Scene(app, answers, admin, member, web_settings, sandbox, owner, proposal, secrets=secrets)
    assert {"GET /settings/integrations", "GET /login", "GET /static/boots.css"} <= {asked for asked, _ in answers.kept}


def test_of_a_connection_from_its_beginning_to_its_end(scene: Scene) -> None:
    scene.look_everywhere()
    back = consent(scene.start())
    scene.look_everywhere(changed(back, state="unknown"), f"{back}&state=twice", changed(back, iss="https://other"))
    back = consent(scene.start())
    scene.admin.get(back)
    scene.look_everywhere(back, changed(back, code="guessed"), f"/settings/integrations?connected={back}")
    scene.admin.get(consent(scene.start(), decision="deny"))
    scene.admin.post("/api/integrations/hubspot/sync")
    scene.look_everywhere()
    scene.admin.post("/api/integrations/hubspot/disconnect", json={"data": "delete"})
    scene.look_everywhere()
    assert len(scene.secrets) >= 10, "codes, tokens, verifiers, keys"


def test_of_a_grant_that_was_refused_later(
    scene: Scene, database: Database, embedder: WordllamaEmbedder, owner: psycopg.Connection
) -> None:
    scene.admin.get(consent(scene.start()))
    owner.execute("update connected_sources set token_expires_at = now()")
    queue = SyncQueue(database)
    (message,) = queue.read(10)
    job = queue.claim(message.org_id, message.job_id, message.read_ct, "test")
    gateway = McpGateway(database, TokenService(database, vault_for(scene.settings)))
    scene.collect()
    OUTSIDE.post(f"{scene.sandbox}/_control/reset")
    outcome = asyncio.run(SyncEngine(database, queue, gateway, embedder).run(job, HUBSPOT))
    assert outcome.error_class == "needs_reauth"
    scene.look_everywhere()


def test_of_a_provider_that_says_back_what_it_is_sent(scene: Scene, provider_environment: pytest.MonkeyPatch) -> None:
    for status, fields in ANSWERS.values():  # each tells its reason on the card, which the page after it shows
        back = consent(scene.start())
        with echo(status, **fields) as url:
            provider_environment.setenv("HUBSPOT_TOKEN_URL", url)
            provider_settings.cache_clear()
            answer = scene.admin.get(back).headers["Location"]
            assert "error=failed" in answer
            scene.admin.get(answer)
    scene.look_everywhere()


@pytest.mark.parametrize("missing", ["refresh_token", "hub_id"])
def test_of_a_grant_that_is_not_whole(scene: Scene, endpoint: Endpoint, missing: str) -> None:  # noqa: F811
    endpoint.gives(200, {name: value for name, value in GRANT.items() if name != missing})
    scene.admin.get(consent(scene.start()))
    scene.look_everywhere()


def test_of_an_error_of_ours(scene: Scene, owner: psycopg.Connection) -> None:
    back = consent(scene.start())
    owner.execute("alter table private.app_secrets rename to elsewhere")
    try:
        assert "error=failed" in scene.admin.get(back).headers["Location"]
        scene.look_everywhere()
    finally:
        owner.execute("alter table private.elsewhere rename to app_secrets")
