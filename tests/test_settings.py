"""What may be set: the four URLs of another Postgres together or not at all, and all of it in .env.example."""

import re
from pathlib import Path

import pytest

from boots_pipeline.errors import ConfigError
from boots_pipeline.local.supervisor import databases
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.settings import ProviderSettings, Settings
from mcp_bridge.__main__ import main as bridge

EXAMPLE = Path(__file__).parent.parent / ".env.example"


def test_env_example_names_every_variable_that_is_read_and_no_other() -> None:
    ours = {name.upper() for name in Settings.model_fields} | {str(option.envvar) for option in bridge.params}
    clients = {f"{each.env_prefix}CLIENT_{part}" for each in PROVIDERS.values() for part in ("ID", "SECRET")}
    may = {f"{each.env_prefix}{name.upper()}" for each in PROVIDERS.values() for name in ProviderSettings.model_fields}
    told = set(re.findall(r"^#([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    assert ours | clients <= told
    assert told <= ours | may


@pytest.mark.parametrize(
    ("told", "unset"),
    [
        ({"database_url"}, "WORKER_DATABASE_URL, WEB_DATABASE_URL, DAGSTER_PG_URL"),
        ({"worker_database_url", "web_database_url", "dagster_pg_url"}, "DATABASE_URL"),
    ],
)
def test_half_of_another_postgres_is_refused_and_what_is_missing_named(
    tmp_path: Path, told: set[str], unset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "WORKER_DATABASE_URL", "WEB_DATABASE_URL", "DAGSTER_PG_URL"):
        monkeypatch.delenv(name, raising=False)  # other tests have set some
    half = Settings(_env_file=None, boots_home=tmp_path, **dict.fromkeys(told, "postgresql://me:hunter2@127.0.0.1:1/x"))
    with (
        pytest.raises(ConfigError, match=f"or by none of them; not set: {unset}\\. See README") as refused,
        databases(half, print),
    ):
        pass
    assert "hunter2" not in str(refused.value)
