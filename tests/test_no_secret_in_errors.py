"""However the handling of a token fails: in no error, and in no log at DEBUG, is there a token, a code or a key.

The other side says back whatever it was sent, wherever it can: in the body, in headers, in the error's own fields. What
an error is made of is looked at as well, whether a traceback shows it or not: messages, arguments, attributes, causes
and contexts. Local variables are not: who writes those down writes down the memory of the process.
"""

import asyncio
import base64
import json
import logging
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from boots_pipeline.errors import BootsError, Transient
from boots_pipeline.providers.base import Account
from boots_pipeline.providers.google_drive import GOOGLE_DRIVE
from boots_pipeline.providers.hubspot import HUBSPOT, HubSpot
from boots_pipeline.resources import mcp_gateway, tokens
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing
from boots_pipeline.resources.mcp_gateway import McpGateway
from boots_pipeline.resources.tokens import TokenService, oauth_client
from boots_pipeline.resources.user_info import user_info
from boots_pipeline.settings import Settings, provider_settings
from oauth_app.authorisation import Grant, exchange, revoke
from tests.conftest import Connected
from tests.http_server import Handler, serving

CODE, VERIFIER, SECRET = "CODE-" + "c" * 20, "VERIFIER-" + "v" * 40, "boots-sandbox-secret"


