"""`python -m oauth_app` as an operator starts it: it serves, stops when told, and says why it will not."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from boots_pipeline.settings import Settings
from tests.oauth_app.conftest import OUTSIDE

ROOT = Path(__file__).resolve().parent.parent.parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def environment(web_settings: Settings) -> dict[str, str]:
    port = free_port()
    assert web_settings.vault_keys is not None
    assert web_settings.web_database_url is not None
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "SECRET_"))},
        "WEB_DATABASE_URL": web_settings.web_database_url,
        "VAULT_KEYS": web_settings.vault_keys.get_secret_value(),
        "SECRET_KEY": "k" * 32,
        "WEB_PORT": str(port),
        "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
    }


def start(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "oauth_app"],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_it_serves_until_it_is_told_to_stop(environment: dict[str, str]) -> None:
    process = start(environment)
    assert process.stdout is not None
    assert process.stdout.readline() == f"The pages are at {environment['PUBLIC_BASE_URL']}\n"
    answer = _ask(f"{environment['PUBLIC_BASE_URL']}/healthz")
    assert answer.json() == {"status": "ok"}
    assert "Server" not in answer.headers
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 0, said


def test_its_help_needs_nothing_and_names_what_it_needs() -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "oauth_app", "--help"], cwd=ROOT, env={}, text=True, capture_output=True, check=True
    )
    for name in ("WEB_DATABASE_URL", "VAULT_KEYS", "VAULT_KEY_FILE", "SECRET_KEY", "WEB_PORT", ".env.example"):
        assert name in asked.stdout


def test_without_a_key_it_says_so_and_ends(environment: dict[str, str]) -> None:
    del environment["VAULT_KEYS"]
    process = start(environment)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 2
    assert said.startswith("No vault key: set VAULT_KEYS or VAULT_KEY_FILE.")
    assert "Traceback" not in said


def test_without_a_database_it_says_what_makes_one(environment: dict[str, str], tmp_path: Path) -> None:
    process = start({**environment, "WEB_DATABASE_URL": f"postgresql://boots_web:pass-word@/boots?host={tmp_path}"})
    _, said = process.communicate(timeout=15)
    assert process.returncode == 2
    assert said.startswith("The database does not answer, or does not let this role in. `boots up` starts a local one")
    assert "pass-word" not in said


def test_a_port_that_is_taken(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(environment["WEB_PORT"]))):
        process = start(environment)
        _, said = process.communicate(timeout=15)
    assert process.returncode == 2
    assert f"Port {environment['WEB_PORT']} is not free" in said


def _ask(url: str) -> httpx2.Response:
    for _ in range(50):
        try:
            return OUTSIDE.get(url)
        except httpx2.ConnectError:
            time.sleep(0.1)
    return OUTSIDE.get(url)
