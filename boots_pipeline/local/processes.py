"""The processes of a local Boots: started together, waited for until they answer, stopped with all that they started.

Each runs in a process group of its own, so that Ctrl-C reaches only the supervisor, which ends the groups in order,
and so that a run worker ends with the code server that launched it.
"""

import errno
import json
import os
import signal
import socket
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import httpx
import psutil

from boots_pipeline.agents.untrusted import visible
from boots_pipeline.errors import ConfigError, InfraError
from boots_pipeline.local.signals import held_back
from boots_pipeline.resources.certificates import certificates

_START_SECONDS = 90
_STOP_SECONDS = 3  # a code server waits up to a minute for open calls, and none of ours is worth it
_STATE = "processes.json"
_COMMAND_SHOWN = 80  # letters of another program's command line


@dataclass(frozen=True)
class Program:
    """One process: what it is called, how it is started, on which port, and where it says that it is ready."""

    name: str
    command: Sequence[str]
    port: int | None
    port_setting: str = ""
    health: str | None = None  # a URL that answers 200; a port without one only has to accept connections


@dataclass
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    log: Path


def make_room(programs: Iterable[Program], folder: Path, report: Callable[[str], None]) -> None:
    """End what a killed supervisor of this folder left. Raises ConfigError for a port that is taken all the same."""
    end_leftovers(folder, report)
    needed: dict[int, Program] = {}
    for program in programs:
        if program.port is None:
            continue
        if other := needed.get(program.port):
            raise ConfigError(
                f"{other.port_setting} and {program.port_setting} are both {program.port}; each needs its own."
            )
        needed[program.port] = program
        _check_port(program, program.port)


@contextmanager
def running(
    waves: Sequence[Sequence[Program]], environment: Mapping[str, str], folder: Path, report: Callable[[str], None]
) -> Iterator[None]:
    """Run the programs, in the folder, until the block ends, each wave when the one before answers.

    Raises InfraError for a program that fails.
    """
    state = folder / _STATE
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    started: list[_Running] = []
    try:
        for wave in waves:
            for program in wave:
                with held_back():
                    started.append(_start(program, environment, folder, logs))
                    _write_state(state, started)
            for each in started[-len(wave) :]:
                _wait_ready(each)
                report(f"{each.program.name} is up")
        yield
    finally:
        with held_back():
            _stop(started)
            state.unlink(missing_ok=True)


def wait_until_one_ends(folder: Path) -> NoReturn:
    """Stay while all of the folder's processes live. Raises InfraError when one has ended by itself, or the folder is
    gone."""
    while True:
        try:
            told = json.loads((folder / _STATE).read_text())
        except FileNotFoundError:
            raise InfraError(f"{folder} was removed while Boots ran in it, so everything was stopped.") from None
        for each in told:
            if not _lives(each["pid"]):
                raise InfraError(f"{each['name']} ended by itself, so everything was stopped; see {each['log']}.")
        time.sleep(1)


def _check_port(program: Program, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            state = f"is taken by {_holder(port)}" if taken else "cannot be used"
            other = min(max(port, 1024) + 100, 65_535)
            raise ConfigError(
                f"Port {port} {state}; the {program.name} needs it. "
                f"Free it, or choose another one: {program.port_setting}={other} make up"
            ) from None


def _holder(port: int) -> str:
    """Who listens there; another user's processes tell nobody. After a SIGKILL and `rm -r .boots` it is one of ours."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, ValueError):
            listening = (each for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN)
            if any(each.laddr[1:] == (port,) for each in listening):
                program, *arguments = process.cmdline()
                command = visible(" ".join([Path(program).name, *arguments]))
                return f"process {process.pid} ({textwrap.shorten(command, _COMMAND_SHOWN, placeholder=' …')})"
    return "another program"


def _start(program: Program, environment: Mapping[str, str], folder: Path, logs: Path) -> _Running:
    log = logs / f"{program.name.replace(' ', '-')}.log"
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))  # after a crash one starts anew first, and looks later
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 our own commands
            list(program.command), cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    return _Running(program, process, log)


def _wait_ready(each: _Running) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if each.process.poll() is not None:
            raise InfraError(
                f"{each.program.name} ended at once (exit {each.process.returncode}). The end of {each.log}:\n"
                + _tail(each.log)
            )
        if _answers(each.program):
            return
        time.sleep(0.1)
    raise InfraError(f"{each.program.name} did not answer within {_START_SECONDS} s; see {each.log}.")


def _answers(program: Program) -> bool:
    try:
        if program.health is not None:
            return httpx.get(program.health, timeout=5, verify=certificates()).status_code == 200
        if program.port is not None:
            socket.create_connection(("127.0.0.1", program.port), timeout=5).close()
    except (httpx.HTTPError, OSError):
        return False
    return True


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-12:])


def _stop(started: Sequence[_Running]) -> None:
    """The last started first, each gone before the next: a code server waits for its clients' open calls."""
    for each in reversed(started):
        _signal_group(each.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        with suppress(subprocess.TimeoutExpired):
            each.process.wait(_STOP_SECONDS)
        # A run worker gives its job back to the queue when it is told to stop; that takes a moment longer.
        while time.monotonic() < deadline and _has_living(each.process.pid):
            time.sleep(0.05)
        _signal_group(each.process.pid, signal.SIGKILL)
        each.process.wait()


def _has_living(group: int) -> bool:
    return any(_group(pid) == group and _lives(pid) for pid in psutil.pids())


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return


def _write_state(state: Path, started: Sequence[_Running]) -> None:
    """Which processes are ours, so that the next start can end them if we are killed."""
    told = [
        {
            "name": each.program.name,
            "pid": each.process.pid,
            "born": psutil.Process(each.process.pid).create_time(),
            "log": str(each.log),
        }
        for each in started
    ]
    state.write_text(json.dumps(told))


def end_leftovers(folder: Path, report: Callable[[str], None]) -> None:
    """End what a killed supervisor left: only the very processes that it started, told by their time of birth."""
    state = folder / _STATE
    try:
        told = json.loads(state.read_text())
    except (FileNotFoundError, ValueError):
        return
    ended = []
    for each in told:
        try:
            # The clock may have been set since, so that the same birth reads a little differently.
            if abs(psutil.Process(each["pid"]).create_time() - each["born"]) > 2:
                continue
        except psutil.NoSuchProcess:
            continue
        _signal_group(each["pid"], signal.SIGKILL)
        ended.append(each["pid"])
    # Killed is not gone yet, and what is not gone holds its port.
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline and any(_has_living(group) for group in ended):
        time.sleep(0.05)
    state.unlink(missing_ok=True)
    if ended:
        report("ended what an earlier run had left running")
