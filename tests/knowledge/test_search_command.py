"""The commands that show what is known: at 80 columns, whatever people have written."""

import re

import pytest
from click.testing import CliRunner

from boots_pipeline import cli
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.resources.database import Database
from boots_pipeline.settings import Settings
from tests.conftest import Connected


@pytest.fixture
def search(connected: Connected, urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """The command, with something to find."""
    connected.sync()
    told = Settings(_env_file=None, worker_database_url=urls.worker)
    monkeypatch.setattr(cli, "settings", lambda: told)
    return CliRunner(env={"COLUMNS": "80"})


def test_square_brackets_are_text(search: CliRunner, connected: Connected) -> None:
    connected.owner.execute("update source_documents set title = 'Re: [/quote] [urgent] waiting room'")
    done = search.invoke(cli.main, ["search", "waiting room", "--org", connected.organisation.slug])
    assert done.exit_code == 0, done.output
    assert "[/quote] [urgent]" in done.output


def test_no_text_gives_orders_to_the_terminal(search: CliRunner, connected: Connected) -> None:
    connected.owner.execute(
        r"update source_documents set title = E'Quote \x1b[8m\x1b]0;mine', content = E'A \u009b31mB'"
    )
    done = search.invoke(cli.main, ["search", "waiting room", "--org", connected.organisation.slug], color=True)
    _, documents = done.output.split("Documents, best first")
    assert "Quote" in documents
    assert not {"\x1b", "\u009b"} & set(documents)


def test_documents_are_in_the_order_of_the_number_that_is_shown(search: CliRunner, connected: Connected) -> None:
    asked = ["search", "waiting room", "--org", connected.organisation.slug, "--limit", "9"]
    _, documents = search.invoke(cli.main, asked).output.split("Documents, best first")
    numbers = re.findall(r"^ *(\d\.\d\d) ", documents, re.MULTILINE)
    assert len(numbers) == 9
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) > 3
    assert max(len(line) for line in documents.splitlines()) <= 80
    assert len(documents.splitlines()) <= 4 * 9  # a title and an excerpt each, and no more


def test_status_is_a_line_a_connection_at_80_columns(search: CliRunner, connected: Connected) -> None:
    connected.owner.execute("update connected_sources set status_message = '[/x] 3 items could not be kept.'")
    lines = [line.split() for line in search.invoke(cli.main, ["status"]).output.splitlines()]
    assert lines[0][0] == f"{connected.organisation.slug},"
    assert [lines[2][at] for at in (0, 1, 4)] == ["hubspot", "120", "completed"]
    assert " ".join(lines[2][5:] + lines[3]) == "[/x] 3 items could not be kept."


@pytest.mark.parametrize("asked", [["", "--limit", "3"], ["   "], ["oak", "--limit", "0"], ["oak", "--limit", "-3"]])
def test_what_is_no_search_is_refused_in_words(search: CliRunner, connected: Connected, asked: list[str]) -> None:
    done = search.invoke(cli.main, ["search", *asked, "--org", connected.organisation.slug])
    assert done.exit_code == 2
    assert "Error: " in done.output


def test_only_what_was_asked_for_is_synced(search: CliRunner, connected: Connected) -> None:
    done = search.invoke(cli.main, ["sync", "--org", connected.organisation.slug, "--provider", "nosuch"])
    assert (done.exit_code, "There is no provider 'nosuch'" in done.output) == (1, True)
    connected.owner.execute("insert into connected_sources (org_id, provider) select id, 'gmail' from organizations")
    done = search.invoke(cli.main, ["sync", "--org", connected.organisation.slug])
    assert (done.exit_code, "hubspot: a delta sync is in the queue." in done.output) == (0, True)
    assert "gmail: It is not connected" in done.output
    done = search.invoke(cli.main, ["sync", "--org", connected.organisation.slug, "--provider", "gmail"])
    assert (done.exit_code, "Nothing was asked for" in done.output) == (1, True)


def test_a_sync_that_was_put_off_is_not_waited_for(
    search: CliRunner,
    connected: Connected,
    database: Database,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected.queue.enqueue(connected.organisation.id, connected.id, "delta", "test")
    connected.owner.execute(
        """update ingestion_jobs set retry_after = now() + interval '8 min', error_message = 'HubSpot asks for [8] min.'
            where status = 'queued'"""
    )
    monkeypatch.setattr(cli.time, "sleep", lambda seconds: pytest.fail("it is waited for"))
    cli._watch(database, connected.organisation.id, {connected.id: "hubspot"})
    assert "hubspot: put off, 0 new, 0 changed, 0 gone. HubSpot asks for [8] min." in capsys.readouterr().out
    # And a second terminal says why it waits.
    assert "HubSpot asks for [8] min." in search.invoke(cli.main, ["status"]).output


@pytest.mark.parametrize(
    ("status", "code"), [("completed", 0), ("partial", 0), ("failed", 1), ("dead", 1), ("cancelled", 1)]
)
def test_a_script_learns_from_the_exit_code_how_it_ended(
    search: CliRunner, connected: Connected, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    def end(seconds: float) -> None:
        connected.owner.execute(
            "update ingestion_jobs set status = %s, error_message = 'As told.' where status = 'queued'", [status]
        )

    monkeypatch.setattr(cli, "attach", lambda settings: True)  # Boots runs here
    monkeypatch.setattr(cli.time, "sleep", end)
    done = search.invoke(cli.main, ["sync", "--org", connected.organisation.slug])
    assert f"hubspot: {status}, 0 new, 0 changed, 0 gone. As told." in done.output
    assert done.exit_code == code


def test_a_connection_that_goes_meanwhile_is_not_waited_for(
    connected: Connected,
    database: Database,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected.queue.enqueue(connected.organisation.id, connected.id, "delta", "test")
    waits = iter([lambda: connected.owner.execute("delete from connected_sources")])
    monkeypatch.setattr(cli.time, "sleep", lambda seconds: next(waits, lambda: pytest.fail("it is waited for"))())
    assert cli._watch(database, connected.organisation.id, {connected.id: "hubspot"}) == {"cancelled"}
    assert next(waits, None) is None, "it was waited for while it was there"
    assert "hubspot: the connection is gone, and its sync with it." in capsys.readouterr().out


def test_an_excerpt_begins_where_the_words_are(search: CliRunner, connected: Connected) -> None:
    connected.owner.execute(
        r"""update source_documents set content = E'From: a@b.example\nTo: c@d.example\n\nAbout the waiting room.'"""
    )
    done = search.invoke(cli.main, ["search", "waiting", "--org", connected.organisation.slug])
    assert "About the waiting room." in done.output
    assert "a@b.example" not in done.output