def everything_of(error: BaseException | None, met: frozenset[int] = frozenset()) -> str:
    """All that an error and whatever hangs on it could be made to say."""
    if error is None or id(error) in met:
        return ""
    met |= {id(error)}
    told = [*traceback.format_exception(error), str(error), repr(error), repr(error.args), repr(vars(error))]
    hanging = [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
    return "\n".join([*told, *(everything_of(each, met) for each in hanging)])


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Everything that anybody logs, at DEBUG, whom we have not silenced for good."""
    caplog.set_level(logging.DEBUG)

    def text() -> str:
        told = [f"{record.getMessage()} {record.args!r}" for record in caplog.records]
        errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
        return "\n".join([caplog.text, *told, *(everything_of(error) for error in errors)])

    return text


class Held:
    """A connection, its secrets, and the ways in which its tokens are used."""

    def __init__(self, connected: Connected, database: Database, vault: EnvelopeVault, keys: str) -> None:
        self.connected, self.database, self.vault = connected, database, vault
        access_token, self.refresh_token = self._tokens()
        self.secrets = {CODE, VERIFIER, SECRET, keys.partition(":")[2], access_token, self.refresh_token}

    def _tokens(self) -> list[str]:
        source = self.connected.source()
        with self.database.organisation(self.connected.organisation.id) as transaction:
            held = self.vault.for_connection(self.connected.organisation.id, self.connected.id, transaction)
            return [held.read_token(source[f"{kind}_token_vault_id"], kind) for kind in ("access", "refresh")]

    def service(self, vault: EnvelopeVault | None = None) -> TokenService:
        return TokenService(self.database, vault or self.vault)

    def access(self, refused: str | None = None, vault: EnvelopeVault | None = None) -> str:
        return self.service(vault).access_token(self.connected.organisation.id, self.connected.id, HUBSPOT, refused)

    def refresh(self) -> str:
        self.connected.owner.execute("update connected_sources set token_expires_at = now()")
        return self.access()

    def call(self) -> None:
        async def ask() -> None:
            gateway = McpGateway(self.database, self.service())
            async with gateway.session(self.connected.organisation.id, self.connected.id, HUBSPOT) as tools:
                await tools.call("get_user_details", {})

        asyncio.run(ask())

    def ask_whose(self) -> None:
        asyncio.run(user_info(GOOGLE_DRIVE, self.access))

    def revoke(self) -> None:
        if not revoke(HUBSPOT, self.refresh_token, Settings()):
            raise Transient("It was not confirmed.")  # of which only the log tells

    def exchange(self) -> None:
        exchange(HUBSPOT, CODE, VERIFIER, "http://localhost/callback", {"code": CODE})


@pytest.fixture
def held(connected: Connected, database: Database, vault: EnvelopeVault, vault_keys: str) -> Held:
    return Held(connected, database, vault, vault_keys)


@contextmanager
def echo(status: int, **fields: Any) -> Iterator[str]:
    """A server that says back all that it is sent; fields are what its JSON says beside."""

    class Echo(Handler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            form = {name: values[0] for name, values in parse_qs(sent).items()}
            said = f"{self.headers.get('Authorization', '')} {' '.join(form.values())}".strip()
            told = {"error_description": said, "error_uri": said, "message": said, "refresh": said, **form, **fields}
            body = json.dumps({key: said if value == "ECHO" else value for key, value in told.items()})
            self.send_response(status, said)
            for name in ("WWW-Authenticate", "Location", "X-Said", "Retry-After"):
                self.send_header(name, said)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write((body[:-1] if fields.get("cut") else body).encode())

        do_GET = do_POST

    with serving(Echo) as address:
        yield f"{address}/"


ANSWERS: dict[str, tuple[int, dict[str, Any]]] = {
    "invalid_grant": (400, {"error": "invalid_grant"}),
    "invalid_client": (401, {"error": "invalid_client"}),
    "an error of its own": (400, {"error": "ECHO"}),
    "an error beside 200": (200, {"error": "ECHO"}),
    "no token": (200, {"refresh_token": None}),
    "a token that is none": (200, {"access_token": ["ECHO"], "id_token": "ECHO"}),
    "a life that is none": (200, {"access_token": "ECHO", "refresh_token": "ECHO", "expires_in": {"a": "ECHO"}}),
    "half an answer": (200, {"access_token": "ECHO", "cut": True}),
    "a redirect": (302, {}),
    "401": (401, {}),
    "403": (403, {}),
    "429": (429, {}),
    "500": (500, {}),
}
USES = {
    "refresh": (Held.refresh, "HUBSPOT_TOKEN_URL"),
    "exchange": (Held.exchange, "HUBSPOT_TOKEN_URL"),
    "call": (Held.call, None),
    "whose": (Held.ask_whose, "GOOGLE_USERINFO_URL"),
    "revoke": (Held.revoke, "HUBSPOT_REVOCATION_URL"),
}


@pytest.mark.parametrize("use", USES)
def test_whatever_is_said_back_is_repeated_nowhere(
    held: Held, use: str, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    act, variable = USES[use]
    monkeypatch.setattr(mcp_gateway, "_ATTEMPTS", 1)
    failed = 0
    for name, (status, fields) in ANSWERS.items():
        with echo(status, **fields) as url:
            if variable is None:
                monkeypatch.setattr(HubSpot, "mcp_url", url)
                held.connected.owner.execute("update connected_sources set mcp_server_url = %s", [url])
            else:
                monkeypatch.setenv(variable, url)
                provider_settings.cache_clear()
            try:
                act(held)
            except BootsError as error:
                failed += 1
                told = everything_of(error)
                assert not [secret for secret in held.secrets if secret in told], (name, told)
    assert failed >= 7, "it is the errors that are looked at"
    assert not [secret for secret in held.secrets if secret in logged()]


BREAKAGES = {
    "another key": None,
    "a row that was changed": "update private.app_secrets set body = body || 'x'::bytea",
    "a row of another purpose": """update connected_sources set access_token_vault_id = refresh_token_vault_id""",
    "a row that is gone": "delete from private.app_secrets",
    "a row that is not taken": """update connected_sources set token_expires_at = now();
        alter table connected_sources add constraint broken check (token_expires_at < now()) not valid""",
    "a secret that is not taken": """update connected_sources set token_expires_at = now();
        alter table private.app_secrets add constraint broken check (version < 2) not valid""",
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_vault_that_does_not_open_or_does_not_keep_says_nothing(
    held: Held, breakage: str, logged: Callable[[], str]
) -> None:
    vault, statement = held.vault, BREAKAGES[breakage]
    if statement is None:
        held.access()
        vault = EnvelopeVault(KeyRing({"test": os.urandom(32)}))
    else:
        held.connected.owner.execute(statement)
    with pytest.raises(BootsError) as raised:
        held.access(vault=vault)
    told = everything_of(raised.value) + logged()
    secrets = held.secrets | set(held.connected.outside.control("GET", "secrets"))
    assert not [secret for secret in secrets if secret in told]


def test_what_holds_a_secret_does_not_show_it(held: Held) -> None:
    access, refresh, key = "ACCESS-MARKER", "REFRESH-MARKER", base64.b64encode(b"k" * 32).decode()
    now, account = datetime.now(UTC), Account("4242")
    holding = [
        Grant(access, refresh, now, [], account), tokens._Renewed(access, refresh, now), oauth_client(HUBSPOT),
        provider_settings("HUBSPOT_"), Settings(vault_keys=f"k1:{key}", secret_key=key, supabase_jwt_secret=key),
        KeyRing.parse(f"k1:{key}"), held.vault, held.service(),
    ]  # fmt: skip
    for each in holding:
        told = f"{each!r} {each} {[each]}"
        assert not [secret for secret in (access, refresh, key, "k" * 32, SECRET, *held.secrets) if secret in told], (
            told
        )
