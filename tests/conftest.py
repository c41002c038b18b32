"""What every test stands on: a real Postgres of this session, and a freshly migrated database for each test that asks.

The databases are copies of one template, on a server of their own that ends with the session.
"""

import asyncio
import base64
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, settings

from boots_pipeline.ingestion import batches
from boots_pipeline.ingestion.outcome import Outcome
from boots_pipeline.ingestion.sync import SyncEngine
from boots_pipeline.local.postgres import DatabaseUrls, create_databases, embedded_postgres
from boots_pipeline.migrations import migrate
from boots_pipeline.providers import hubspot, quickbooks
from boots_pipeline.providers.base import Provider
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing
from boots_pipeline.resources.mcp_gateway import McpGateway
from boots_pipeline.resources.queue import Job, SyncQueue
from boots_pipeline.resources.tokens import TokenService
from boots_pipeline.settings import Settings, provider_settings
from oauth_app.authorisation import Grant, authorisation_url, exchange, redirect_uri
from tests.databases import TEMPLATE, Databases
from tests.folders import server_folder
from tests.local.running import boots  # noqa: F401  shared by tests/local and tests/browser
from tests.outside import Outside, sandbox_process

# A busy machine draws its first examples slowly, which is nothing that a test should fail for.
settings.register_profile("boots", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("boots")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The socket folder of a server with a migrated template database."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel warns where there is no XDG_RUNTIME_DIR
        with server_folder() as folder, embedded_postgres(folder / "data") as socket_dir:
            _forgo_durability(DatabaseUrls.on_socket(socket_dir, "postgres").owner)
            migrate(create_databases(socket_dir, TEMPLATE).owner)
            yield socket_dir


def _forgo_durability(admin: str) -> None:
    """The server is thrown away at the end: it need not wait for the disk."""
    with psycopg.connect(admin, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"alter system set {setting} = off")
        connection.execute("select pg_reload_conf()")


@pytest.fixture(scope="session")
def databases(postgres: str) -> Iterator[Databases]:
    """The databases that are copies of the template."""
    databases = Databases(postgres)
    yield databases
    databases.close()


@pytest.fixture
def urls(databases: Databases) -> Iterator[DatabaseUrls]:
    """The URLs of a migrated database that nobody else uses. Dagster has none here: its instances are in memory."""
    with databases.lend() as urls:
        yield urls


@pytest.fixture
def owner(urls: DatabaseUrls) -> Iterator[psycopg.Connection]:
    """The owner's connection, in autocommit: to set a scene and to look behind the policies."""
    with psycopg.connect(urls.owner, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
        yield connection


@pytest.fixture
def database(urls: DatabaseUrls) -> Iterator[Database]:
    """The pipeline's database, as boots_worker."""
    database = Database(urls.worker, application="test-worker")
    yield database
    database.close()


@pytest.fixture
def web_database(urls: DatabaseUrls) -> Iterator[Database]:
    """The pages' database, as boots_web."""
    database = Database(urls.web, application="test-web")
    yield database
    database.close()


@pytest.fixture
def vault_keys() -> str:
    """A key ring as VAULT_KEYS holds it."""
    return f"test:{base64.b64encode(os.urandom(32)).decode()}"


@pytest.fixture
def vault(vault_keys: str) -> EnvelopeVault:
    """An envelope with a key of its own."""
    return EnvelopeVault(KeyRing.parse(vault_keys))


@dataclass(frozen=True)
class Organisation:
    """An organisation with an admin and a member."""

    id: UUID
    slug: str
    admin: UUID
    member: UUID


@pytest.fixture
def new_organisation(owner: psycopg.Connection) -> Callable[..., Organisation]:
    """Make an organisation with an admin and a plain member."""
    return partial(make_organisation, owner)


def make_organisation(owner: psycopg.Connection, slug: str = "harbour-joinery") -> Organisation:
    """An organisation with an admin and a plain member."""
    made = Organisation(uuid4(), slug, uuid4(), uuid4())
    owner.execute("insert into organizations (id, slug, name) values (%s, %s, %s)", [made.id, slug, slug.title()])
    for user, role in ((made.admin, "admin"), (made.member, "member")):
        owner.execute("insert into auth.users (id, email) values (%s, %s)", [user, f"{role}@{slug}.example"])
        owner.execute("insert into organization_members values (%s, %s, %s)", [made.id, user, role])
    return made


@pytest.fixture
def organisation(new_organisation: Callable[..., Organisation]) -> Organisation:
    """One organisation."""
    return new_organisation()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Outside]:
    """One sandbox for the session; a test asks for `outside`, which is it on its first day."""
    with sandbox_process() as outside:
        yield outside


@pytest.fixture
def outside(sandbox: Outside, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    """The sandbox as new, with the product's environment pointing at it."""
    with as_new(sandbox, monkeypatch):
        yield sandbox


@contextmanager
def as_new(sandbox: Outside, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The sandbox on its first day, with the product's environment pointing at it."""
    sandbox.control("POST", "reset")
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    provider_settings.cache_clear()
    yield
    provider_settings.cache_clear()


@pytest.fixture(scope="session")
def embedder() -> WordllamaEmbedder:
    """The offline model, loaded once."""
    return WordllamaEmbedder()


@pytest.fixture
def queue(database: Database) -> SyncQueue:
    """The queue as boots_worker."""
    return SyncQueue(database)


@pytest.fixture
def gateway(database: Database, vault: EnvelopeVault) -> McpGateway:
    """The way to the sandbox's MCP servers."""
    return McpGateway(database, TokenService(database, vault))


@pytest.fixture
def engine(database: Database, queue: SyncQueue, gateway: McpGateway, embedder: WordllamaEmbedder) -> SyncEngine:
    """The sync engine on this test's database."""
    return SyncEngine(database, queue, gateway, embedder)


@pytest.fixture
def keep_grant(web_database: Database, vault: EnvelopeVault) -> Callable[[Organisation, Provider, Grant], UUID]:
    """Make a connection of a grant, as the callback does; returns it. A full sync is queued."""
    return partial(store_grant, web_database, vault)


def store_grant(
    web_database: Database, vault: EnvelopeVault, organisation: Organisation, provider: Provider, grant: Grant
) -> UUID:
    """A connection of a grant, as the callback makes it; a full sync is queued."""
    with web_database.user(organisation.admin, org_id=organisation.id, as_authenticated=False) as transaction:
        source_id: UUID = transaction.execute(
            "select private.begin_connection(%s, %s, %s, %s, %s, %s, 'redirect') as id",
            [organisation.id, provider.name, os.urandom(32), b"browser", b"verifier", provider.oauth.issuer],
        ).fetchone()["id"]
        tokens = vault.for_connection(organisation.id, source_id, transaction)
        transaction.execute(
            "select private.complete_connection(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                organisation.id, source_id, tokens.store_token(grant.access_token, "access"),
                tokens.store_token(grant.refresh_token, "refresh"), grant.expires_at, grant.scopes,
                grant.account.id, grant.account.name, provider.mcp_url,
            ],
        )  # fmt: skip
    return source_id


@pytest.fixture
def connect(keep_grant: Callable[[Organisation, Provider, Grant], UUID], outside: Outside) -> Callable[..., UUID]:
    """Connect an organisation to a provider, with its admin's consent."""

    def connect(organisation: Organisation, provider: Provider = HUBSPOT) -> UUID:
        return keep_grant(organisation, provider, consented(outside, organisation, provider))

    return connect


def consented(outside: Outside, organisation: Organisation, provider: Provider) -> Grant:
    """What comes of an admin's consent."""
    state, verifier, redirect = token_urlsafe(48), token_urlsafe(48), redirect_uri(provider, Settings())
    back = outside.consent(authorisation_url(provider, state, verifier, redirect), organisation.slug)
    callback = httpx.URL(back).params
    return exchange(provider, callback["code"], verifier, redirect, callback)


@dataclass(frozen=True)
class Connected:
    """An organisation's connection to a provider, and what a test asks and tells about it."""

    organisation: Organisation
    provider: Provider
    id: UUID
    owner: psycopg.Connection
    outside: Outside
    queue: SyncQueue
    engine: SyncEngine

    def take(self) -> Job:
        """Read the message that waits and claim its job, as sensor and run do."""
        (message,) = self.queue.read(10)
        assert message.problem is None, message
        job = self.queue.claim(message.org_id, message.job_id, message.read_ct, "test")
        assert job is not None
        return job

    def run(self, job: Job) -> Outcome:
        return asyncio.run(self.engine.run(job, self.provider))

    def sync(self, kind: str | None = None) -> Outcome:
        """Run the sync that waits; with a kind, ask for it first."""
        if kind is not None:
            self.queue.enqueue(self.organisation.id, self.id, kind, "test")
        return self.run(self.take())

    def wake(self) -> None:
        """Let the time pass until what was put off is due, and leases have run out."""
        self.owner.execute("update pgmq.q_ingestion_queue set vt = clock_timestamp()")
        self.owner.execute("update ingestion_jobs set lease_until = '-infinity' where lease_until is not null")
        self.owner.execute("update ingestion_jobs set retry_after = '-infinity' where retry_after is not null")
        self.owner.execute("delete from private.rate_budgets")

    def job(self) -> dict[str, Any]:
        """The newest job."""
        return self.owner.execute("select * from ingestion_jobs order by created_at desc limit 1").fetchone()

    def source(self) -> dict[str, Any]:
        return self.owner.execute("select * from connected_sources where id = %s", [self.id]).fetchone()

    def kept(self) -> dict[str, set[str]]:
        """The ids of the living documents, per stream."""
        found: dict[str, set[str]] = {stream: set() for stream in self.provider.streams}
        for row in self.owner.execute(
            "select document_type, external_id from source_documents where source_id = %s and deleted_at is null",
            [self.id],
        ):
            found[row["document_type"]].add(row["external_id"])
        return found

    def documents(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Every living document, by stream and id."""
        rows = self.owner.execute(
            "select *, xmin::text as written from source_documents where source_id = %s and deleted_at is null",
            [self.id],
        )
        return {(row["document_type"], row["external_id"]): row for row in rows}

    def truth(self) -> dict[str, set[str]]:
        """The ids of what the provider holds, per stream."""
        held = self.outside.truth(self.organisation.slug, self.provider.name)
        return {stream: set(records) for stream, records in held.items()}

    def calls(self, name: str) -> list[dict[str, Any]]:
        """What was asked of the provider: calls of a tool, or of an endpoint."""
        return [c for c in self.outside.control("GET", "calls") if name in (c.get("tool"), c.get("endpoint"))]

    def waiting(self, queue: str = "ingestion_queue") -> int:
        return self.owner.execute(f"select count(*) as n from pgmq.q_{queue}").fetchone()["n"]


@pytest.fixture
def connected_to(
    connect: Callable[..., UUID],
    organisation: Organisation,
    owner: psycopg.Connection,
    outside: Outside,
    queue: SyncQueue,
    engine: SyncEngine,
) -> Callable[[Provider], Connected]:
    """Connect the organisation to a provider: its first sync waits."""

    def connected_to(provider: Provider) -> Connected:
        return Connected(organisation, provider, connect(organisation, provider), owner, outside, queue, engine)

    return connected_to


@pytest.fixture
def connected(connected_to: Callable[[Provider], Connected]) -> Connected:
    """A HubSpot that was connected just now."""
    return connected_to(HUBSPOT)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and batches of ten, so that a small world has many; searches that need not be spread over seconds."""
    monkeypatch.setattr(hubspot, "_PAGE", 10)
    monkeypatch.setattr(quickbooks, "_PAGE", 10)
    monkeypatch.setattr(hubspot, "_SEARCHES", hubspot.Budget("search", 500, 1))
    monkeypatch.setattr(batches, "_ITEMS", 10)


@pytest.fixture
def vault_key_file(tmp_path: Path, vault_keys: str) -> Path:
    """A key file as `boots up` makes it."""
    path = tmp_path / "vault.key"
    path.touch(mode=0o600)
    path.write_text(vault_keys)
    return path
