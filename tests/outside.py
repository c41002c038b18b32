"""The outside world for tests: the sandbox in a process of its own, reached over HTTP like the real thing."""

import base64
import hashlib
import os
import secrets
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

CLIENT = {"HUBSPOT_CLIENT_ID": "boots-sandbox", "HUBSPOT_CLIENT_SECRET": "boots-sandbox-secret"}
# Reading the certificates takes 50 ms, and httpx does it for every client, TLS or not.
_TLS = ssl.create_default_context()


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Outside:
    """A running sandbox and its levers."""

    url: str

    def environment(self) -> dict[str, str]:
        """The variables that point the product at it."""
        return {
            **CLIENT,
            "HUBSPOT_MCP_URL": f"{self.url}/hubspot/mcp",
            "HUBSPOT_ISSUER": f"{self.url}/hubspot",
            "HUBSPOT_AUTHORIZATION_URL": f"{self.url}/hubspot/oauth/authorize/user",
            "HUBSPOT_TOKEN_URL": f"{self.url}/hubspot/oauth/v3/token",
            "HUBSPOT_REVOCATION_URL": f"{self.url}/hubspot/oauth/v3/token/revoke",
        }

    def control(self, method: str, path: str, **body: Any) -> Any:
        """Pull a lever."""
        answer = httpx.request(method, f"{self.url}/_control/{path}", json=body or None, timeout=30, verify=_TLS)
        answer.raise_for_status()
        return answer.json()

    def truth(self, organisation: str) -> dict[str, dict[str, Any]]:
        """What HubSpot holds for an organisation now: {stream: {id: record}}."""
        told = self.control("GET", "truth")["organizations"][organisation]["hubspot"]
        return {stream: told[stream] for stream in ("companies", "contacts", "deals")}

    def fault(self, **order: Any) -> None:
        """Order a failure (see `python -m sandbox --help`)."""
        self.control("POST", "faults", faults=[{"provider": "hubspot", **order}])

    def consent(self, authorization_url: str, organisation: str, decision: str = "allow") -> str:
        """Do at the provider what the admin of an organisation would do; returns the callback's URL."""
        with httpx.Client(timeout=30, verify=_TLS) as browser:
            browser.get(authorization_url).raise_for_status()
            answer = browser.post(authorization_url, data={"account": organisation, "decision": decision})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def grant(self, organisation: str) -> dict[str, Any]:
        """A token response for an organisation's HubSpot, by the whole code flow."""
        verifier, redirect = secrets.token_urlsafe(48), "http://127.0.0.1/api/integrations/hubspot/callback"
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "response_type": "code", "client_id": "boots-sandbox", "redirect_uri": redirect, "state": "test",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), "code_challenge_method": "S256",
        }  # fmt: skip
        back = self.consent(f"{self.url}/hubspot/oauth/authorize/user?{httpx.QueryParams(query)}", organisation)
        answer = httpx.post(
            f"{self.url}/hubspot/oauth/v3/token",
            verify=_TLS,
            data={
                "grant_type": "authorization_code", "code": httpx.URL(back).params["code"], "redirect_uri": redirect,
                "code_verifier": verifier, "client_id": "boots-sandbox", "client_secret": "boots-sandbox-secret",
            },
        )  # fmt: skip
        answer.raise_for_status()
        return dict(answer.json())


@contextmanager
def sandbox_process(size: str = "small", seed: int = 7) -> Iterator[Outside]:
    """Run the sandbox until the block ends."""
    outside = Outside(f"http://127.0.0.1:{free_port()}")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sandbox",
            "--port",
            outside.url.rpartition(":")[2],
            "--size",
            size,
            "--seed",
            str(seed),
        ],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), "the sandbox ended before it listened"
        yield outside
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
