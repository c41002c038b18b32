"""Claiming and ending the jobs of proposals. A worker that lost its lease ends nothing."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from boots_pipeline.errors import BootsError, ConfigError, InfraError, LeaseLost, RateLimited, Transient
from boots_pipeline.resources.database import Connection, Database

_ATTEMPTS = 3  # as private.proposal_waits counts
# As public.claim_next_job gives. The slowest step is a language model that is asked twice, three times each, answers
# after 120 s, and makes us wait 60 s in between: 16 minutes (resources/openai_models.py).
_LEASE = timedelta(minutes=20)
_FIRST_WAIT = 30.0  # seconds before what usually passes is tried again; twice as long the second time


@dataclass(frozen=True, slots=True)
class ClaimedProposal:
    """A proposal that this worker is to write; `worker` is the name that holds its job."""

    org_id: UUID
    proposal_id: UUID
    job_id: UUID
    attempts: int
    worker: str


def claim_proposal(database: Database, worker: str) -> ClaimedProposal | None:
    """The oldest waiting proposal, ours for twenty minutes; None when none waits.

    A job that asks for none, or whose run died three times already, is failed on the way.
    """
    while True:
        with database.connection() as connection:
            job = connection.execute("select * from public.claim_next_job(%s, 'proposal')", [worker]).fetchone()
        if job is None:
            return None
        # A job that names no proposal is claimed all the same, to be failed by its name below.
        proposal_id = job["proposal_id"] or UUID(int=0)
        claimed = ClaimedProposal(job["org_id"], proposal_id, job["id"], job["attempts"], worker)
        if claimed.attempts > _ATTEMPTS:
            fail_proposal(database, claimed, ConfigError("Writing it was tried three times, and each run died."))
            continue
        with database.organisation(claimed.org_id) as connection:
            found = connection.execute(
                """update public.proposals set status = 'writing', updated_at = now()
                    where org_id = %s and id = %s returning id""",
                [claimed.org_id, proposal_id],
            ).fetchone()
        if found:
            return claimed
        fail_proposal(database, claimed, ConfigError("The proposal that this job asks for does not exist."))


def extend_lease(database: Database, claimed: ClaimedProposal) -> None:
    """The whole lease again, from now on. Raises LeaseLost when the job is no longer this worker's."""
    with database.organisation(claimed.org_id) as connection:
        extended = connection.execute(
            """update public.jobs set lease_until = clock_timestamp() + %s
                where org_id = %s and id = %s and status = 'running' and locked_by = %s""",
            [_LEASE, claimed.org_id, claimed.job_id, claimed.worker],
        )
        if extended.rowcount != 1:
            raise LeaseLost("Another worker has taken this proposal, or it was ended.")


def finish_job(connection: Connection, org_id: UUID, job_id: UUID, worker: str) -> None:
    """End the job in the transaction that writes its result; again, when it was us who ended it.

    Raises LeaseLost when it is no longer this worker's.
    """
    ended = connection.execute(
        """update public.jobs
              set status = 'completed', finished_at = coalesce(finished_at, clock_timestamp()), lease_until = null,
                  error = null
            where org_id = %s and id = %s and status in ('running', 'completed') and locked_by = %s""",
        [org_id, job_id, worker],
    )
    if ended.rowcount != 1:
        raise LeaseLost("Another worker has taken this proposal, or it was ended.")


def fail_proposal(database: Database, claimed: ClaimedProposal, error: Exception) -> bool:
    """Record why, in words that may be shown: an error that is not ours keeps its text to itself.

    What usually passes puts the job back to wait, as long as we were told to or a little while, three attempts in all.
    False, and nothing changed, when the job is no longer this worker's.
    """
    told = str(error) if isinstance(error, BootsError) else "Something went wrong that should not: see the run's log."
    again = isinstance(error, Transient | RateLimited | InfraError) and claimed.attempts < _ATTEMPTS
    wait = error.retry_after if isinstance(error, RateLimited) else _FIRST_WAIT * 2 ** (claimed.attempts - 1)
    with database.organisation(claimed.org_id) as connection:
        ended = connection.execute(
            """update public.jobs
                  set status = %s, error = %s, lease_until = null, locked_by = null,
                      not_before = case when %s then clock_timestamp() + %s end,
                      finished_at = case when %s then null else clock_timestamp() end
                where org_id = %s and id = %s and status = 'running' and locked_by = %s""",
            [
                "queued" if again else "failed",
                told,
                again,
                timedelta(seconds=wait),
                again,
                claimed.org_id,
                claimed.job_id,
                claimed.worker,
            ],
        )
        if ended.rowcount != 1:
            return False
        connection.execute(
            "update public.proposals set status = %s, updated_at = now() where org_id = %s and id = %s",
            ["queued" if again else "failed", claimed.org_id, claimed.proposal_id],
        )
    return True
