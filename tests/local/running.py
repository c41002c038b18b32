"""A whole Boots for the session: the same supervisor as `boots up`, on free ports and a folder of its own, and what a
test asks of it, over HTTP, over Dagster's GraphQL, and behind everybody's back as the database's owner.

tests/conftest.py makes the fixture known, because the browser's tests share it.
"""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from boots_pipeline.local.organisations import seed
from boots_pipeline.local.runs import graphql
from boots_pipeline.local.supervisor import Local, everything
from boots_pipeline.local.visitor import Visitor, wait_for
from boots_pipeline.settings import Settings, provider_settings
from tests.folders import server_folder
from tests.outside import Outside, free_port

HARBOUR, MERIDIAN = "harbour-joinery", "meridian-signage"
CODE_LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "boots_pipeline"}
LIVE = ("queued", "running")

_RUNS = """
query Runs($filter: RunsFilter) {
  runsOrError(filter: $filter) { ... on Runs { results {
    runId status jobName tags { key value } assetSelection { path } startTime endTime
  } } }
}
"""
_TICKS = """
query Ticks($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) { ... on Sensor { sensorState { ticks(limit: 50) {
    timestamp endTimestamp status requestedAssetMaterializationCount
  } } } }
}
"""


@dataclass(frozen=True)
class Running:
    """A running Boots. `settings` are those of its supervisor."""

    settings: Settings
    local: Local
    outside: Outside

    @contextmanager
    def visitor(self, slug: str) -> Iterator[Visitor]:
        """An admin of an organisation, signed in at the pages."""
        visitor = Visitor(self.local.web)
        try:
            assert visitor.sign_in(self.admin(slug)) == slug
            yield visitor
        finally:
            visitor.close()

    def admin(self, slug: str) -> str:
        """The address of an organisation's admin."""
        world = self.outside.control("GET", "world")["organizations"]
        users = next(each["users"] for each in world if each["slug"] == slug)
        return str(next(user["email"] for user in users if user["role"] == "admin"))

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """What the owner sees, or does."""
        with psycopg.connect(self.local.databases.owner, autocommit=True, row_factory=psycopg.rows.dict_row) as owner:
            cursor = owner.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def documents(self, slug: str) -> dict[str, dict[str, dict[str, Any]]]:
        """What is kept of an organisation and lives: {stream: {id: its title and hashes}}."""
        kept: dict[str, dict[str, dict[str, Any]]] = {}
        for row in self.rows(
            """select d.document_type, d.external_id, d.title, d.content_hash, d.payload_hash
                 from source_documents d join organizations o on o.id = d.org_id
                where o.slug = %s and d.deleted_at is null""",
            slug,
        ):
            kept.setdefault(row.pop("document_type"), {})[row.pop("external_id")] = row
        return kept

    def vectors(self, slug: str) -> list[dict[str, Any]]:
        """The vector of each document that lives."""
        return self.rows(
            """select d.id, d.embedding::text, d.embedding_model
                 from source_documents d join organizations o on o.id = d.org_id
                where o.slug = %s and d.deleted_at is null order by d.id""",
            slug,
        )

    def holds_the_truth(self, slug: str) -> bool:
        """Whether exactly the records are kept that the provider has now."""
        truth = self.outside.truth(slug)
        return {stream: set(kept) for stream, kept in self.documents(slug).items()} == {
            stream: set(records) for stream, records in truth.items()
        }

    def jobs(self, slug: str) -> list[dict[str, Any]]:
        """The syncs of an organisation, oldest first."""
        return self.rows(
            """select j.* from ingestion_jobs j join organizations o on o.id = j.org_id
                where o.slug = %s order by j.created_at""",
            slug,
        )

    def job(self, job_id: str) -> dict[str, Any]:
        """One sync."""
        (job,) = self.rows("select * from ingestion_jobs where id = %s", job_id)
        return job

    def finished_job(self, job_id: str, seconds: float = 180) -> dict[str, Any]:
        """A sync, waited for until its run has ended too."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            if job["status"] in LIVE or not self.run(job["run_id"])["endTime"]:
                return None
            return job

        return wait_for(look, seconds, f"The end of the sync {job_id}")

    def connect(self, slug: str) -> dict[str, Any]:
        """Connect an organisation's HubSpot and wait for its first sync; returns the job."""
        with self.visitor(slug) as visitor:
            visitor.connect("hubspot", slug)
        return self.finished_job(self.jobs(slug)[-1]["id"])

    def runs(self, **wanted: Any) -> list[dict[str, Any]]:
        """Dagster's runs, newest first, their tags as a dictionary."""
        found = self.graphql(_RUNS, filter=wanted or None)["runsOrError"]["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def run(self, run_id: str) -> dict[str, Any]:
        """One run."""
        (run,) = self.runs(runIds=[run_id])
        return run

    def ended_run(self, run_id: str, seconds: float = 120) -> dict[str, Any]:
        """A run, waited for."""

        def look() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["endTime"] else None

        return wait_for(look, seconds, f"The end of the run {run_id}")

    def net_ticks(self, since: float) -> list[dict[str, Any]]:
        """The complete ticks of the automation net that began after a moment."""
        told = self.graphql(_TICKS, sensor={**CODE_LOCATION, "sensorName": "changes_net"})
        ticks = told["sensorOrError"]["sensorState"]["ticks"]
        return [tick for tick in ticks if tick["timestamp"] > since and tick["endTimestamp"]]

    def everything_written(self) -> Iterator[tuple[str, bytes]]:
        """What all processes have written: their files, and both databases as a dump has them."""
        for path in sorted(self.settings.boots_home.rglob("*")):
            if path.is_file() and "postgres" not in path.parts and path.parent.name != "sandbox":
                yield str(path), path.read_bytes()
        (programs,) = self.rows("select setting from pg_config where name = 'BINDIR'")
        for url in (self.local.databases.owner, self.local.databases.dagster):
            dump = subprocess.run([f"{programs['setting']}/pg_dump", url], check=True, capture_output=True)
            yield url, dump.stdout

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask Dagster's webserver, as its UI does."""
        return graphql(self.local.dagster, query, **variables)


@pytest.fixture(scope="session")
def boots() -> Iterator[Running]:
    """Everything, with the sandbox's organisations in it and nothing connected."""
    provider_settings.cache_clear()
    # A test run that is told to end (a time limit, say) ends what it started, as the command does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with server_folder() as folder:
        settings = Settings(
            _env_file=None,
            boots_home=folder / ".boots",
            database_url=None,
            worker_database_url=None,
            web_port=free_port(),
            dagster_port=free_port(),
            code_server_port=free_port(),
            sandbox_port=free_port(),
            bridge_port=free_port(),
        )
        with everything(settings, lambda line: None, sandbox_size="small") as local:
            assert seed(local.databases.owner, local.sandbox) == [HARBOUR, MERIDIAN]
            yield Running(settings, local, Outside(local.sandbox, local.bridge))
    signal.signal(signal.SIGTERM, before)
