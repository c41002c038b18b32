"""The `boots` command as a person runs it: a process in a terminal of its own, in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from boots_pipeline.local.supervisor import CHECKOUT
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.settings import Settings
from tests.outside import free_port

PORTS = ("WEB_PORT", "DAGSTER_PORT", "CODE_SERVER_PORT", "SANDBOX_PORT", "BRIDGE_PORT")
# The script, and not `python -m`: there CPython forgets that a Ctrl-C was heard if it met the making of a dataclass,
# and ends by the signal (-2, which a shell calls 130 too).
_COMMAND = [str(Path(sys.executable).with_name("boots"))]


@dataclass(frozen=True)
class Done:
    """How a command ended. `said` is all that it printed, in the order in which it did."""

    code: int
    said: str

    @property
    def last_line(self) -> dict[str, Any]:
        """The JSON object of the last line."""
        return dict(json.loads(self.said.splitlines()[-1]))

    @property
    def sentence(self) -> str:
        """The one sentence that says what is wrong."""
        assert "Traceback" not in self.said, self.said
        (sentence,) = (line for line in self.said.splitlines() if line.startswith("Error: "))
        return sentence


@dataclass
class Commands:
    """`boots` with its data in `home`, on ports that nobody else uses."""

    home: Path
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in PORTS})
    _started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def environment(self, **more: str) -> dict[str, str]:
        """A person's environment, without what other tests have told this process."""
        told_to_boots = {name.upper() for name in Settings.model_fields}
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in told_to_boots and not name.startswith(tuple(f"{each.upper()}_" for each in PROVIDERS))
        }
        ports = {name: str(port) for name, port in self.ports.items()}
        more = {"EMBEDDING_MODEL": "wordllama/l2_supercat_256", **more}  # which has precedence over what .env says
        return {**inherited, "PYTHONPATH": str(CHECKOUT), "BOOTS_HOME": str(self.home), **ports, **more}

    def run(self, *arguments: str, **more: str) -> Done:
        """Run a command to its end."""
        return self.end(self.start(*arguments, **more))

    def start(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        """Run a command beside the test. What it prints goes to a file, where `said` looks."""
        with self._output.open("wb") as output:
            process = subprocess.Popen(
                [*_COMMAND, *arguments], cwd=self.home.parent, env=self.environment(**more), text=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        return process

    def end(self, process: "subprocess.Popen[str]", seconds: float = 150) -> Done:
        """Wait for a command."""
        return Done(process.wait(seconds), self.said)

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until the running command has come to a point; when it does not, say what it has said and logged."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                logs = (f"== {log.name}\n{log.read_text()[-2000:]}" for log in sorted(self.home.glob("logs/*")))
                raise AssertionError("\n".join([self.said, *logs]))
            time.sleep(0.1)

    def end_all(self) -> None:
        """End what a failed test has left."""
        for process in self._started:
            if process.poll() is None:
                process.terminate()
                process.wait(60)

    def interrupt(self, process: "subprocess.Popen[str]") -> Done:
        """Ctrl-C: the terminal tells every process of the command's group, and an impatient person twice."""
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        return self.end(process, 30)

    @property
    def said(self) -> str:
        """What the command has printed so far."""
        return self._output.read_text()

    @property
    def _output(self) -> Path:
        return self.home.parent / "said.txt"

    def processes(self) -> list[str]:
        """What runs and has to do with this folder, or with one of these ports."""
        ours = [str(self.home), *(str(port) for port in self.ports.values())]
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                told = [*process.cmdline(), *(process.environ().get(name, "") for name in ("BOOTS_HOME", *PORTS))]
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if any(mark in word for word in told for mark in ours):
                found.append(f"{process.pid} {' '.join(told)}")
        return found
