"""The processes of a local Boots: started together, waited for until they answer, stopped with all that they started.

Each runs in a process group of its own, so that Ctrl-C reaches only the supervisor, which ends the groups in order,
and so that a run worker ends with the code server that launched it.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import httpx
import psutil

from boots_pipeline.errors import ConfigError, InfraError

_START_SECONDS = 90
_STOP_SECONDS = 3  # a code server waits up to a minute for open calls, and none of ours is worth it


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


@contextmanager
def running(
    waves: Sequence[Sequence[Program]], environment: Mapping[str, str], folder: Path, report: Callable[[str], None]
) -> Iterator[None]:
    """Run the programs until the block ends, each wave when the one before answers.

    Raises ConfigError for a taken port, InfraError for a program that fails.
    """
    state = folder / "processes.json"
    _end_leftovers(state, report)
    for program in chain.from_iterable(waves):
        _check_port(program)
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    started: list[_Running] = []
    try:
        for wave in waves:
            for program in wave:
                started.append(_start(program, environment, logs))
                _write_state(state, started)
            for each in started[-len(wave) :]:
                _wait_ready(each)
                report(f"{each.program.name} is up")
        yield
    finally:
        _stop(started)
        state.unlink(missing_ok=True)


def _check_port(program: Program) -> None:
    if program.port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", program.port))
        except OSError:
            raise ConfigError(
                f"Port {program.port} is taken by another program; {program.name} needs it. "
                f"Free it, or choose another one: {program.port_setting}=… boots …"
            ) from None


def _start(program: Program, environment: Mapping[str, str], logs: Path) -> _Running:
    log = logs / f"{program.name.replace(' ', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 our own commands
            list(program.command), env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
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
            return httpx.get(program.health, timeout=5).status_code == 200
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
        with suppress(subprocess.TimeoutExpired):
            each.process.wait(_STOP_SECONDS)
        # Whatever the leader left of its group: run workers, and the leader itself when it would not stop.
        _signal_group(each.process.pid, signal.SIGKILL)
        each.process.wait()


def _signal_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return


def _write_state(state: Path, started: Sequence[_Running]) -> None:
    """Which processes are ours, so that the next start can end them if we are killed."""
    told = [{"pid": each.process.pid, "born": psutil.Process(each.process.pid).create_time()} for each in started]
    state.write_text(json.dumps(told))


def _end_leftovers(state: Path, report: Callable[[str], None]) -> None:
    """End what a killed supervisor left: only the very processes that it started, told by their time of birth."""
    try:
        told = json.loads(state.read_text())
    except (FileNotFoundError, ValueError):
        return
    ended = 0
    for each in told:
        try:
            if psutil.Process(each["pid"]).create_time() != each["born"]:
                continue
        except psutil.NoSuchProcess:
            continue
        _signal_group(each["pid"], signal.SIGKILL)
        ended += 1
    state.unlink(missing_ok=True)
    if ended:
        report(f"ended {ended} processes that an earlier run had left")
