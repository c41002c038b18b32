"""The net under the syncs: what changed in another way is repaired, and a sync's own work is not taken for news."""

from typing import Any

from boots_pipeline.local.visitor import wait_for
from boots_pipeline.sensors.ingestion_queue import SYNC_TAG
from tests.local.conftest import Disturbed
from tests.local.running import HARBOUR, MERIDIAN, Running


def test_the_net_repairs_what_changed_elsewhere_and_nothing_else_ran(boots: Running, net: Disturbed) -> None:
    def look() -> list[dict[str, Any]] | None:
        """The runs that nobody asked for, oldest first: a sync's own work must not look like news to the net."""
        asked_for = {job["run_id"] for job in boots.jobs(HARBOUR)}
        runs = [
            run
            for run in boots.runs()
            if run["runId"] not in asked_for and run["jobName"] != "proposal" and SYNC_TAG not in run["tags"]
        ]
        strangers = [run for run in runs if run["tags"].get("dagster/partition") != MERIDIAN]
        assert not strangers, "\n".join(_told(run) for run in [*strangers, *boots.runs()])
        return runs[::-1] if len(runs) >= 2 and all(run["endTime"] for run in runs) else None

    runs = wait_for(look, 150, "The runs of the net")
    assert [(run["status"], run["assetSelection"]) for run in runs] == [
        ("SUCCESS", [{"path": ["embeddings"]}]),
        ("SUCCESS", [{"path": ["client_intelligence"]}]),
    ]
    assert all(run["startTime"] > net.at for run in runs)
    assert boots.vectors(MERIDIAN) == net.vectors
    # And the sensor started one run for each job, and another where one was killed or terminated: not one more.
    jobs = [job for slug in (HARBOUR, MERIDIAN) for job in boots.jobs(slug) if job["reason"] != "by hand"]
    syncs = [run for run in boots.runs() if SYNC_TAG in run["tags"]]
    assert len(syncs) == len(jobs) + len([run for run in syncs if run["status"] in ("FAILURE", "CANCELED")])


def _told(run: dict[str, Any]) -> str:
    """A run on one line, for whoever has to find out why it was there."""
    assets = [each["path"] for each in run["assetSelection"] or ()]
    partition, began, ended = run["tags"].get("dagster/partition"), run["startTime"], run["endTime"]
    return f"{run['runId'][:8]} {run['jobName']} {run['status']} {partition} {assets} {began} to {ended}"
