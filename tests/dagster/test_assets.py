"""The assets on a real instance: materialized by hand, they make, adopt or leave alone a sync."""

import signal
from collections.abc import Callable
from typing import Any
from uuid import UUID

import dagster as dg
import psycopg
import pytest

from boots_pipeline.assets.checks import standing_evaluations
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.queue import Job, SyncQueue
from tests.conftest import Organisation
from tests.outside import Outside

EVERYTHING = dg.AssetSelection.groups("memory")


@pytest.fixture
def materialize(
    definitions: dg.Definitions, instance: dg.DagsterInstance, organisation: Organisation
) -> Callable[[], dg.ExecuteInProcessResult]:
    """Materialize an organisation's partition of everything, with its checks, as a click in the UI does."""
    instance.add_dynamic_partitions("orgs", [organisation.slug])
    job = definitions.resolve_implicit_global_asset_job_def()

    def materialize() -> dg.ExecuteInProcessResult:
        return job.execute_in_process(instance=instance, partition_key=organisation.slug, raise_on_error=False)

    return materialize


def hubspot_metadata(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    (event,) = result.asset_materializations_for_node("source_documents__hubspot")
    return {name: value.value for name, value in event.metadata.items()}


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """By check: of the checks that each provider has, HubSpot's."""
    found = (each for each in result.get_asset_check_evaluations() if each.asset_key.path[1:] in ([], ["hubspot"]))
    return {each.check_name: each.passed for each in found}


def test_by_hand_the_queued_job_is_adopted_and_everything_computed(
    materialize: Callable[[], dg.ExecuteInProcessResult],
    connect: Callable[..., UUID],
    organisation: Organisation,
    outside: Outside,
    owner: psycopg.Connection,
    database: Database,
) -> None:
    connect(organisation)
    result = materialize()
    assert result.success
    truth = outside.truth(organisation.slug)
    told = hubspot_metadata(result)
    assert told["outcome"] == "completed"
    assert told["dagster/row_count"] == sum(len(records) for records in truth.values())
    assert evaluations(result) == {
        "source_is_in_sync": True,
        "every_document_is_embedded": True,
        "every_fact_has_a_living_source": True,
        "every_job_ends": True,
    }
    clients = owner.execute("select count(*) as n from client_intelligence where retired_at is null").fetchone()["n"]
    assert clients == len(truth["companies"])
    assert [row["status"] for row in owner.execute("select status from ingestion_jobs")] == ["completed"]

    again = materialize()
    assert hubspot_metadata(again)["outcome"] == "completed"
    assert hubspot_metadata(again)["changed"] == 0
    assert owner.execute("select count(*) as n from ingestion_jobs").fetchone()["n"] == 2

    owner.execute("update source_documents set deleted_at = now() where document_type = 'companies'")
    found = {each.check_name: each for each in standing_evaluations(database)}
    assert found["every_document_is_embedded"].passed
    assert not found["every_fact_has_a_living_source"].passed
    assert found["every_fact_has_a_living_source"].partition == organisation.slug


def test_attack_24_no_row_reaches_an_event_a_log_or_the_job(
    materialize: Callable[[], dg.ExecuteInProcessResult],
    connect: Callable[..., UUID],
    organisation: Organisation,
    instance: dg.DagsterInstance,
    outside: Outside,
    owner: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Postgres answers a value that it will not take with the value."""
    connect(organisation)
    owner.execute("alter table source_documents add constraint numbers_only check (title::int > 0) not valid")
    result = materialize()
    assert owner.execute("select count(*) as n from source_documents").fetchone() == {"n": 0}
    job = owner.execute("select status, error_class, error_message from ingestion_jobs").fetchone()
    assert not result.success
    events = [record.event_log_entry for record in instance.get_records_for_run(result.run_id).records]
    told = "".join([*(dg.serialize_value(event) for event in events), caplog.text, *capfd.readouterr(), str(job)])
    assert "Postgres error 22P02" in told  # that it failed, and
    names = [company["properties"]["name"] for company in outside.truth(organisation.slug)["companies"].values()]
    assert names
    for secret in ("invalid input", *names):
        assert secret not in told


def test_a_stop_right_after_the_claim_gives_the_job_back(
    materialize: Callable[[], dg.ExecuteInProcessResult],
    connect: Callable[..., UUID],
    organisation: Organisation,
    owner: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect(organisation)
    claim = SyncQueue.claim_by_hand

    def claim_and_be_told_to_stop(*asked: Any) -> Job | None:
        job = claim(*asked)
        signal.raise_signal(signal.SIGTERM)
        return job

    monkeypatch.setattr(SyncQueue, "claim_by_hand", claim_and_be_told_to_stop)
    assert not materialize().success
    assert owner.execute("select status, attempt from ingestion_jobs").fetchall() == [
        {"status": "queued", "attempt": 0}
    ]


def test_a_sync_that_runs_elsewhere_is_left_alone(
    materialize: Callable[[], dg.ExecuteInProcessResult],
    connect: Callable[..., UUID],
    organisation: Organisation,
    owner: psycopg.Connection,
) -> None:
    connect(organisation)
    owner.execute(
        """update ingestion_jobs set status = 'running', lease_token = gen_random_uuid(),
                  lease_until = now() + interval '1 minute'"""
    )
    assert hubspot_metadata(materialize())["outcome"] == "already syncing"


def test_a_lost_grant_is_an_outcome_and_a_red_check_not_a_failure(
    materialize: Callable[[], dg.ExecuteInProcessResult],
    connect: Callable[..., UUID],
    organisation: Organisation,
    outside: Outside,
    owner: psycopg.Connection,
) -> None:
    connect(organisation)
    outside.fault(tool="*", kind="status", status=401, times=None)
    result = materialize()
    assert result.success
    assert hubspot_metadata(result)["outcome"] == "failed"
    assert evaluations(result)["source_is_in_sync"] is False
    connection = owner.execute("select status, status_message from connected_sources").fetchone()
    assert connection["status"] == "needs_reauth"
    assert "Connect again" in connection["status_message"]


def test_without_a_connection_there_is_nothing_to_do_and_nothing_fails(
    materialize: Callable[[], dg.ExecuteInProcessResult],
) -> None:
    result = materialize()
    assert result.success
    assert hubspot_metadata(result)["outcome"] == "not connected"
