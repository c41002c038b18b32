"""The envelope keeps tokens sealed, bound to their place, and refuses wrong keys."""

import os

import psycopg
import pytest

from boots_pipeline.errors import ConfigError
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.vault import EnvelopeVault, KeyRing
from tests.conftest import Organisation


@pytest.fixture
def connection_id(owner: psycopg.Connection, organisation: Organisation) -> object:
    row = owner.execute(
        "insert into connected_sources (org_id, provider) values (%s, 'hubspot') returning id", [organisation.id]
    ).fetchone()
    return row["id"]


def test_a_token_comes_back_and_is_nowhere_in_the_clear(
    database: Database, owner: psycopg.Connection, vault: EnvelopeVault, organisation: Organisation, connection_id
) -> None:
    with database.organisation(organisation.id) as transaction:
        tokens = vault.for_connection(organisation.id, connection_id, transaction)
        secret = tokens.store_token("SECRET-TOKEN-MARKER", "access")
        assert tokens.read_token(secret) == "SECRET-TOKEN-MARKER"
        assert tokens.store_token("the-next", "access") == secret
        assert tokens.read_token(secret) == "the-next"
    stored = owner.execute("select * from private.app_secrets").fetchone()
    assert b"the-next" not in bytes(stored["body"]) + bytes(stored["wrapped_key"])


@pytest.mark.parametrize("change", ["version = version + 1", "purpose = 'refresh'", "body = body || 'x'::bytea"])
def test_a_changed_row_does_not_open(
    database: Database,
    owner: psycopg.Connection,
    vault: EnvelopeVault,
    organisation: Organisation,
    connection_id,
    change,
) -> None:
    with database.organisation(organisation.id) as transaction:
        secret = vault.for_connection(organisation.id, connection_id, transaction).store_token("token", "access")
    owner.execute(f"update private.app_secrets set {change}")
    with (
        database.organisation(organisation.id) as transaction,
        pytest.raises(ConfigError, match="does not open"),
    ):
        vault.for_connection(organisation.id, connection_id, transaction).read_token(secret)


def test_another_organisation_finds_nothing(
    database: Database, vault: EnvelopeVault, organisation: Organisation, connection_id, new_organisation
) -> None:
    with database.organisation(organisation.id) as transaction:
        secret = vault.for_connection(organisation.id, connection_id, transaction).store_token("token", "access")
    other = new_organisation("other")
    with database.organisation(other.id) as transaction, pytest.raises(ConfigError, match="no such token"):
        vault.for_connection(organisation.id, connection_id, transaction).read_token(secret)


def test_a_wrong_key_is_refused_at_start(database: Database) -> None:
    with database.connection() as connection:
        EnvelopeVault(KeyRing({"k1": os.urandom(32)})).check_keys(connection)
        with pytest.raises(ConfigError, match="not the one"):
            EnvelopeVault(KeyRing({"k1": os.urandom(32)})).check_keys(connection)


def test_key_file_must_be_private(vault_key_file, monkeypatch) -> None:
    from boots_pipeline.settings import Settings

    settings = Settings(vault_key_file=vault_key_file, vault_keys=None)
    assert KeyRing.from_settings(settings).primary == "test"
    vault_key_file.chmod(0o644)
    with pytest.raises(ConfigError, match="0600"):
        KeyRing.from_settings(settings)
    with pytest.raises(ConfigError, match="No vault key"):
        KeyRing.from_settings(Settings(vault_key_file=None, vault_keys=None))
