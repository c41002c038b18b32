"""One supervisor owns a local Boots: database, sandbox, bridge, pages and Dagster. Every other command is handed URLs.

`boots up` and `boots demo` run it; a command that needs only the database attaches to a running one, or starts the
embedded server for its own duration. Where the settings name another Postgres, that is used and no server is started.
"""

import base64
import fcntl
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from dotenv import dotenv_values

from boots_pipeline.counting import counted
from boots_pipeline.errors import ConfigError
from boots_pipeline.local.postgres import DatabaseUrls, create_databases, embedded_postgres, note_dagster_is_made
from boots_pipeline.local.processes import Program, end_leftovers, make_room, running
from boots_pipeline.local.runs import end_dead_runs
from boots_pipeline.local.sandboxed import bridge_environment, sandbox_environment
from boots_pipeline.migrations import migrate
from boots_pipeline.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
Report = Callable[[str], None]
_STATE = "supervisor.json"
_URLS = ("database_url", "worker_database_url", "web_database_url", "dagster_pg_url")  # as in DatabaseUrls
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Local:
    """A running Boots, as other commands see it."""

    databases: DatabaseUrls
    web: str
    dagster: str
    sandbox: str
    bridge: str
    vault_key_file: str


def attach(settings: Settings) -> Local | None:
    """The running supervisor of this checkout, if there is one."""
    if not _is_locked(settings.boots_home):
        return None
    try:
        told = json.loads((settings.boots_home / _STATE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return Local(**{**told, "databases": DatabaseUrls(**told["databases"])})


@contextmanager
def databases(settings: Settings, report: Report, *, migrated: bool = True) -> Iterator[DatabaseUrls]:
    """URLs of a database: the running supervisor's, DATABASE_URL's, or the embedded server's meanwhile.

    One that is not the supervisor's is brought up to date first, unless the caller does that. What a killed supervisor
    left running ends: it would be without a database when this is over.
    """
    elsewhere, home = _elsewhere(settings), _home(settings)
    with ExitStack() as stack:
        if (local := _attach_or_lock(settings, home, stack)) is not None:
            yield local.databases
            return
        end_leftovers(home, report)
        urls = elsewhere or stack.enter_context(_embedded(home))
        if migrated:
            migrate(urls.owner)
        yield urls


@contextmanager
def everything(settings: Settings, report: Report, *, sandbox_size: str = "demo") -> Iterator[Local]:
    """Run all of Boots until the block ends. Raises ConfigError, InfraError."""
    elsewhere, home = _elsewhere(settings), _home(settings)
    begun = time.time()
    with ExitStack() as stack:
        if _attach_or_lock(settings, home, stack) is not None:
            raise ConfigError(f"Boots is running already in {home}; stop it first, or use it.")
        programs = _programs(settings, sandbox_size, home)
        make_room(chain.from_iterable(programs), home, report)
        urls = elsewhere or stack.enter_context(_embedded(home))
        applied = migrate(urls.owner)
        report(f"database is up, {counted(len(applied), 'migrations')} applied" if applied else "database is up")
        local = Local(
            databases=urls,
            web=settings.public_base_url
            if "public_base_url" in settings.model_fields_set
            else _address(settings.web_port),
            dagster=_address(settings.dagster_port),
            sandbox=_address(settings.sandbox_port),
            bridge=_address(settings.bridge_port),
            vault_key_file=str((settings.vault_key_file or _private_file(home / "vault.key", _vault_key)).resolve()),
        )
        stack.enter_context(running(programs, _environment(settings, local, home), home, report))
        if ended := end_dead_runs(local.dagster, begun):
            report(
                f"ended {counted(ended, 'runs')} that an earlier stop had cut short; syncs go on from where they were"
            )
        if elsewhere is None:
            note_dagster_is_made(urls)
        state = home / _STATE
        _write_whole(state, json.dumps(asdict(local)))
        stack.callback(state.unlink, missing_ok=True)
        yield local


def _home(settings: Settings) -> Path:
    home = settings.boots_home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    return home


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _programs(settings: Settings, sandbox_size: str, home: Path) -> list[list[Program]]:
    """What runs, in the order in which it needs each other: Dagster's UI and daemon load from the code server."""
    python = sys.executable
    workspace = str(CHECKOUT / "workspace.yaml")
    state = home / "sandbox"
    state.mkdir(exist_ok=True)
    sandbox = Program(
        "sandbox",
        [python, "-m", "sandbox", "--port", str(settings.sandbox_port), "--size", sandbox_size, "--state", str(state)],
        settings.sandbox_port,
        "SANDBOX_PORT",
        f"{_address(settings.sandbox_port)}/_control/health",
    )
    bridge = Program(
        "QuickBooks bridge",
        [python, "-m", "mcp_bridge", "--port", str(settings.bridge_port)],
        settings.bridge_port,
        "BRIDGE_PORT",
        f"{_address(settings.bridge_port)}/healthz",
    )
    pages = Program(
        "web server",
        [python, "-m", "oauth_app"],
        settings.web_port,
        "WEB_PORT",
        f"{_address(settings.web_port)}/healthz",
    )
    code_server = Program(
        "code server",
        [python, "-m", "boots_pipeline.code_server", "-h", "127.0.0.1", "-p", str(settings.code_server_port)],
        settings.code_server_port,
        "CODE_SERVER_PORT",
    )
    interface = Program(
        "Dagster UI",
        [python, "-m", "dagster_webserver", "-w", workspace, "-h", "127.0.0.1", "-p", str(settings.dagster_port)],
        settings.dagster_port,
        "DAGSTER_PORT",
        f"{_address(settings.dagster_port)}/server_info",
    )
    daemon = Program("Dagster daemon", [python, "-m", "dagster._daemon", "run", "-w", workspace], None)
    return [[sandbox, bridge, pages, code_server], [daemon, interface]]


def _environment(settings: Settings, local: Local, home: Path) -> dict[str, str]:
    """What the processes are told: our environment, what `.env` says beyond it, and what neither says and is made here.

    They read no `.env` themselves: Dagster's would believe it more than the environment, ours believe it less. The
    owner's URL is not among it: nothing that serves or works may migrate.
    """
    storage = home / "dagster"
    storage.mkdir(exist_ok=True)
    told = {name: value for source in (dotenv_values(".env"), os.environ) for name, value in source.items() if value}
    made = {"PUBLIC_BASE_URL": local.web}
    if settings.vault_keys is None:
        made["VAULT_KEY_FILE"] = local.vault_key_file
    if settings.secret_key is None:
        made["SECRET_KEY"] = _private_file(home / "secret.key", lambda: secrets.token_urlsafe(48)).read_text()
    environment = {
        **bridge_environment(local.bridge),
        **sandbox_environment(local.sandbox),
        **told,
        **made,
        **local.databases.environment(),
        "BOOTS_HOME": str(home),
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONUNBUFFERED": "1",
        "DAGSTER_DISABLE_TELEMETRY": "1",  # without it, two folders for what is never sent appear in the checkout
        "WEB_PORT": str(settings.web_port),
        "CODE_SERVER_PORT": str(settings.code_server_port),
        "DAGSTER_HOME": str(CHECKOUT),
        "DAGSTER_STORAGE": str(storage),
    }
    del environment["DATABASE_URL"]
    return environment


def _elsewhere(settings: Settings) -> DatabaseUrls | None:
    """The databases of another Postgres, where the settings name one. Raises ConfigError for half of one."""
    urls = {name: getattr(settings, name) for name in _URLS}
    unset = [name.upper() for name, url in urls.items() if url is None]
    if len(unset) == len(_URLS):
        return None
    if unset:
        raise ConfigError(
            f"Another Postgres is named by all of {', '.join(_URLS).upper()}, or by none of them; not set: "
            f'{", ".join(unset)}. See README, "With another Postgres".'
        )
    return DatabaseUrls(*urls.values())


@contextmanager
def _embedded(home: Path) -> Iterator[DatabaseUrls]:
    with embedded_postgres(home / "postgres") as socket_dir:
        yield create_databases(socket_dir, "boots")


def _attach_or_lock(settings: Settings, home: Path, stack: ExitStack) -> Local | None:
    """The running supervisor, waited for while it starts; otherwise the folder, its server and its processes are ours
    until the stack ends."""
    handle = stack.enter_context((home / "lock").open("w"))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (local := attach(settings)) is None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ConfigError(f"Another `boots` command is busy in {home}; wait for it, or end it.") from None
            time.sleep(0.1)
        else:
            (home / _STATE).unlink(missing_ok=True)  # of a supervisor that was killed
            return None
    return local


def _is_locked(home: Path) -> bool:
    if not (home / "lock").exists():
        return False
    with (home / "lock").open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _vault_key() -> str:
    return f"local:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _private_file(path: Path, content: Callable[[], str]) -> Path:
    """A secret of this checkout, made once, readable by this user alone from its first byte on."""
    if not path.exists():
        _write_whole(path, content())
    return path


def _write_whole(path: Path, content: str) -> None:
    """All of it or nothing, for this user alone: a reader, or a crash, never meets half a file."""
    half = path.with_name(f"{path.name}.half")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(content)
    half.replace(path)
