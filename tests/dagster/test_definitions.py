"""The assembly: what there is, drawn as text and compared, so that nothing changes unnoticed."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.telemetry_upload import upload_logs

from boots_pipeline.errors import ConfigError
from boots_pipeline.settings import Settings

PICTURE = Path(__file__).parent / "asset_graph.txt"
ROOT = Path(__file__).parents[2]


def drawn(definitions: dg.Definitions) -> str:
    graph = definitions.resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.to_user_string()):
        node = graph.get(key)
        condition = node.automation_condition.get_label() if node.automation_condition else "-"
        lines += [
            key.to_user_string(),
            f"  group {node.group_name}, kinds {', '.join(sorted(node.kinds))}, condition {condition}",
            f"  partitions {node.partitions_def.name}",
            f"  from {', '.join(sorted(parent.to_user_string() for parent in node.parent_keys)) or 'outside'}",
            *(f"  check {check.name}" for check in sorted(node.check_keys, key=lambda check: check.name)),
        ]
    repository = definitions.get_repository_def()
    lines += [f"job {job.name}" for job in sorted(repository.get_all_jobs(), key=lambda job: job.name)]
    lines += [f"sensor {each.name} {each.default_status.value}" for each in repository.sensor_defs]
    lines += [
        f"schedule {each.name} {each.cron_schedule} {each.default_status.value}" for each in repository.schedule_defs
    ]
    return "\n".join(lines) + "\n"


def test_the_graph_is_the_one_in_the_picture(definitions: dg.Definitions) -> None:
    assert drawn(definitions) == PICTURE.read_text()


def test_every_asset_is_described(definitions: dg.Definitions) -> None:
    for node in definitions.resolve_asset_graph().asset_nodes:
        assert node.description
        assert "dagster/column_schema" in node.metadata


def test_no_key_no_start() -> None:
    from boots_pipeline.definitions import build_definitions

    with pytest.raises(ConfigError, match="No vault key"):
        build_definitions(Settings(worker_database_url="postgresql://x", vault_keys=None, vault_key_file=None))
    with pytest.raises(ConfigError, match="WORKER_DATABASE_URL"):
        build_definitions(Settings(worker_database_url=None))


def test_dagster_validates_the_definitions(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-m", "boots_pipeline.definitions"],
        cwd=tmp_path,  # not the checkout, whose dagster.yaml names a database that validating does not need
        env=os.environ | {"PYTHONPATH": str(ROOT), "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_dagster_makes_in_its_home_is_not_ours_to_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BUILDKITE", "TF_BUILD", "DAGSTER_DISABLE_TELEMETRY"):  # with one of them it makes none
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))  # the checkout, for `boots up`
    upload_logs(
        threading.Event(), raise_errors=True
    )  # daemon and UI do, and then see that telemetry has nothing to say
    made = {f"/{folder.name}/" for folder in tmp_path.iterdir()}
    assert made
    assert made <= set((ROOT / ".gitignore").read_text().splitlines())
