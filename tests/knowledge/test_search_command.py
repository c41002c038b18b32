"""`boots search` prints what people have written, and people write anything."""

import pytest
from click.testing import CliRunner

from boots_pipeline import cli
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.settings import Settings
from tests.conftest import Connected


@pytest.fixture
def search(connected: Connected, urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """The command, with something to find."""
    connected.sync()
    told = Settings(_env_file=None, worker_database_url=urls.worker)
    monkeypatch.setattr(cli, "settings", lambda: told)
    return CliRunner(env={"COLUMNS": "100"})


def test_square_brackets_are_text(search: CliRunner, connected: Connected) -> None:
    connected.owner.execute("update source_documents set title = 'Re: [/quote] [urgent] waiting room'")
    done = search.invoke(cli.main, ["search", "waiting room", "--org", connected.organisation.slug])
    assert done.exit_code == 0, done.output
    assert "[/quote] [urgent]" in done.output


@pytest.mark.parametrize("asked", [["", "--limit", "3"], ["   "], ["oak", "--limit", "0"], ["oak", "--limit", "-3"]])
def test_what_is_no_search_is_refused_in_words(search: CliRunner, connected: Connected, asked: list[str]) -> None:
    done = search.invoke(cli.main, ["search", *asked, "--org", connected.organisation.slug])
    assert done.exit_code == 2
    assert "Error: " in done.output


def test_only_what_was_asked_for_is_synced(search: CliRunner, connected: Connected) -> None:
    done = search.invoke(cli.main, ["sync", "--org", connected.organisation.slug, "--provider", "nosuch"])
    assert (done.exit_code, "There is no provider 'nosuch'" in done.output) == (1, True)
