"""Dagster's runs as its UI sees them, over GraphQL: which one serves an organisation, which step it is at, and which
are dead."""

from dataclasses import dataclass
from typing import Any

import httpx

from boots_pipeline.resources.certificates import certificates

_RUNS = """
query Runs($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 1) {
    ... on Runs { results { runId status stepStats { stepKey status } } }
    ... on PythonError { message }
  }
}
"""
_UNFINISHED = """
query Unfinished($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results { runId } } } }
"""
_END = """
mutation End($runIds: [String!]!) {
  terminateRuns(runIds: $runIds, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) { __typename }
}
"""


@dataclass(frozen=True)
class Run:
    """A run: its status (QUEUED, STARTED, SUCCESS, FAILURE, …) and the step that it is at."""

    id: str
    status: str
    step: str | None

    @property
    def has_ended(self) -> bool:
        return self.status in ("SUCCESS", "FAILURE", "CANCELED")


def latest_run(dagster: str, tags: dict[str, str], since: float) -> Run | None:
    """The newest run with these tags that was made after `since` (seconds of the epoch)."""
    found = graphql(
        dagster,
        _RUNS,
        filter={"tags": [{"key": key, "value": value} for key, value in tags.items()], "createdAfter": since},
    )["runsOrError"]["results"]
    if not found:
        return None
    steps = [step["stepKey"] for step in found[0]["stepStats"] if step["status"] == "IN_PROGRESS"]
    return Run(found[0]["runId"], found[0]["status"], steps[-1] if steps else None)


def end_dead_runs(dagster: str, since: float) -> int:
    """End what calls itself running and has not stirred since our start, when nothing ran; returns how many.

    Dagster would count it among the living for hours, and start no other run of that organisation.
    """
    statuses = ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"]
    found = graphql(dagster, _UNFINISHED, filter={"statuses": statuses, "updatedBefore": since})
    dead = [run["runId"] for run in found["runsOrError"]["results"]]
    if dead:
        graphql(dagster, _END, runIds=dead)
    return len(dead)


def graphql(dagster: str, query: str, **variables: Any) -> dict[str, Any]:
    """Ask the webserver. Raises httpx.HTTPError."""
    answer = httpx.post(
        f"{dagster}/graphql", json={"query": query, "variables": variables}, timeout=30, verify=certificates()
    )
    answer.raise_for_status()
    return dict(answer.json()["data"])
