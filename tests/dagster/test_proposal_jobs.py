"""From waiting proposals to runs: as many as are needed, and a run that dies or is slow loses no proposal."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import psycopg
import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from boots_pipeline.agents.jobs import claim_proposal
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.resources.database import Database
from boots_pipeline.sensors.proposal_jobs import proposal_jobs
from boots_pipeline.settings import Settings
from tests.conftest import Organisation
from tests.openai_server import Reply, chat, openai_server


def ask(owner: psycopg.Connection, org_id: UUID) -> UUID:
    """Ask for a proposal, as the page does."""
    proposal_id = uuid4()
    owner.execute(
        "insert into proposals (id, org_id, title, brief, status) values (%s, %s, 'A stair', 'Of oak.', 'queued')",
        [proposal_id, org_id],
    )
    owner.execute(
        "insert into jobs (org_id, job_type, payload) values (%s, 'proposal', %s)",
        [org_id, Jsonb({"proposal_id": str(proposal_id)})],
    )
    return proposal_id


def requested(instance: dg.DagsterInstance, database: Database) -> int:
    with dg.build_sensor_context(instance=instance) as context:
        result = proposal_jobs(context, database=database)
    assert isinstance(result, dg.SensorResult)
    assert all(request.run_key is None for request in result.run_requests or [])
    return len(result.run_requests or [])


def test_a_run_for_each_that_waits_less_those_that_are_coming(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    database: Database,
    organisation: Organisation,
    owner: psycopg.Connection,
) -> None:
    assert requested(instance, database) == 0
    for _ in range(3):
        ask(owner, organisation.id)
    assert requested(instance, database) == 3
    coming = instance.create_run_for_job(
        definitions.resolve_job_def("proposal"), status=dg.DagsterRunStatus.NOT_STARTED
    )
    assert requested(instance, database) == 2
    assert claim_proposal(database, coming.run_id) is not None  # it holds one now, and claims no other
    assert requested(instance, database) == 2


def test_a_run_that_dies_before_its_claim_is_followed_by_another(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    database: Database,
    organisation: Organisation,
    owner: psycopg.Connection,
) -> None:
    ask(owner, organisation.id)
    dead = instance.create_run_for_job(definitions.resolve_job_def("proposal"), status=dg.DagsterRunStatus.STARTED)
    assert requested(instance, database) == 0
    instance.report_run_failed(dead)
    assert requested(instance, database) == 1


def test_what_is_to_wait_is_not_run(
    instance: dg.DagsterInstance, database: Database, organisation: Organisation, owner: psycopg.Connection
) -> None:
    ask(owner, organisation.id)
    owner.execute("update jobs set not_before = now() + interval '1 minute'")
    assert requested(instance, database) == 0
    assert claim_proposal(database, "one") is None


class SlowModel:
    """A model that takes longer than the lease for its plan, and looks at the job while it writes."""

    def __init__(self, owner: psycopg.Connection) -> None:
        self._owner = owner
        self.asked = 0
        self.left: timedelta | None = None

    def answer(self, _: str, body: dict[str, Any]) -> Reply:
        self.asked += 1
        if self.asked == 1:
            self._owner.execute("update jobs set lease_until = now() - interval '1 second'")
            section = {"heading": "Scope", "purpose": "p", "knowledge_ids": []}
            return chat(json.dumps({"sections": [section, {**section, "heading": "Next"}]}))
        row = self._owner.execute("select lease_until - clock_timestamp() as rest from jobs").fetchone()
        assert row is not None
        self.left = row["rest"]
        claims = [{"text": "We would begin with a visit.", "citations": []}]
        return chat(json.dumps({"sections": [{"heading": "Scope", "claims": claims}]}))


def test_each_step_has_the_whole_lease(
    instance: dg.DagsterInstance,
    urls: DatabaseUrls,
    vault_keys: str,
    organisation: Organisation,
    owner: psycopg.Connection,
) -> None:
    from boots_pipeline.definitions import build_definitions

    ask(owner, organisation.id)
    model = SlowModel(owner)
    with openai_server(model.answer) as url:
        settings = Settings(
            worker_database_url=urls.worker,
            vault_keys=vault_keys,
            vault_key_file=None,
            openai_api_key=SecretStr("key"),
            openai_base_url=url,
        )
        job = build_definitions(settings).resolve_job_def("proposal")
        assert job.execute_in_process(instance=instance).success
    assert model.left is not None
    assert model.left > timedelta(minutes=16)
    assert owner.execute("select status from proposals").fetchone() == {"status": "ready"}


def test_a_run_that_lost_its_proposal_stops_at_the_next_step(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    database: Database,
    organisation: Organisation,
    owner: psycopg.Connection,
) -> None:
    ask(owner, organisation.id)
    owner.execute(
        """create function public.steal() returns trigger language plpgsql as
           $$ begin update public.jobs set locked_by = 'another'; return new; end $$"""
    )
    owner.execute(
        """create trigger steal after update on public.proposals for each row when (new.status = 'writing')
           execute function public.steal()"""
    )
    done = definitions.resolve_job_def("proposal").execute_in_process(instance=instance, raise_on_error=False)
    assert not done.success
    assert [step.step_key for step in done.get_step_failure_events()] == ["research"]
    assert owner.execute("select status, locked_by, error from jobs").fetchone() == {
        "status": "running",
        "locked_by": "another",
        "error": None,
    }


@pytest.mark.parametrize("payload", [{"proposal_id": "seven"}, {"proposal_id": 7}, {"proposal_id": ""}, [], {}])
def test_a_job_of_any_payload_can_be_put_in(
    database: Database, organisation: Organisation, owner: psycopg.Connection, payload: object
) -> None:
    owner.execute(
        "insert into jobs (org_id, job_type, payload) values (%s, 'proposal', %s)", [organisation.id, Jsonb(payload)]
    )
    assert claim_proposal(database, "one") is None
    assert owner.execute("select status from jobs").fetchone() == {"status": "failed"}


def test_jobs_of_other_types_are_claimed_as_they_always_were(
    database: Database, organisation: Organisation, owner: psycopg.Connection
) -> None:
    owner.execute(
        "insert into jobs (org_id, job_type, attempts) values (%s, 'brand_import', 9), (%s, 'brand_import', 0)",
        [organisation.id, organisation.id],
    )
    claim = "select attempts, status, lease_until from public.claim_next_job('portal', 'brand_import')"
    claimed = [owner.execute(claim).fetchone() for _ in range(3)]
    assert sorted(row["attempts"] for row in claimed if row) == [1, 10]
    assert all(row["lease_until"] is None for row in claimed if row)
    # The portal does not renew: nothing of its own is ever taken away from it.
    owner.execute("update jobs set lease_until = now() - interval '1 day', locked_at = now() - interval '1 day'")
    assert owner.execute(claim).fetchone() is None
    assert owner.execute("select * from public.claim_next_job('portal')").fetchone() is None
