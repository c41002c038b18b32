"""`proposal`: research → strategy → write → review → attribute, for one waiting row of `jobs`. Rows of proposals and
source_attribution come of it.

The first op claims; when nothing waits any more the others are skipped. What passes from op to op stays in this
process: it is a client's text, and Dagster's storage is no place for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from boots_pipeline.agents import attribution, researcher, reviewer, strategist, writer
from boots_pipeline.agents.jobs import ClaimedProposal, claim_proposal, extend_lease, fail_proposal
from boots_pipeline.agents.stages import Draft, Research, ReviewedDraft, Strategy
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import Embedder
from boots_pipeline.resources.language_model import LanguageModel
from boots_pipeline.resources.live import LiveDocuments

IN_MEMORY = "in_memory"


@contextmanager
def _holding(database: Database, claimed: ClaimedProposal) -> Iterator[None]:
    """A step has the whole lease for its work; one that fails says so in the job's row, where the person who asked
    will look."""
    try:
        extend_lease(database, claimed)
        yield
    except Exception as error:
        fail_proposal(database, claimed, error)
        raise


@dg.op(
    out={
        "claimed": dg.Out(ClaimedProposal, is_required=False, io_manager_key=IN_MEMORY),
        "findings": dg.Out(Research, is_required=False, io_manager_key=IN_MEMORY),
    },
    description="Claims a waiting proposal; searches the memory, and asks the provider for what must be fresh.",
)
def research(
    context: dg.OpExecutionContext,
    database: dg.ResourceParam[Database],
    embedder: dg.ResourceParam[Embedder],
    live: dg.ResourceParam[LiveDocuments],
) -> Iterator[dg.Output[Any]]:
    claimed = claim_proposal(database, worker=context.run.run_id)
    if claimed is None:
        context.log.info("Nothing waits: another run has claimed it.")
        return
    with _holding(database, claimed):
        findings = researcher.research(database, embedder, live, claimed.org_id, claimed.proposal_id)
    context.log.info("%d pieces of knowledge found", len(findings.knowledge))
    yield dg.Output(claimed, "claimed")
    yield dg.Output(findings, "findings")


@dg.op(
    out=dg.Out(io_manager_key=IN_MEMORY),
    description="Decides on the sections, and which knowledge each rests on.",
)
def strategy(
    claimed: ClaimedProposal,
    findings: Research,
    database: dg.ResourceParam[Database],
    language_model: dg.ResourceParam[LanguageModel | None],
) -> Strategy:
    with _holding(database, claimed):
        return strategist.plan(language_model, findings)


@dg.op(
    out=dg.Out(io_manager_key=IN_MEMORY),
    description="Writes the sections; every claim names the knowledge that it rests on, with the words.",
)
def write(
    claimed: ClaimedProposal,
    findings: Research,
    plan: Strategy,
    database: dg.ResourceParam[Database],
    language_model: dg.ResourceParam[LanguageModel | None],
) -> Draft:
    with _holding(database, claimed):
        return writer.write(language_model, findings, plan)


@dg.op(
    out=dg.Out(io_manager_key=IN_MEMORY),
    description="Checks every citation without a model: retrieved, quoted as it stands, numbers and names in it.",
)
def review(
    claimed: ClaimedProposal, findings: Research, draft: Draft, database: dg.ResourceParam[Database]
) -> ReviewedDraft:
    with _holding(database, claimed):
        return reviewer.review(draft, findings)


@dg.op(description="Keeps the sections and which knowledge informed each, and ends the job, in one transaction.")
def attribute(
    context: dg.OpExecutionContext,
    claimed: ClaimedProposal,
    findings: Research,
    reviewed: ReviewedDraft,
    database: dg.ResourceParam[Database],
) -> None:
    with _holding(database, claimed):
        count = attribution.attribute(
            database,
            claimed.org_id,
            claimed.proposal_id,
            reviewed,
            findings,
            job_id=claimed.job_id,
            worker=claimed.worker,
        )
    context.log.info("%d sections, %d attributions", len(reviewed.sections), count)


@dg.job(
    description="Writes one waiting proposal from what the memory knows.",
    executor_def=dg.in_process_executor,
)
def proposal() -> None:
    claimed, findings = research()
    draft = write(claimed, findings, strategy(claimed, findings))
    attribute(claimed, findings, review(claimed, findings, draft))
