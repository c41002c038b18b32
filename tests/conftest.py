"""What every test stands on: a real Postgres of this session, and a freshly migrated database for each test that asks.

The databases are copies of one template (a copy takes about 0.1 s), on a server of their own that ends with the
session.
"""

import base64
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from boots_pipeline.ingestion.sync import SyncEngine
from boots_pipeline.local.postgres import DatabaseUrls, create_databases, embedded_postgres
from boots_pipeline.migrations import migrate
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from boots_pipeline.resources.mcp_gateway import McpGateway
from boots_pipeline.resources.queue import SyncQueue
from boots_pipeline.resources.tokens import TokenService, expiry
from boots_pipeline.resources.vault import EnvelopeVault, KeyRing
from boots_pipeline.settings import provider_settings
from tests.local.running import boots  # noqa: F401  shared by tests/local and tests/browser
from tests.outside import Outside, sandbox_process


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket folder of a server with a migrated template database."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel warns where there is no XDG_RUNTIME_DIR
        with embedded_postgres(tmp_path_factory.mktemp("postgres") / "data") as socket_dir:
            migrate(create_databases(socket_dir, "template_boots").owner)
            yield socket_dir


@pytest.fixture
def urls(postgres: str) -> Iterator[DatabaseUrls]:
    """The URLs of a migrated database that nobody else uses."""
    name = f"boots_{uuid4().hex[:12]}"
    admin = DatabaseUrls.on_socket(postgres, "postgres").owner
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template_boots").format(sql.Identifier(name)))
    yield create_databases(postgres, name)
    with psycopg.connect(admin, autocommit=True) as connection:
        for database in (name, f"{name}_dagster"):
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database)))


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

    def make(slug: str = "harbour-joinery") -> Organisation:
        made = Organisation(uuid4(), slug, uuid4(), uuid4())
        owner.execute("insert into organizations (id, slug, name) values (%s, %s, %s)", [made.id, slug, slug.title()])
        for user, role in ((made.admin, "admin"), (made.member, "member")):
            owner.execute("insert into auth.users (id, email) values (%s, %s)", [user, f"{role}@{slug}.example"])
            owner.execute("insert into organization_members values (%s, %s, %s)", [made.id, user, role])
        return made

    return make


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
    sandbox.control("POST", "reset")
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    provider_settings.cache_clear()
    yield sandbox
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
def connect(
    web_database: Database, vault: EnvelopeVault, outside: Outside, owner: psycopg.Connection
) -> Callable[[Organisation], UUID]:
    """Connect an organisation to its HubSpot as the callback does; returns the connection. A full sync is queued."""

    def connect(organisation: Organisation) -> UUID:
        grant = outside.grant(organisation.slug)
        with web_database.user(organisation.admin, org_id=organisation.id, as_authenticated=False) as transaction:
            source_id = transaction.execute(
                "select private.begin_connection(%s, 'hubspot', %s, %s, %s, %s, %s) as id",
                [organisation.id, os.urandom(32), b"browser", b"verifier", HUBSPOT.oauth.issuer, "redirect"],
            ).fetchone()["id"]
            tokens = vault.for_connection(organisation.id, source_id, transaction)
            transaction.execute(
                "select private.complete_connection(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    organisation.id, source_id, tokens.store_token(grant["access_token"], "access"),
                    tokens.store_token(grant["refresh_token"], "refresh"), expiry(grant), [], str(grant["hub_id"]),
                    None, HUBSPOT.mcp_url,
                ],
            )  # fmt: skip
        return source_id

    return connect


@pytest.fixture
def vault_key_file(tmp_path: Path) -> Path:
    """A key file as `boots up` makes it."""
    path = tmp_path / "vault.key"
    path.touch(mode=0o600)
    path.write_text(f"test:{base64.b64encode(os.urandom(32)).decode()}")
    return path
