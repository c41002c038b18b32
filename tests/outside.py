"""The outside world for tests: the sandbox in a process of its own, reached over HTTP like the real thing."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from boots_pipeline.local.sandboxed import bridge_environment, sandbox_environment
from boots_pipeline.resources.certificates import certificates


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Outside:
    """A running sandbox and its levers, and the bridge in front of its QuickBooks."""

    url: str
    bridge: str

    def environment(self) -> dict[str, str]:
        """The variables that point the product at it."""
        return bridge_environment(self.bridge) | sandbox_environment(self.url)

    def control(self, method: str, path: str, **body: Any) -> Any:
        """Pull a lever."""
        answer = httpx.request(
            method, f"{self.url}/_control/{path}", json=body or None, timeout=30, verify=certificates()
        )
        answer.raise_for_status()
        return answer.json()

    def truth(self, organisation: str, provider: str = "hubspot") -> dict[str, dict[str, Any]]:
        """What a provider holds for an organisation now: {stream: {id: record}}."""
        told = self.control("GET", "truth")["organizations"][organisation][provider]
        return {stream: records for stream, records in told.items() if stream != "account"}

    def fault(self, **order: Any) -> None:
        """Order a failure, of HubSpot's if no other provider is named (see `python -m sandbox --help`)."""
        self.control("POST", "faults", faults=[{"provider": "hubspot", **order}])

    def consent(self, authorization_url: str, organisation: str, decision: str = "allow") -> str:
        """Do at the provider what the admin of an organisation would do; returns the callback's URL."""
        with httpx.Client(timeout=30, verify=certificates()) as browser:
            browser.get(authorization_url).raise_for_status()
            answer = browser.post(authorization_url, data={"account": organisation, "decision": decision})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])


@contextmanager
def sandbox_process(size: str = "small", seed: int = 7) -> Iterator[Outside]:
    """Run the sandbox, and the bridge in front of it, until the block ends."""
    ports = free_port(), free_port()
    outside = Outside(*(f"http://127.0.0.1:{port}" for port in ports))
    with (
        _process("sandbox", "--port", str(ports[0]), "--size", size, "--seed", str(seed)) as sandbox,
        _process("mcp_bridge", "--port", str(ports[1]), "--api-url", f"{outside.url}/quickbooks") as bridge,
    ):
        for process in (sandbox, bridge):
            assert process.stdout is not None
            assert process.stdout.readline(), "it ended before it listened"
        yield outside


@contextmanager
def _process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()
