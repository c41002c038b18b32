"""The processes of a local Boots, played by one that sleeps: what is left of them, and what is said."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from boots_pipeline.errors import ConfigError, InfraError
from boots_pipeline.local.postgres import embedded_postgres
from boots_pipeline.local.processes import Program, make_room, running, wait_until_one_ends
from boots_pipeline.local.supervisor import databases
from boots_pipeline.local.visitor import wait_for
from boots_pipeline.settings import Settings
from tests.folders import server_folder

ASLEEP = Program("sleeper", ["sleep", "60"], None)


def unheard(line: str) -> None:
    pass


def started(folder: Path) -> list[int]:
    return [each["pid"] for each in json.loads((folder / "processes.json").read_text())]


def test_when_its_folder_is_removed_all_is_stopped_with_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / ".boots"
    with running([[ASLEEP]], os.environ, folder, unheard):
        (pid,) = started(folder)
        shutil.rmtree(folder)
        with pytest.raises(InfraError, match="was removed while Boots ran in it"):
            wait_until_one_ends(folder)
    assert not psutil.pid_exists(pid)


def test_a_server_whose_folder_is_removed_ends_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with server_folder() as home:
        folder = home / "data"
        with embedded_postgres(folder):
            pid = int((folder / "postmaster.pid").read_text().split()[0])
            shutil.rmtree(folder)
        assert not psutil.pid_exists(pid)
    assert caplog.messages == []


def test_the_log_of_the_start_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "two-words.log"
    for said in "first", "second", "third":
        talker = Program("two words", ["sh", "-c", f"echo {said}; exec sleep 60"], None)
        with running([[talker]], os.environ, tmp_path, unheard):
            wait_for(lambda: log.read_text() or None, 5, "The line")
    assert {each.name: each.read_text() for each in log.parent.iterdir()} == {
        "two-words.log": "third\n", "two-words.log.1": "second\n",
    }  # fmt: skip


def test_who_holds_a_port_is_named_with_a_command_that_goes_round_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(ConfigError) as refused:
            make_room([Program("sandbox", [], port, "SANDBOX_PORT")], tmp_path, unheard)
    sentence = str(refused.value)
    assert sentence.startswith(f"Port {port} is taken by process {os.getpid()} ({Path(sys.executable).name} ")
    assert sentence.endswith(
        f"; the sandbox needs it. Free it, or choose another one: SANDBOX_PORT={port + 100} make up"
    )
    assert len(sentence) < 250


def test_a_command_ends_what_a_killed_supervisor_left_and_says_so(tmp_path: Path) -> None:
    left = subprocess.Popen(ASLEEP.command, start_new_session=True)
    told = [{"name": "sleeper", "pid": left.pid, "born": psutil.Process(left.pid).create_time(), "log": ""}]
    (tmp_path / "processes.json").write_text(json.dumps(told))
    url, said = "postgresql://127.0.0.1:1/x", []
    elsewhere = {"database_url": url, "worker_database_url": url, "web_database_url": url, "dagster_pg_url": url}
    with databases(Settings(_env_file=None, boots_home=tmp_path, **elsewhere), said.append, migrated=False):
        assert left.wait(1) == -signal.SIGKILL
    assert said == ["ended what an earlier run had left running"]
