"""Access tokens: one refresh at a time whoever asks, kept before it is used, and never told."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from boots_pipeline.errors import ConfigError, NeedsReauth, Transient
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.resources import tokens
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing
from boots_pipeline.resources.tokens import TokenService, expiry
from boots_pipeline.resources.vault import Purpose
from boots_pipeline.settings import provider_settings
from tests.conftest import Organisation
from tests.http_server import Handler, serving
from tests.outside import Outside


class Held:
    """A connection's tokens as this test looks at them."""

    def __init__(
        self, org_id: UUID, source_id: UUID, database: Database, vault: EnvelopeVault, owner: psycopg.Connection
    ) -> None:
        self.org_id, self.source_id = org_id, source_id
        self.owner = owner
        self._database, self._vault = database, vault
        self.service = TokenService(database, vault)

    def access(self, refused: str | None = None) -> str:
        return self.service.access_token(self.org_id, self.source_id, HUBSPOT, refused)

    def kept(self, purpose: Purpose) -> str:
        row = self.owner.execute(f"select {purpose}_token_vault_id as id from connected_sources").fetchone()
        with self._database.organisation(self.org_id) as transaction:
            return self._vault.for_connection(self.org_id, self.source_id, transaction).read_token(row["id"], purpose)

    def expire(self) -> None:
        self.owner.execute("update connected_sources set token_expires_at = now() + interval '60 seconds'")


@pytest.fixture
def held(
    connect: Callable[..., UUID], organisation: Organisation, database: Database, vault: EnvelopeVault,
    owner: psycopg.Connection, outside: Outside,
) -> Held:  # fmt: skip
    """A fresh connection; the calls that made it are forgotten."""
    held = Held(organisation.id, connect(organisation), database, vault, owner)
    outside.control("DELETE", "calls")
    return held


def refreshes(outside: Outside) -> int:
    calls = outside.control("GET", "calls")
    return len([call for call in calls if call["arguments"].get("grant_type") == "refresh_token"])


def test_a_token_that_lasts_is_handed_out(held: Held, outside: Outside) -> None:
    assert held.access() == held.kept("access")
    assert refreshes(outside) == 0


def test_a_token_that_ends_soon_is_renewed_and_rotated(
    held: Held, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    old = (held.kept("access"), held.kept("refresh"))
    held.expire()
    new = held.access()
    assert new == held.kept("access") != old[0]
    assert held.kept("refresh") != old[1]
    assert held.access() == new
    assert refreshes(outside) == 1
    row = held.owner.execute("select token_expires_at > now() + interval '20 minutes' as ok from connected_sources")
    assert row.fetchone()["ok"]
    assert not [secret for secret in (*old, new, held.kept("refresh")) if secret in caplog.text]


def test_eight_who_find_it_expired_spend_one_refresh(held: Held, outside: Outside) -> None:
    held.expire()
    with ThreadPoolExecutor(8) as pool:
        got = set(pool.map(lambda _: held.access(), range(8)))
    assert got == {held.kept("access")}
    assert refreshes(outside) == 1


def test_processes_wait_for_each_other_too(held: Held, outside: Outside, urls: Any, vault_keys: str) -> None:
    held.expire()
    outside.fault(kind="slow", tool="token", seconds=1.5)
    script = (
        "import os, sys; from uuid import UUID; from boots_pipeline.providers.hubspot import HUBSPOT;"
        "from boots_pipeline.resources.database import Database;"
        "from boots_pipeline.resources.tokens import TokenService;"
        "from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing;"
        "database = Database(os.environ['WORKER_DATABASE_URL'], application='other');"
        "service = TokenService(database, EnvelopeVault(KeyRing.parse(os.environ['VAULT_KEYS'])));"
        "token = service.access_token(UUID(sys.argv[1]), UUID(sys.argv[2]), HUBSPOT);"
        "database.close(); print(token)"
    )
    environment = os.environ | {"WORKER_DATABASE_URL": urls.worker, "VAULT_KEYS": vault_keys}
    command = [sys.executable, "-c", script, str(held.org_id), str(held.source_id)]
    others = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    got = {other.communicate(timeout=30)[0].strip() for other in others}
    assert got == {held.kept("access")}
    assert refreshes(outside) == 1


def test_a_refused_token_is_renewed_once_for_all_who_were_refused(held: Held, outside: Outside) -> None:
    refused = held.access()
    first = held.access(refused)
    assert held.access(refused) == first != refused
    assert refreshes(outside) == 1


def test_it_is_kept_before_it_is_used(held: Held, owner: psycopg.Connection) -> None:
    held.expire()
    owner.execute("alter table connected_sources add constraint broken check (token_expires_at < now()) not valid")
    with pytest.raises(Exception, match="broken"):
        held.access()


_KILLED = """
import os, signal, sys
from uuid import UUID
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing
from boots_pipeline.resources.tokens import TokenService

class Killed(EnvelopeVault):
    def for_connection(self, *where):
        tokens = super().for_connection(*where)
        tokens.store_token = lambda *what: os.kill(os.getpid(), signal.SIGKILL)
        return tokens

service = TokenService(
    Database(os.environ["WORKER_DATABASE_URL"], application="killed"),
    Killed(KeyRing.parse(os.environ["VAULT_KEYS"])),
)
service.access_token(UUID(sys.argv[1]), UUID(sys.argv[2]), HUBSPOT)
"""


def test_a_renewed_token_that_died_with_its_process_is_told_in_words(
    held: Held, outside: Outside, urls: Any, vault_keys: str
) -> None:
    # The provider has rotated, and the new refresh token is gone: nobody can get it again, so nobody tries for long.
    held.expire()
    environment = os.environ | {"WORKER_DATABASE_URL": urls.worker, "VAULT_KEYS": vault_keys}
    command = [sys.executable, "-c", _KILLED, str(held.org_id), str(held.source_id)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert refreshes(outside) == 1
    with pytest.raises(NeedsReauth, match=r"lost its renewed token when a process died\. Connect again"):
        held.access()
    assert refreshes(outside) == 2


def test_a_revoked_grant_needs_a_person(held: Held, outside: Outside) -> None:
    outside.control("POST", "reset")  # HubSpot forgets every grant
    held.expire()
    before = held.kept("refresh")
    with pytest.raises(NeedsReauth, match="Connect again"):
        held.access()
    assert refreshes(outside) == 1
    assert held.kept("refresh") == before  # nothing is thrown away on a refusal


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "status", "status": 429},
                                   {"kind": "html"}, {"kind": "cut"}])  # fmt: skip
