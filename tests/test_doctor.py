"""The doctor finds what is wrong and says what to do; of a setup that is right it complains of nothing."""

import base64
import json
import os
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from boots_pipeline import cli
from boots_pipeline.doctor import Finding, examine
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.providers.google_drive import GOOGLE_DRIVE
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing
from boots_pipeline.settings import Settings, provider_settings
from tests.outside import Outside
from tests.test_vault import STAND_IN

Examine = Callable[..., list[Finding]]


@pytest.fixture
def told(urls: DatabaseUrls, postgres: str) -> dict[str, Any]:
    """The settings of a setup that is right; a database that is not ours plays Dagster's."""
    return {
        "database_url": urls.owner,
        "worker_database_url": urls.worker,
        "web_database_url": urls.web,
        "dagster_pg_url": DatabaseUrls.on_socket(postgres, "postgres").owner,
        "vault_keys": f"k1:{base64.b64encode(os.urandom(32)).decode()}",
        "vault_key_file": None,
        "boots_env": "development",
        "public_base_url": "http://127.0.0.1:5050",
    }


@pytest.fixture
def found(told: dict[str, Any], outside: Outside) -> Examine:
    """What the doctor finds when some settings are changed."""

    def look(**changes: Any) -> list[Finding]:
        return list(examine(Settings(_env_file=None, **{**told, **changes})))

    return look


def wrong(findings: list[Finding]) -> list[str]:
    return [f"{finding.what}: {finding.sentence}" for finding in findings if finding.ok is False]


def test_a_setup_that_is_right(found: Examine) -> None:
    findings = found()
    assert wrong(findings) == []
    assert {finding.what for finding in findings} >= {"database", "pipeline", "pages", "vault", "Dagster"} | {
        provider.title for provider in PROVIDERS.values()
    }


def test_what_is_wrong_with_settings(found: Examine, told: dict[str, Any], urls: DatabaseUrls) -> None:
    with psycopg.connect(urls.owner, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
        EnvelopeVault(KeyRing.parse(told["vault_keys"])).check(connection)
    for changes, sentence in [
        ({"worker_database_url": urls.owner}, "pipeline: postgres is above row level security"),
        ({"web_database_url": urls.worker}, "pages: Connects as boots_worker; boots_web is meant"),
        ({"worker_database_url": None}, "pipeline: WORKER_DATABASE_URL is not set"),
        ({"database_url": "postgresql://nobody@127.0.0.1:1/x"}, "database: The database does not answer"),
        ({"dagster_pg_url": urls.owner}, "Dagster: Shares our database"),
        ({"vault_keys": f"k1:{base64.b64encode(os.urandom(32)).decode()}"}, "vault: The vault key 'k1' is not the one"),
        ({"vault": "supabase"}, "vault: VAULT is supabase, but this database has no Supabase Vault"),
        ({"boots_env": "production"}, "pages: PUBLIC_BASE_URL is http://"),
        ({"boots_env": "production", "supabase_url": "http://127.0.0.1:1"}, "pages: SUPABASE_URL is not https"),
        ({"supabase_url": "http://127.0.0.1:1"}, "pages: It does not answer (ConnectError)"),
    ]:
        assert any(each.startswith(sentence) for each in wrong(found(**changes))), (changes, wrong(found(**changes)))


def test_where_nothing_runs_and_nothing_is_set_it_says_so_once(found: Examine) -> None:
    urls = ("database_url", "worker_database_url", "web_database_url", "dagster_pg_url")
    findings = found(**dict.fromkeys(urls), vault_keys=None)
    assert wrong(findings) == [
        "database: No Boots runs here and no other Postgres is named: `make up` starts one.",
    ]
    assert findings[0].ok is False


def test_it_does_not_make_a_mistyped_key_the_right_one(found: Examine, owner: psycopg.Connection) -> None:
    (vault,) = (finding for finding in found() if finding.what == "vault")
    assert (vault.ok, "has not met the key k1" in vault.sentence) == (None, True)
    assert owner.execute("select count(*) as n from private.vault_keys").fetchone() == {"n": 0}


def test_a_database_that_is_behind(found: Examine, owner: psycopg.Connection) -> None:
    owner.execute(
        "delete from supabase_migrations.schema_migrations where version = (select max(version) from"
        " supabase_migrations.schema_migrations)"
    )
    assert wrong(found()) == ["database: Not applied: 1 migration. Run `boots migrate`."]


def test_supabase_vault_is_tried_and_nothing_is_left_in_it(found: Examine, owner: psycopg.Connection) -> None:
    owner.execute(STAND_IN.read_text())
    assert wrong(found(vault="supabase")) == []
    assert owner.execute("select count(*) as n from vault.secrets").fetchone() == {"n": 0}
    owner.execute("grant usage on schema vault to boots_worker")
    owner.execute("grant select on vault.decrypted_secrets to boots_worker")
    owner.execute("grant execute on all functions in schema vault to boots_worker")
    assert wrong(found(vault="supabase")) == [
        "vault: boots_worker may read vault.decrypted_secrets, every tenant's: revoke it."
    ]


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("HUBSPOT_TOKEN_URL", "https://elsewhere.example/token", "publishes another token_endpoint"),
        ("GOOGLE_USERINFO_URL", "https://elsewhere.example/who", "publishes another userinfo_endpoint"),
        ("HUBSPOT_ISSUER", "https://elsewhere.example", "publishes another issuer"),
        ("HUBSPOT_DISCOVERY_URL", "{base}/_control/calls", "did not answer with a JSON object"),
        ("HUBSPOT_MCP_URL", "{base}/nowhere", "No MCP server there (404)"),
        ("HUBSPOT_MCP_URL", "http://127.0.0.1:1/mcp", "does not answer"),
    ],
)
def test_a_provider_that_is_not_as_it_is_pinned(
    found: Examine, outside: Outside, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value.format(base=outside.url))
    provider_settings.cache_clear()
    (only,) = wrong(found())
    assert only.startswith({"HUBSPOT": HUBSPOT, "GOOGLE": GOOGLE_DRIVE}[variable.partition("_")[0]].title)
    assert sentence in only


