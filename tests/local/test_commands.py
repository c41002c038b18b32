"""The commands: what they print, what they answer a script, and that none of them leaves anything behind."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from boots_pipeline.providers import PROVIDERS
from tests.folders import server_folder
from tests.local.commands import Commands

KEYS = {"ok", "organizations", "connections", "documents", "clients", "hits", "proposal", "seconds"}


@pytest.fixture(scope="module")
def fresh() -> Iterator[Commands]:
    """A machine on which nothing has ever run. The tests with it go from the first command to the last.

    There is a .env: a vault key and an address of one's own, and what the environment says otherwise.
    """
    with server_folder() as folder:
        commands = Commands(folder / ".boots")
        key = folder / "own.key"
        key.touch(0o600)
        key.write_text(f"own:{base64.b64encode(os.urandom(32)).decode()}")
        told = {
            "VAULT_KEY_FILE": key,
            "PUBLIC_BASE_URL": f"http://localhost:{commands.ports['WEB_PORT']}",
            "EMBEDDING_MODEL": "of-another-server",
        }
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in told.items()))
        yield commands
        commands.end_all()


def test_a_ctrl_c_before_the_command_has_begun_is_a_quiet_end() -> None:
    reading = "import os, runpy, signal, sys; sys.meta_path.insert(0, type('Reading', (), {'find_spec': classmethod("
    reading += "lambda cls, name, *_: os.kill(os.getpid(), signal.SIGINT) if name == 'rich' else None)}))"
    reading += "; runpy.run_module('boots_pipeline', run_name='__main__')"
    ended = subprocess.run([sys.executable, "-c", reading], capture_output=True, check=False, timeout=30)
    assert (ended.returncode, ended.stdout + ended.stderr) == (130, b"")


def test_a_taken_port_is_named_with_its_variable(fresh: Commands) -> None:
    for name, port in fresh.ports.items():
        with socket.create_server(("127.0.0.1", port)):
            done = fresh.run("up")
        assert done.code == 1
        sentence = done.sentence
        assert str(port) in sentence
        assert f"{name}=" in sentence
        assert not (fresh.home / "postgres").exists(), "it was found out before anything was started"
    assert fresh.processes() == []


def test_settings_that_cannot_be_are_sentences(fresh: Commands) -> None:
    secret = "postgresql://me:hunter2@127.0.0.1:1/x"
    for more, word in (
        ({"WEB_PORT": "abc"}, "WEB_PORT"),
        ({"WEB_PORT": "70000"}, "WEB_PORT"),
        ({"WEB_PORT": str(fresh.ports["DAGSTER_PORT"])}, "DAGSTER_PORT"),
        ({"DATABASE_URL": secret}, "WORKER_DATABASE_URL"),
    ):
        done = fresh.run("up", **more)
        assert done.code == 1
        assert word in done.sentence
    done = fresh.run("migrate", DATABASE_URL=secret)
    assert done.code == 1
    assert "DATABASE_URL" in done.sentence
    assert "hunter2" not in done.said


def test_without_a_supervisor_a_command_brings_its_own_database(fresh: Commands) -> None:
    first, second = fresh.run("migrate"), fresh.run("migrate")
    assert first.code == second.code == 0
    assert "applied 20260414212813" in first.said
    assert second.said == "Everything was applied already.\n"
    assert fresh.run("status", "--json").last_line == {"connections": []}
    unknown = fresh.run("search", "oak", "--org", "nobody", "--json")
    assert unknown.code == 1
    assert "'nobody'" in unknown.sentence
    assert fresh.processes() == []


def test_ctrl_c_and_sigkill_leave_a_folder_that_works(fresh: Commands) -> None:
    # In the middle of the start: nothing is left.
    starting = fresh.start("up")
    fresh.wait_for(lambda: "database is up" in fresh.said, 60)
    done = fresh.interrupt(starting)
    assert done.code == 130
    assert "nothing that this command started is left running" in done.said
    assert fresh.processes() == []

    # A supervisor that is killed leaves its processes, and its files that speak of them.
    killed = fresh.start("up")
    fresh.wait_for(lambda: "web server is up" in fresh.said, 60)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    left = fresh.processes()
    assert left

    # Dagster makes its tables one by one: that it was cut short there is made certain.
    with psycopg.connect(f"postgresql://boots_dagster@/boots_dagster?host={fresh.home / 'postgres'}") as dagster:
        dagster.execute("drop table if exists asset_keys, dynamic_partitions cascade")

    # The next start ends them; in the middle of its sync a Ctrl-C, from a person who presses it twice.
    syncing = fresh.start("demo")
    fresh.wait_for(lambda: stream_is_in(fresh), 120)
    done = fresh.interrupt(syncing)
    assert done.code == 130
    assert "nothing that this command started is left running" in done.said
    assert fresh.processes() == []


def test_the_demo_does_what_it_says(fresh: Commands) -> None:
    # On top of all that, and with what a killed server leaves: the number of a process that is another one by now.
    (fresh.home / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{fresh.home}/postgres\n1\n5432\n/tmp\n")
    (fresh.home / "supervisor.json").write_text('{"web": "http://127.0.0.1:1"')
    (fresh.home / "processes.json").write_text(json.dumps([{"pid": os.getpid(), "born": 1.0}]))
    done = fresh.run("demo", "--json")
    assert done.code == 0, done.said
    told = done.last_line
    assert told.keys() == KEYS
    assert told["ok"] is True
    assert (told["organizations"], told["connections"]) == (2, 2 * len(PROVIDERS))
    assert told["documents"]["hubspot"] == 2 * 1200
    assert told["documents"].keys() == PROVIDERS.keys()
    assert min(told["documents"].values()) > 100
    assert 400 < told["clients"] < 500  # HubSpot's companies, and those who only ever bought something
    assert told["proposal"].keys() == {"sections", "attributions"}
    assert min(told["hits"], *told["proposal"].values()) > 0
    assert told["seconds"].keys() == {"start", "connect", "sync", "search", "proposal"}
    assert f"settings      http://localhost:{fresh.ports['WEB_PORT']}/settings/integrations" in done.said
    assert not (fresh.home / "vault.key").exists(), "there is one in .env"
    assert fresh.processes() == []


def stream_is_in(commands: Commands) -> bool:
    """Whether the first of HubSpot's streams has come: a sync is in its middle then."""
    try:
        told = json.loads((commands.home / "supervisor.json").read_text())
    except (FileNotFoundError, ValueError):
        return False
    with psycopg.connect(told["databases"]["owner"]) as owner:
        row = owner.execute(
            "select count(*) from ingestion_jobs where status = 'running' and items_seen > 0"
        ).fetchone()
    return bool(row and row[0])
