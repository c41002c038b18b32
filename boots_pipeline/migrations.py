"""Applies sql/ in order, keeping the Supabase CLI's own history, so that either tool can go on where the other stopped.

The rules that it keeps (each from a failure that others paid for; see docs/decisions.md):
  - one runner at a time: a session lock that is polled, never waited for (waiting deadlocks CREATE INDEX CONCURRENTLY);
  - a file and its history row are one transaction, unless it says `-- migrate:no-transaction`;
  - a file that was edited after we applied it, a bad name, or one older than the newest applied is refused by name.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import psycopg

from boots_pipeline.errors import ConfigError

SQL_FOLDER = Path(__file__).resolve().parent.parent / "sql"
_NAME = re.compile(r"^(\d{14})_([a-z0-9_]+)\.sql$")
_UNLESS = re.compile(r"^-- boots:unless (.+)$", re.MULTILINE)
_LOCK = 7_266_687_500  # "boots" on a telephone's keys: any number that nobody else uses
_CREATED_BY = "boots"


@dataclass(frozen=True)
class Migration:
    """A file of sql/."""

    version: str
    name: str
    text: str


def read_migrations(folder: Path = SQL_FOLDER) -> list[Migration]:
    """Every migration in the order of its version. Raises ConfigError for a bad or a repeated name."""
    migrations: dict[str, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.match(path.name)
        if match is None:
            raise ConfigError(f"{path.name} is not named like a migration: 14 digits, an underscore, a name.")
        if match[1] in migrations:
            raise ConfigError(f"Two migrations have the version {match[1]}.")
        migrations[match[1]] = Migration(match[1], match[2], path.read_text())
    return list(migrations.values())


def migrate(
    url: str,
    *,
    assume_applied: frozenset[str] = frozenset(),
    folder: Path = SQL_FOLDER,
    report: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Bring the database up to date as its owner; returns the versions applied now.

    `assume_applied` records versions that were applied by hand, with other text, without running them.
    """
    migrations = read_migrations(folder)
    connect = psycopg.connect(url, autocommit=True, options="-c TimeZone=UTC -c lock_timeout=5s")
    with connect as connection, _one_runner(connection):
        _create_history(connection)
        for version in sorted(assume_applied):
            _assume(connection, migrations, version)
        for path in sorted((folder / "local").glob("*.sql")):
            _apply_local(connection, path)
        _install_pgmq(connection)
        pending = _pending(connection, migrations)
        for migration in pending:
            _apply(connection, migration)
            report(f"{migration.version} {migration.name}")
    return [migration.version for migration in pending]


def pending_migrations(url: str, folder: Path = SQL_FOLDER) -> list[str]:
    """The versions that `migrate` would apply; it changes nothing. Raises ConfigError as `migrate` does."""
    with psycopg.connect(url, autocommit=True) as connection:
        if not _value(connection, "select to_regclass('supabase_migrations.schema_migrations') is not null"):
            return [migration.version for migration in read_migrations(folder)]
        return [migration.version for migration in _pending(connection, read_migrations(folder))]


@contextmanager
def _one_runner(connection: psycopg.Connection) -> Iterator[None]:
    deadline = time.monotonic() + 120
    while not _value(connection, "select pg_try_advisory_lock(%s)", _LOCK):
        if time.monotonic() > deadline:
            raise ConfigError("Another `boots migrate` has been running for two minutes; wait for it, or end it.")
        time.sleep(0.2)
    try:
        yield
    finally:
        connection.execute("select pg_advisory_unlock(%s)", [_LOCK])


def _apply_local(connection: psycopg.Connection, path: Path) -> None:
    """A file for what hosted Supabase or the portal already has: it says itself when it is not needed."""
    text = path.read_text()
    unless = _UNLESS.search(text)
    if unless is None or not _value(connection, f"select {unless[1]}"):
        with _told(f"local/{path.name}"), connection.transaction():
            connection.execute(text.encode())


def _install_pgmq(connection: psycopg.Connection) -> None:
    if _value(connection, "select to_regprocedure('pgmq.create(text)') is not null"):
        return
    with connection.transaction():
        if _value(connection, "select exists (select from pg_available_extensions where name = 'pgmq')"):
            connection.execute("create extension pgmq")
        else:
            connection.execute(files("pgmq").joinpath("sql/pgmq.sql").read_bytes())


def _create_history(connection: psycopg.Connection) -> None:
    """The table as the Supabase CLI makes it, to the column."""
    with connection.transaction():
        connection.execute("create schema if not exists supabase_migrations")
        connection.execute(
            """create table if not exists supabase_migrations.schema_migrations
               (version text not null primary key, statements text[], name text)"""
        )
        connection.execute("alter table supabase_migrations.schema_migrations add column if not exists created_by text")


def _pending(connection: psycopg.Connection, migrations: list[Migration]) -> list[Migration]:
    applied = {
        version: (statements, created_by)
        for version, statements, created_by in connection.execute(
            "select version, statements, created_by from supabase_migrations.schema_migrations"
        ).fetchall()
    }
    known = {migration.version for migration in migrations}
    if unknown := sorted(set(applied) - known):
        raise ConfigError(
            f"The database has migrations that sql/ has not: {', '.join(unknown)}. Is this an old checkout?"
        )
    newest = max(applied, default="")
    pending = []
    for migration in migrations:
        if migration.version not in applied:
            if migration.version < newest:
                raise ConfigError(
                    f"{migration.version}_{migration.name}.sql is older than {newest}, which is applied. "
                    f"Give it a newer version, or say --assume-applied {migration.version}."
                )
            pending.append(migration)
            continue
        statements, created_by = applied[migration.version]
        # Only our own text is compared: the CLI splits files, and the dashboard's had other text.
        if created_by == _CREATED_BY and statements != [migration.text]:
            raise ConfigError(
                f"{migration.version}_{migration.name}.sql was edited after it was applied; add a new file."
            )
    return pending


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    with _told(f"{migration.version}_{migration.name}.sql"):
        if "-- migrate:no-transaction" in migration.text:
            connection.execute(migration.text.encode())
            _record(connection, migration, migration.text)
        else:
            with connection.transaction():
                connection.execute(migration.text.encode())
                _record(connection, migration, migration.text)
    connection.execute("reset all")
    connection.execute("set lock_timeout = '5s'")


@contextmanager
def _told(name: str) -> Iterator[None]:
    """A file's failure with its name. A migration holds no tenant's data: its error may be told whole."""
    try:
        yield
    except psycopg.Error as error:
        raise ConfigError(f"sql/{name} failed: {error}") from error


def _assume(connection: psycopg.Connection, migrations: list[Migration], version: str) -> None:
    for migration in migrations:
        if migration.version == version:
            _record(connection, migration, None)
            return
    raise ConfigError(f"There is no migration {version} in sql/.")


def _record(connection: psycopg.Connection, migration: Migration, text: str | None) -> None:
    connection.execute(
        """insert into supabase_migrations.schema_migrations (version, name, statements, created_by)
           values (%s, %s, %s, %s) on conflict (version) do nothing""",
        [migration.version, migration.name, [text] if text else None, _CREATED_BY if text else "assumed"],
    )


def _value(connection: psycopg.Connection, query: str, *parameters: object) -> object:
    row = connection.execute(query.encode(), parameters or None).fetchone()
    return row[0] if row else None
