"""The pipeline as it runs: the real daemon, code server, pages and sandbox, from a click to the end of the last run.

The tests share one Boots, and stand in the order in which a first week would go.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import pytest

from boots_pipeline.local.visitor import wait_for
from tests.local.commands import Commands
from tests.local.running import CODE_LOCATION, HARBOUR, Running

ASSETS = [["source_documents", "hubspot"], ["embeddings"], ["client_intelligence"]]

_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
_CHECKS = """
query Checks($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { assetChecksOrError { ... on AssetChecks { checks {
    name executionForLatestMaterialization { status runId }
  } } } } }
}
"""
_EVALUATE = """
mutation Evaluate($schedule: ScheduleSelector!, $now: Float!) {
  scheduleDryRun(selectorData: $schedule, timestamp: $now) {
    __typename ... on DryRunInstigationTick { evaluationResult { skipReason error { message } } }
  }
}
"""
_TERMINATE = "mutation Terminate($run: String!) { terminateRun(runId: $run) { __typename } }"
_PID = """
query Pid($run: ID!) {
  logsForRun(runId: $run) { ... on EventConnection { events {
    ... on EngineEvent { metadataEntries { label ... on TextMetadataEntry { text } } }
  } } }
}
"""


def test_a_connection_becomes_documents_clients_and_green_checks(boots: Running, first_sync: dict[str, Any]) -> None:
    assert (first_sync["status"], first_sync["kind"]) == ("completed", "full")
    assert boots.holds_the_truth(HARBOUR)
    run = boots.run(first_sync["run_id"])
    assert run["status"] == "SUCCESS"
    assert run["tags"]["dagster/partition"] == HARBOUR
    (clients,) = boots.rows(
        """select count(*) as n from client_intelligence c join organizations o on o.id = c.org_id
            where o.slug = %s and c.retired_at is null""",
        HARBOUR,
    )
    assert clients["n"] == len(boots.outside.truth(HARBOUR)["companies"])
    checks = {}
    for path in ASSETS:
        told = boots.graphql(_CHECKS, key={"path": path})["assetNodeOrError"]["assetChecksOrError"]["checks"]
        checks.update({check["name"]: check["executionForLatestMaterialization"] for check in told})
    assert checks.keys() == {
        "source_is_in_sync", "every_document_is_embedded", "every_fact_has_a_living_source", "every_job_ends",
    }  # fmt: skip
    assert {each and each["status"] for each in checks.values()} == {"SUCCEEDED"}


@pytest.fixture(scope="session")
def asked(boots: Running, first_sync: dict[str, Any]) -> list[str]:
    """Three proposals, the first in the hands of a run that died. Requested early: they are written meanwhile."""
    with boots.visitor(HARBOUR) as visitor:
        company = next(iter(boots.outside.truth(HARBOUR)["companies"].values()))["properties"]["name"]
        brief = f"A proposal for {company}: say what we know of them and what to do next."
        died = visitor.ask_for_proposal(f"{company}, whose run died", brief)
        boots.rows("select claim_next_job('a run that died', 'proposal')")
        boots.rows("update jobs set lease_until = now() - interval '1 s' where proposal_id = %s", died)
        return [died, *(visitor.ask_for_proposal(f"{company} {number}", brief) for number in (1, 2))]


@pytest.mark.usefixtures("asked")
def test_materialize_in_the_ui_makes_its_own_job(boots: Running, first_sync: dict[str, Any]) -> None:
    before = boots.jobs(HARBOUR)
    launched = boots.graphql(
        _LAUNCH,
        params={
            "mode": "default",
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": HARBOUR}]},
            "selector": {
                **CODE_LOCATION,
                "pipelineName": "__ASSET_JOB",
                "assetSelection": [{"path": path} for path in ASSETS],
                "assetCheckSelection": [],
            },
        },
    )["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run = boots.ended_run(launched["run"]["runId"])
    assert run["status"] == "SUCCESS"
    (job,) = [job for job in boots.jobs(HARBOUR) if job not in before]
    assert (job["reason"], job["status"], job["kind"]) == ("by hand", "completed", "delta")
    assert job["run_id"] == run["runId"]


def test_a_day_later_a_delta_brings_what_changed(boots: Running, first_sync: dict[str, Any]) -> None:
    before = boots.documents(HARBOUR)
    boots.outside.control("POST", "advance", days=1, seed=3)
    with boots.visitor(HARBOUR) as visitor:
        job = boots.finished_job(visitor.ask_for_sync("hubspot", "delta"))
    assert (job["status"], job["kind"]) == ("completed", "delta")
    after, truth = boots.documents(HARBOUR), boots.outside.truth(HARBOUR)
    appeared = {(stream, each) for stream in truth for each in truth[stream].keys() - before[stream].keys()}
    assert appeared
    assert appeared == {(stream, each) for stream in after for each in after[stream].keys() - before[stream].keys()}
    assert job["documents_added"] == len(appeared)
    changed = sum(
        after[stream][each]["payload_hash"] != kept["payload_hash"]
        for stream in before
        for each, kept in before[stream].items()
        if each in after[stream]
    )
    assert job["documents_changed"] == changed > 0


def test_proposals_are_written_two_at_once_and_after_a_run_that_died(boots: Running, asked: list[str]) -> None:
    with boots.visitor(HARBOUR) as visitor:

        def look() -> list[dict[str, Any]] | None:
            proposals = [visitor.proposal(each) for each in asked]
            assert "failed" not in {each["status"] for each in proposals}, proposals
            return proposals if {each["status"] for each in proposals} == {"ready"} else None

        for proposal in wait_for(look, 180, "The proposals"):
            assert any(section["informed_by"] for section in proposal["sections"])
    jobs = boots.rows("select status, attempts, proposal_id::text from jobs where proposal_id = any(%s::uuid[])", asked)
    assert {job["proposal_id"]: (job["status"], job["attempts"]) for job in jobs} == {
        asked[0]: ("completed", 2), asked[1]: ("completed", 1), asked[2]: ("completed", 1),
    }  # fmt: skip


@pytest.mark.usefixtures("net")
def test_a_sigkill_in_the_middle_of_a_pull_costs_nothing(
    boots: Running, beside: Commands, first_sync: dict[str, Any]
) -> None:
    boots.outside.control("POST", "advance", days=2, seed=4)
    # The companies come, the contacts do not: there is a middle, and it waits for us.
    boots.outside.fault(tool="search_crm_objects", match={"objectType": "contacts"}, kind="slow", seconds=60)
    with boots.visitor(HARBOUR) as visitor:
        job_id = visitor.ask_for_sync("hubspot", "full")

        def half_way() -> dict[str, Any] | None:
            job = boots.job(job_id)
            return job if job["checkpoint"].get("companies", {}).get("verdict") else None

        job = wait_for(half_way, 60, "The middle of the pull")
        worker = psutil.Process(pid_of(boots, job["run_id"]))
        assert is_fork_server(worker.parent())
        worker.kill()
        assert boots.ended_run(job["run_id"])["status"] == "FAILURE"
        assert boots.job(job_id)["status"] == "running"
        boots.outside.control("DELETE", "faults")
        boots.rows("update ingestion_jobs set lease_until = now() - interval '1 s' where id = %s", job_id)
        boots.rows("update pgmq.q_ingestion_queue set vt = now() where msg_id = %s", job["message_id"])

        after = boots.finished_job(job_id)
        assert after["status"] == "completed"
        assert after["run_id"] != job["run_id"]  # another run went on with it
        assert boots.holds_the_truth(HARBOUR)
        # Nothing was counted twice: what had been kept before the kill was not asked for again.
        assert after["items_seen"] == sum(len(records) for records in boots.outside.truth(HARBOUR).values())
        archived = boots.rows("select * from pgmq.a_ingestion_queue where msg_id = %s", job["message_id"])
        assert len(archived) == 1

    # An undisturbed sync of everything finds nothing to do: the documents are what it would have kept.
    undisturbed = beside.run("sync", "--org", HARBOUR, "--full")
    assert undisturbed.code == 0
    assert undisturbed.said.splitlines()[-1].strip() == "hubspot: completed, 0 new, 0 changed, 0 gone."
    job = boots.finished_job(boots.jobs(HARBOUR)[-1]["id"])
    assert (job["reason"], job["kind"]) == ("asked for at the command line", "full")


def test_a_run_that_is_terminated_in_the_ui_gives_its_sync_to_the_next(
    boots: Running, first_sync: dict[str, Any]
) -> None:
    boots.outside.fault(tool="search_crm_objects", kind="slow", seconds=60)
    with boots.visitor(HARBOUR) as visitor:
        job_id = visitor.ask_for_sync("hubspot", "delta")
        wait_for(lambda: boots.job(job_id)["checkpoint"] or None, 60, "The first stream")
        run_id = boots.job(job_id)["run_id"]
        worker = psutil.Process(pid_of(boots, run_id))
        assert boots.graphql(_TERMINATE, run=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"
        worker.wait(10)
        boots.outside.control("DELETE", "faults")
        assert boots.ended_run(run_id, 10)["status"] == "CANCELED"
        job = boots.finished_job(job_id)
    assert (job["status"], job["attempt"]) == ("completed", 0)
    assert job["run_id"] != run_id


def test_what_runs_are_forked_from_has_read_the_code_and_opened_nothing(
    boots: Running, first_sync: dict[str, Any]
) -> None:
    template = forked_from()
    mapped = (Path(each.path).parts for each in template.memory_maps())
    read = {parts[parts.index("site-packages") + 1] for parts in mapped if "site-packages" in parts}
    # The packages with compiled parts among what a run needs: for our tables, Dagster's, MCP, and the offline model.
    assert {"psycopg_binary", "sqlalchemy", "watchfiles", "tokenizers"} <= read
    assert template.num_threads() == 1
    assert template.net_connections("inet") == []

    # A stop of all processes tells it, too: it stays until the runs have told it how they ended.
    template.terminate()
    # Killed, it takes no run with it, and the next run brings another.
    boots.outside.fault(tool="search_crm_objects", kind="slow", seconds=5)
    with boots.visitor(HARBOUR) as visitor:
        first = visitor.ask_for_sync("hubspot", "delta")
        run_id = wait_for(lambda: boots.job(first)["run_id"], 60, "The sync")
        assert forked_from() == template
        template.kill()
        time.sleep(1.5)  # the code server looks every half second whether its runs are alive
        assert boots.run(run_id)["status"] == "STARTED"
        boots.outside.control("DELETE", "faults")
        assert boots.finished_job(first)["status"] == "completed"
        assert boots.ended_run(run_id, 30)["status"] == "SUCCESS"
        assert boots.finished_job(visitor.ask_for_sync("hubspot", "delta"))["status"] == "completed"
    assert forked_from() != template


def test_the_night_puts_what_is_due_into_the_queue_once(boots: Running, first_sync: dict[str, Any]) -> None:
    before = boots.jobs(HARBOUR)
    due = "org_id = (select id from organizations where slug = %s) and rhythm = 'delta'"
    boots.rows(f"update sync_schedules set next_due_at = now() - interval '1 hour' where {due}", HARBOUR)
    for _ in range(2):
        schedule = {**CODE_LOCATION, "scheduleName": "nightly_delta"}
        told = boots.graphql(_EVALUATE, schedule=schedule, now=time.time())["scheduleDryRun"]
        assert told["__typename"] == "DryRunInstigationTick"
        assert "were due" in told["evaluationResult"]["skipReason"], told
    (job,) = [job for job in boots.jobs(HARBOUR) if job["id"] not in {each["id"] for each in before}]
    assert (job["reason"], job["kind"]) == ("nightly", "delta")
    (next_due,) = boots.rows(
        f"select next_due_at, (select time_zone from organizations where slug = %s) as zone "
        f"from sync_schedules where {due}",
        HARBOUR,
        HARBOUR,
    )
    now = datetime.now(UTC)
    assert now < next_due["next_due_at"] < now + timedelta(hours=25)
    assert 1 <= next_due["next_due_at"].astimezone(ZoneInfo(next_due["zone"])).hour < 4
    assert boots.finished_job(job["id"])["status"] == "completed"


def test_no_code_and_no_token_is_written_anywhere(boots: Running, first_sync: dict[str, Any]) -> None:
    # After everything above: connecting, syncs, faults, a kill, proposals, pages. Renewed tokens are among them.
    boots.rows("update connected_sources set token_expires_at = now() where status = 'active'")
    with boots.visitor(HARBOUR) as visitor:
        assert boots.finished_job(visitor.ask_for_sync("hubspot", "delta"))["status"] == "completed"
    secrets = boots.outside.control("GET", "secrets")
    assert len(secrets) >= 5, "a code, two access and two refresh tokens"
    written = list(boots.everything_written())
    found = [(secret[:6], where) for where, text in written for secret in secrets if secret.encode() in text]
    assert found == []
    kept = boots.documents(HARBOUR)["companies"]
    assert any(next(iter(kept)).encode() in text for where, text in written if where.startswith("postgres")), "a search"
    assert any(b"hubspot" in text for where, text in written if "/logs/" in where), "the logs are among it"


def forked_from() -> psutil.Process:
    """The process that runs are forked from. One that is under way bears the same command line, and is its child."""
    (template,) = (
        each
        for each in psutil.Process().children(recursive=True)
        if is_fork_server(each) and not is_fork_server(each.parent())
    )
    return template


def is_fork_server(process: psutil.Process | None) -> bool:
    """Whether a process is what the code server has its runs forked from."""
    try:
        return process is not None and "from multiprocessing.forkserver" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # It ended while we looked, as a run does; nobody may have reaped it yet.
        return False


def pid_of(boots: Running, run_id: str) -> int:
    """The process that works on a run, as its events tell."""

    def look() -> int | None:
        for event in boots.graphql(_PID, run=run_id)["logsForRun"]["events"]:
            for entry in event.get("metadataEntries", ()):
                if entry["label"] == "pid":
                    return int(entry["text"])
        return None

    return wait_for(look, 30, "The pid of the run")