def test_a_provider_without_a_client_is_told_and_not_wrong(found: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUBSPOT_CLIENT_ID")
    provider_settings.cache_clear()
    (only,) = (finding for finding in found() if finding.what == HUBSPOT.title)
    assert (only.ok, "HUBSPOT_CLIENT_ID" in only.sentence) == (None, True)


def test_the_command(told: dict[str, Any], outside: Outside, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(cli, "settings", lambda: Settings(_env_file=None, **told, boots_home=tmp_path))
    done = CliRunner().invoke(cli.main, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output.splitlines()[-1])["ok"] is True
    monkeypatch.setattr(
        cli, "settings", lambda: Settings(_env_file=None, **{**told, "web_database_url": None}, boots_home=tmp_path)
    )
    done = CliRunner().invoke(cli.main, ["doctor"])
    assert done.exit_code == 1
    assert "✗ pages  WEB_DATABASE_URL is not set" in done.output


def test_the_keys_command(
    told: dict[str, Any], outside: Outside, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, connect: Any,
    organisation: Any, vault_keys: str,
) -> None:  # fmt: skip
    connect(organisation)
    both = f"new:{base64.b64encode(os.urandom(32)).decode()},{vault_keys}"
    monkeypatch.setattr(
        cli, "settings", lambda: Settings(_env_file=None, **{**told, "vault_keys": both}, boots_home=tmp_path)
    )
    done = CliRunner().invoke(cli.main, ["vault", "rotate"])
    assert done.output.splitlines() == [
        "Sealed 2 tokens anew; 2 of 2 are sealed with 'new'.",
        "'test' opens none any more: it may be taken out of VAULT_KEYS.",
    ]
    assert CliRunner().invoke(cli.main, ["vault", "rotate"]).output.startswith("Sealed 0 tokens anew; 2 of 2")
