"""Looks at a setup, changes nothing, and says of each thing whether it is right, and if not, what to do.

What a provider's authorisation server publishes is compared with what is pinned here: discovery checks, never chooses.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
from psycopg.rows import dict_row

from boots_pipeline.counting import counted
from boots_pipeline.errors import BootsError, ConfigError
from boots_pipeline.migrations import pending_migrations
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.providers.base import Provider
from boots_pipeline.resources.choices import vault_for
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.envelope_vault import EnvelopeVault
from boots_pipeline.settings import Settings, provider_settings

_SECONDS = 10
_TRANSACTION_POOLER = 6543  # Supabase's port for it
_OLDEST_POSTGRES = 150_000
_OLDEST_PGVECTOR = (0, 8)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `ok` is None where nothing is wrong and something should be known."""

    what: str
    ok: bool | None
    sentence: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Everything, a finding at a time: databases, vault, pages, providers."""
    worker, web = settings.worker_database_url, settings.web_database_url
    if not any((settings.database_url, worker, web, settings.dagster_pg_url)):
        # One sentence, where each of the five would say of its own URL that it is not set.
        yield Finding("database", False, "No Boots runs here and no other Postgres is named: `make up` starts one.")
    else:
        yield from _told("database", lambda: _database(settings))
        yield from _told("pipeline", lambda: _role("pipeline", "boots_worker", "WORKER_DATABASE_URL", worker))
        yield from _told("pages", lambda: _role("pages", "boots_web", "WEB_DATABASE_URL", web))
        yield from _told("vault", lambda: _vault(settings))
        yield from _told("Dagster", lambda: _dagster(settings))
    yield from _told("pages", lambda: _pages(settings))
    for provider in PROVIDERS.values():
        yield from _told(provider.title, partial(_provider, provider))


def _told(what: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except BootsError as error:
        yield Finding(what, False, str(error))
    except psycopg.OperationalError:
        yield Finding(what, False, "The database does not answer, or does not let this role in; check its URL.")
    except psycopg.Error as error:
        yield Finding(what, False, f"The database refuses (SQLSTATE {error.sqlstate}); are all migrations applied?")
    except httpx.HTTPError as error:
        yield Finding(what, False, f"It does not answer ({type(error).__name__}); check address and network.")


@contextmanager
def _connection(url: str | None, variable: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    if url is None:
        raise ConfigError(f"{variable} is not set. `boots up` has one of its own; start it, or see .env.example.")
    with psycopg.connect(url, autocommit=True, connect_timeout=_SECONDS, row_factory=dict_row) as connection:
        yield connection


def _value(connection: psycopg.Connection[dict[str, Any]], question: str) -> Any:
    row = connection.execute(question.encode()).fetchone()
    return next(iter(row.values())) if row else None


def _either(what: str, right: bool, good: str, bad: str) -> Finding:
    return Finding(what, right, good if right else bad)


def _database(settings: Settings) -> Iterator[Finding]:
    with _connection(settings.database_url, "DATABASE_URL") as owner:
        version = int(_value(owner, "select current_setting('server_version_num')"))
        yield Finding("database", version >= _OLDEST_POSTGRES, f"Postgres {version // 10_000}; 15 or later is needed.")
        vector = _value(owner, "select extversion from pg_extension where extname = 'vector'")
        enough = vector is not None and tuple(int(part) for part in vector.split(".")[:2]) >= _OLDEST_PGVECTOR
        yield Finding("database", enough, f"pgvector {vector or 'is missing'}; 0.8 or later is needed.")
        queue = _value(owner, "select to_regprocedure('pgmq.read(text, integer, integer, jsonb)') is not null")
        yield _either("database", queue, "pgmq is there.", "pgmq 1.5 or later is missing: `boots migrate`.")
    waiting = len(pending_migrations(settings.required("database_url")))
    yield _either(
        "database",
        not waiting,
        "No migration waits.",
        f"Not applied: {counted(waiting, 'migrations')}. Run `boots migrate`.",
    )


_WHO = """
select current_user as name, rolsuper or rolbypassrls as unbounded from pg_roles where rolname = current_user
"""


def _role(name: str, role: str, variable: str, url: str | None) -> Iterator[Finding]:
    with _connection(url, variable) as connection:
        (who,) = connection.execute(_WHO).fetchall()
        if who["unbounded"]:
            yield Finding(name, False, f"{who['name']} is above row level security; connect as {role}.")
        else:
            yield Finding(name, who["name"] == role, f"Connects as {who['name']}; {role} is meant.")
        if connection.info.port == _TRANSACTION_POOLER and role == "boots_worker":
            yield Finding(name, False, "Port 6543 is Supabase's transaction pooler; the pipeline needs sessions: 5432.")


_LOGS_PARAMETERS = """
select current_setting('log_parameter_max_length')::int <> 0
       and (current_setting('log_statement') = 'all' or current_setting('log_min_duration_statement')::int >= 0)
