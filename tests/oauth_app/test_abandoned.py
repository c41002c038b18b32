"""An attempt to connect that nobody finishes is over: in the table, and on the card before the table says so."""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.resources.attempts import NEVER_FINISHED, Attempts
from boots_pipeline.resources.database import Database
from boots_pipeline.sensors.abandoned_attempts import abandoned_attempts
from tests.conftest import Organisation
from tests.oauth_app.conftest import OUTSIDE, Browser, consent, make_source
from tests.oauth_app.test_integrations import card

Source = Callable[[], dict[str, Any] | None]


@pytest.fixture
def let_pass(owner: psycopg.Connection) -> Callable[[str], None]:
    """Let time pass for every connection and attempt that there is."""

    def let_pass(interval: str) -> None:
        for table, column in (
            ("connected_sources", "created_at"),
            ("private.oauth_states", "created_at"),
            ("private.oauth_states", "expires_at"),
            ("private.oauth_states", "consumed_at"),
        ):
            moved = sql.SQL("update {table} set {column} = {column} - {by}::interval")
            owner.execute(
                moved.format(
                    table=sql.Identifier(*table.split(".")), column=sql.Identifier(column), by=sql.Literal(interval)
                )
            )

    return let_pass


@pytest.fixture
def tidy(database: Database) -> Callable[[], str]:
    """The sensor's tick; what it says."""
    return lambda: str(abandoned_attempts(attempts=Attempts(database)).skip_message).partition(" ")[0]


def test_it_ends_and_says_so_and_can_be_begun_again(
    admin: Browser, source: Source, tidy: Callable[[], str], let_pass: Callable[[str], None]
) -> None:
    admin.start()
    assert tidy() == "0"
    let_pass("10 minutes 50 seconds")
    before = card(admin)
    assert tidy() == "0", "a callback may have come at the last moment"
    let_pass("20 seconds")
    assert tidy() == "1"
    assert (source()["status"], source()["status_message"]) == ("error", NEVER_FINISHED)
    assert card(admin) == before
    assert (before["state"], before["message"], before["can"]) == ("not_connected", NEVER_FINISHED, ["connect"])
    assert tidy() == "0"
    assert card(admin) == before
    assert "connected=hubspot" in admin.connect().headers["Location"]
    assert (source()["status"], source()["status_message"]) == ("active", None)


def test_one_that_was_begun_anew_is_not_ended(
    admin: Browser, source: Source, tidy: Callable[[], str], let_pass: Callable[[str], None]
) -> None:
    admin.start()
    let_pass("12 minutes")
    path = consent(admin.start())
    assert (tidy(), source()["status"], card(admin)["state"]) == ("0", "pending", "waiting")
    admin.get(path)
    assert source()["status"] == "active"
    let_pass("1 day")
    assert (tidy(), source()["status"]) == ("0", "active")


def test_one_that_begins_at_that_moment_is_left_alone(
    admin: Browser, source: Source, tidy: Callable[[], str], let_pass: Callable[[str], None], urls: DatabaseUrls,
    organisation: Organisation,
) -> None:  # fmt: skip
    admin.start()
    let_pass("12 minutes")
    with psycopg.connect(urls.owner) as beginning:
        beginning.execute(
            """insert into private.oauth_states (state_hash, org_id, source_id, user_id, provider, browser_hash,
                                                 verifier, issuer, redirect_uri, expires_at)
               select 'state', org_id, id, connected_by, provider, '', '', '', '', now() + interval '10 minutes'
                 from connected_sources"""
        )
        assert tidy() == "0"
        beginning.commit()
        assert tidy() == "0"
    assert source()["status"] == "pending"


def test_a_callback_that_is_late_still_connects(
    admin: Browser, source: Source, tidy: Callable[[], str], let_pass: Callable[[str], None], sandbox: str
) -> None:
    path, answers = consent(admin.start()), []
    slow = {"provider": "hubspot", "tool": "token", "kind": "slow", "seconds": 1}
    OUTSIDE.post(f"{sandbox}/_control/faults", json={"faults": [slow]})
    coming_back = threading.Thread(target=lambda: answers.append(admin.get(path)))
    coming_back.start()
    while not [c for c in OUTSIDE.get(f"{sandbox}/_control/calls").json() if c.get("endpoint") == "token"]:
        time.sleep(0.02)
    let_pass("12 minutes")
    assert (tidy(), source()["status"]) == ("1", "error")
    coming_back.join()
    assert "connected=hubspot" in answers[0].headers["Location"]
    assert (source()["status"], source()["status_message"]) == ("active", None)


@pytest.mark.parametrize("status", ["active", "needs_reauth", "error", "revoked"])
def test_what_waits_for_nobody_stays_as_it_is(
    admin: Browser, owner: psycopg.Connection, organisation: Organisation, source: Source, tidy: Callable[[], str],
    let_pass: Callable[[str], None], status: str,
) -> None:  # fmt: skip
    make_source(owner, organisation.id, status)
    admin.start()
    let_pass("12 minutes")
    before = source()
    assert (tidy(), source()) == ("0", before)


def test_a_row_that_nobody_ever_began_to_connect_ends_too(
    owner: psycopg.Connection, organisation: Organisation, source: Source, tidy: Callable[[], str],
    let_pass: Callable[[str], None],
) -> None:  # fmt: skip
    make_source(owner, organisation.id, "pending")  # members may put one in, through Supabase's API
    assert tidy() == "0"
    let_pass("12 minutes")
    assert (tidy(), source()["status"]) == ("1", "error")
