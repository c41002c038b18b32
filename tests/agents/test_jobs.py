"""Jobs of proposals: claimed once, failed with words that may be shown, tried again when it usually passes."""

from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest

from boots_pipeline.agents.jobs import claim_proposal, extend_lease, fail_proposal
from boots_pipeline.errors import BadItem, LeaseLost, RateLimited, Transient
from boots_pipeline.resources.database import Database
from tests.conftest import Organisation

Ask = Callable[..., UUID]


def state(owner: psycopg.Connection) -> tuple[str, str | None, str]:
    job = owner.execute("select status, error from jobs").fetchone()
    proposal = owner.execute("select status from proposals").fetchone()
    assert job is not None
    assert proposal is not None
    return job["status"], job["error"], proposal["status"]


def test_a_job_is_claimed_once(
    database: Database, organisation: Organisation, ask: Ask, owner: psycopg.Connection
) -> None:
    ask(organisation.id, "A stair")
    assert claim_proposal(database, "one") is not None
    assert claim_proposal(database, "two") is None
    assert state(owner) == ("running", None, "writing")


def test_a_job_of_no_proposal_is_failed_and_the_next_is_claimed(
    database: Database, organisation: Organisation, ask: Ask, owner: psycopg.Connection
) -> None:
    owner.execute("insert into jobs (org_id, job_type) values (%s, 'proposal')", [organisation.id])
    proposal_id = ask(organisation.id, "A stair")
    claimed = claim_proposal(database, "one")
    assert claimed is not None
    assert claimed.proposal_id == proposal_id
    failed = owner.execute("select error from jobs where status = 'failed'").fetchall()
    assert failed == [{"error": "The proposal that this job asks for does not exist."}]


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (BadItem("Nothing of the draft could be verified."), "failed", "Nothing of the draft could be verified."),
        (RuntimeError("secret sk-123"), "failed", "Something went wrong that should not: see the run's log."),
        (Transient("The server cannot be reached."), "queued", "The server cannot be reached."),
    ],
)
def test_why_it_failed_is_told_safely(
    database: Database,
    organisation: Organisation,
    ask: Ask,
    owner: psycopg.Connection,
    error: Exception,
    status: str,
    told: str,
) -> None:
    ask(organisation.id, "A stair")
    claimed = claim_proposal(database, "one")
    assert claimed is not None
    assert fail_proposal(database, claimed, error)
    assert state(owner) == (status, told, status)
    assert not fail_proposal(database, claimed, error)


def test_what_usually_passes_is_tried_three_times(
    database: Database, organisation: Organisation, ask: Ask, owner: psycopg.Connection
) -> None:
    ask(organisation.id, "A stair")
    for _ in range(3):
        owner.execute("update jobs set not_before = now()")
        claimed = claim_proposal(database, "one")
        assert claimed is not None
        fail_proposal(database, claimed, Transient("Not now."))
    assert state(owner) == ("failed", "Not now.", "failed")
    assert claim_proposal(database, "one") is None


@pytest.mark.parametrize(
    ("error", "seconds"), [(RateLimited("Wait.", 600), 600), (Transient("Not now."), 30), (BadItem("No."), None)]
)
def test_what_is_tried_again_waits_as_long_as_we_were_told(
    database: Database,
    organisation: Organisation,
    ask: Ask,
    owner: psycopg.Connection,
    error: Exception,
    seconds: int | None,
) -> None:
    ask(organisation.id, "A stair")
    claimed = claim_proposal(database, "one")
    assert claimed is not None
    fail_proposal(database, claimed, error)
    assert claim_proposal(database, "one") is None
    wait = owner.execute("select extract(epoch from not_before - clock_timestamp())::float as s from jobs").fetchone()
    assert wait is not None
    assert wait["s"] == (pytest.approx(seconds, abs=10) if seconds else None)


def test_a_lease_is_extended_only_by_its_holder(
    database: Database, organisation: Organisation, ask: Ask, owner: psycopg.Connection
) -> None:
    ask(organisation.id, "A stair")
    slow = claim_proposal(database, "slow")
    assert slow is not None
    owner.execute("update jobs set lease_until = now() - interval '1 second'")
    extend_lease(database, slow)  # late, but nobody has taken it
    assert claim_proposal(database, "other") is None
    owner.execute("update jobs set lease_until = now() - interval '1 second'")
    assert claim_proposal(database, "other") is not None
    with pytest.raises(LeaseLost):
        extend_lease(database, slow)