"""


def _vault(settings: Settings) -> Iterator[Finding]:
    vault = vault_for(settings)
    database = Database(settings.required("worker_database_url"), application="boots-doctor", size=1)
    try:
        with database.connection() as connection:
            if isinstance(vault, EnvelopeVault):
                # Not `check`: that makes a key that was mistyped the one that this database knows.
                unknown = ", ".join(vault.unknown_keys(connection))
            else:
                vault.check(connection)
    finally:
        database.close()
    if not isinstance(vault, EnvelopeVault):
        yield from _supabase_vault(settings)
    elif unknown:
        yield Finding("vault", None, f"This database has not met the key {unknown} yet; it will, when Boots starts.")
    else:
        yield Finding("vault", True, "The envelope's keys are those that this database was sealed with.")


def _supabase_vault(settings: Settings) -> Iterator[Finding]:
    """The real vault, asked to keep something in a transaction that is rolled back."""
    secret, name = f"doctor {uuid4()}", f"boots/doctor/{uuid4()}"
    with _connection(settings.database_url, "DATABASE_URL") as owner:
        with owner.transaction(force_rollback=True):
            (made,) = owner.execute("select vault.create_secret('pending', %s) as id", [name]).fetchall()
            owner.execute("select vault.update_secret(%s, %s)", [made["id"], secret])
            kept = owner.execute(
                "select decrypted_secret, secret from vault.decrypted_secrets where id = %s and name = %s",
                [made["id"], name],
            ).fetchone()
        works = kept is not None and kept["decrypted_secret"] == secret and secret not in kept["secret"]
        yield _either("vault", works, "Supabase Vault seals and opens.", "Supabase Vault loses what it is given.")
        yield _either(
            "vault",
            not _value(owner, _LOGS_PARAMETERS),
            "The server does not log what it is asked to keep.",
            "The server logs statements with their parameters, tokens among them: log_parameter_max_length = 0.",
        )
    with _connection(settings.worker_database_url, "WORKER_DATABASE_URL") as worker:
        try:
            worker.execute("select from vault.decrypted_secrets limit 0")
        except psycopg.errors.InsufficientPrivilege:
            yield Finding("vault", True, "The pipeline cannot read the vault's own view.")
        else:
            yield Finding("vault", False, "boots_worker may read vault.decrypted_secrets, every tenant's: revoke it.")


def _dagster(settings: Settings) -> Iterator[Finding]:
    with _connection(settings.dagster_pg_url, "DAGSTER_PG_URL") as connection:
        shared = _value(connection, "select to_regclass('public.source_documents') is not null")
        yield _either(
            "Dagster",
            not shared,
            "Has a database of its own.",
            "Shares our database; it needs one of its own.",
        )


def _pages(settings: Settings) -> Iterator[Finding]:
    production = settings.boots_env == "production"
    if production:
        base = settings.public_base_url
        yield Finding("pages", base.startswith("https://"), f"PUBLIC_BASE_URL is {base}; production needs https.")
        if settings.supabase_url is not None and not settings.supabase_url.startswith("https://"):
            yield Finding("pages", False, "SUPABASE_URL is not https: who is on the way could sign anybody in.")
    if settings.supabase_url is None:
        verdict = False if production else None
        yield Finding("pages", verdict, "The development sign-in asks for no password: set SUPABASE_URL.")
    elif settings.supabase_jwt_secret is not None:
        yield Finding("pages", None, "Supabase's legacy secret signs: who has it is anybody. Prefer published keys.")
    else:
        keys = _get(f"{settings.supabase_url.rstrip('/')}/auth/v1/.well-known/jwks.json").get("keys", [])
        public = [key for key in keys if key.get("kty") in ("EC", "RSA")]
        yield Finding("pages", bool(public), f"Supabase publishes {len(public)} signing keys; one is needed.")


def _get(url: str) -> dict[str, Any]:
    answer = httpx.get(url, timeout=_SECONDS, follow_redirects=False)
    answer.raise_for_status()
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ConfigError(f"{urlsplit(url).netloc} did not answer with a JSON object.")
    return told


def _provider(provider: Provider) -> Iterator[Finding]:
    told, facts = provider_settings(provider.env_prefix), provider.oauth
    if not told.client_id or told.client_secret is None:
        yield Finding(
            provider.title,
            None,
            f"No {provider.env_prefix}CLIENT_ID and …_SECRET: only the sandbox of `boots up` plays it.",
        )
        return
    if facts.discovery_url is not None:
        published = _get(facts.discovery_url)
        pinned = {
            "issuer": facts.issuer,
            "authorization_endpoint": facts.authorization_url,
            "token_endpoint": facts.token_url,
        } | ({"userinfo_endpoint": facts.userinfo_url} if facts.userinfo_url else {})
        other = ", ".join(name for name, value in pinned.items() if published.get(name) != value)
        yield _either(
            provider.title,
            not other,
            "Its authorisation server is the one that is pinned.",
            f"Its authorisation server publishes another {other} than is pinned: update Boots, or its variables.",
        )
        if "S256" not in published.get("code_challenge_methods_supported", []):
            yield Finding(provider.title, None, "Its authorisation server does not say that it checks PKCE.")
    status = httpx.get(provider.mcp_url, timeout=_SECONDS, follow_redirects=False).status_code
    there = status not in (404, 410) and status < 500
    yield _either(provider.title, there, f"Its MCP server answers ({status}).", f"No MCP server there ({status}).")
