"""What both halves of the gateway's tests stand on: a connection whose secrets are looked for everywhere afterwards."""

import logging
from collections.abc import Iterator

import pytest

from boots_pipeline.resources.database import Database
from boots_pipeline.resources.envelope_vault import EnvelopeVault
from tests.conftest import Connected


@pytest.fixture
def connected(
    connected: Connected, caplog: pytest.LogCaptureFixture, database: Database, vault: EnvelopeVault
) -> Iterator[Connected]:
    """Whatever happens in these tests: no token in a log, in a job or on a card."""

    def tokens() -> list[str]:
        source = connected.source()
        with database.organisation(connected.organisation.id) as transaction:
            held = vault.for_connection(connected.organisation.id, connected.id, transaction)
            ids = {"access": source["access_token_vault_id"], "refresh": source["refresh_token_vault_id"]}
            return [held.read_token(vault_id, purpose) for purpose, vault_id in ids.items() if vault_id]

    caplog.set_level(logging.DEBUG)
    secrets = tokens()
    yield connected
    secrets += tokens()
    told = caplog.text + str(connected.owner.execute("select * from ingestion_jobs").fetchall())
    told += str(connected.owner.execute("select * from connected_sources").fetchall())
    assert not [secret for secret in secrets if secret in told]