def test_an_endpoint_in_trouble_is_no_reason_to_reconnect(held: Held, outside: Outside, fault: dict[str, Any]) -> None:
    held.expire()
    outside.fault(tool="token", **fault)
    with pytest.raises(Transient):
        held.access()


def test_an_endpoint_that_drips_is_given_up(held: Held, outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "ANSWER_SECONDS", 0.3)
    held.expire()
    outside.fault(tool="token", kind="slow", seconds=1)
    with pytest.raises(Transient, match="did not answer"):
        held.access()


def test_a_wrong_client_is_the_operators_business(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    held.expire()
    monkeypatch.setenv("HUBSPOT_CLIENT_SECRET", "wrong")
    provider_settings.cache_clear()
    with pytest.raises(ConfigError, match="client"):
        held.access()
    monkeypatch.delenv("HUBSPOT_CLIENT_SECRET")
    provider_settings.cache_clear()
    with pytest.raises(ConfigError, match="HUBSPOT_CLIENT_SECRET"):
        held.access()


@pytest.mark.parametrize("status", ["pending", "needs_reauth", "revoked"])
def test_a_connection_that_ended_hands_out_nothing(held: Held, outside: Outside, status: str) -> None:
    held.owner.execute("update connected_sources set status = %s", [status])
    with pytest.raises(NeedsReauth):
        held.access()
    assert refreshes(outside) == 0


def test_an_address_that_is_not_the_providers_gets_nothing(held: Held, outside: Outside) -> None:
    held.owner.execute("update connected_sources set mcp_server_url = 'http://127.0.0.1:1/'")
    held.expire()
    with pytest.raises(ConfigError, match="no token was sent"):
        held.access()
    assert refreshes(outside) == 0


def test_a_wrong_key_under_a_known_id_is_refused_before_anything_is_read_or_sealed(
    held: Held, database: Database, outside: Outside
) -> None:
    held.access()
    held.expire()
    wrong = EnvelopeVault(KeyRing({"test": os.urandom(32)}))
    with pytest.raises(ConfigError, match="not the one that this database was sealed with"):
        TokenService(database, wrong).access_token(held.org_id, held.source_id, HUBSPOT)
    held.owner.execute("delete from private.app_secrets")
    with pytest.raises(ConfigError, match="not the one"):
        TokenService(database, wrong).access_token(held.org_id, held.source_id, HUBSPOT)
    assert refreshes(outside) == 0


@pytest.mark.parametrize("told", [None, "", "soon", [], "1e9", 3600, "3600", float("inf")])
def test_an_expiry_that_makes_no_sense_is_an_hour(told: Any) -> None:
    assert timedelta(minutes=59) < expiry({"expires_in": told}) - datetime.now(UTC) <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("told", "at_most"),
    [(-5, timedelta(0)), (0, timedelta(0)), (10**15, timedelta(days=366)), ("60", timedelta(seconds=60))],
)
def test_an_expiry_is_clamped(told: Any, at_most: timedelta) -> None:
    assert expiry({"expires_in": told}) - datetime.now(UTC) <= at_most


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": "next", "expires_in": 60},
        {"access_token": "next"},
        {"access_token": "next", "expires_in": 1e30},
        {"access_token": "next", "refresh_token": 5},
        {"access_token": "next", "refresh_token": ["a"]},
        {"access_token": "next", "refresh_token": "r" * 20_000},
        {"access_token": "next", "refresh_token": ""},
    ],
)
def test_an_answer_without_a_refresh_token_keeps_the_old_one(
    held: Held, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    before = held.kept("refresh")
    held.expire()
    with answering(answer) as url:
        monkeypatch.setenv("HUBSPOT_TOKEN_URL", url)
        provider_settings.cache_clear()
        assert held.access() == "next"
    assert (held.kept("access"), held.kept("refresh")) == ("next", before)


@pytest.mark.parametrize("answer", [
    {}, {"access_token": None}, {"access_token": 7}, {"access_token": ""}, {"access_token": "a" * 20_000}, [], "token",
    {"error": "strange"}, {"access_token": "next", "padding": "x" * 70_000},
    {"access_token": "a", "expires_in": {"a": 1}},
])  # fmt: skip
def test_an_answer_without_a_token_changes_nothing(held: Held, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    before = (held.kept("access"), held.kept("refresh"))
    held.expire()
    with answering(answer) as url:
        monkeypatch.setenv("HUBSPOT_TOKEN_URL", url)
        provider_settings.cache_clear()
        with pytest.raises(Transient):
            held.access()
    assert (held.kept("access"), held.kept("refresh")) == before


@contextmanager
def answering(answer: Any) -> Iterator[str]:
    """A token endpoint that always says the same."""
    body = json.dumps(answer).encode()

    class Endpoint(Handler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Endpoint) as address:
        yield f"{address}/token"
