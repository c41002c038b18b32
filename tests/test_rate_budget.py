"""Rate limits are shared by everybody who works with an account, and by nobody else."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from boots_pipeline.errors import RateLimited
from boots_pipeline.providers.base import Budget
from boots_pipeline.providers.hubspot import HubSpot
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.rate_budget import Meter


class Limited(HubSpot):
    """Ten calls in two seconds; a dear one counts for five."""

    def budget(self, tool: str) -> Budget | None:
        return None if tool == "free" else Budget("calls", 10, 2, cost=5 if tool == "dear" else 1)


def meter(database: Database, account: str = "7", longest_wait: float = 30) -> Meter:
    return Meter(database, Limited(), account, longest_wait)


def seconds_for(meter: Meter, *tools: str) -> float:
    async def charge() -> None:
        for tool in tools:
            await meter.charge(tool)

    began = time.monotonic()
    asyncio.run(charge())
    return time.monotonic() - began


def test_a_budget_goes_at_once_and_what_is_more_waits(database: Database) -> None:
    began = time.monotonic()
    assert seconds_for(meter(database), *["call"] * 10) < 0.2
    # Counted from the first call: the budget fills up again while a busy machine does something else.
    assert seconds_for(meter(database), "call") < 0.5
    assert time.monotonic() - began > 0.2
    assert seconds_for(meter(database), "dear") < 1.3
    assert time.monotonic() - began > 1.2


def test_processes_share_one_budget_and_accounts_do_not(database: Database) -> None:
    with ThreadPoolExecutor(2) as workers:
        took = list(workers.map(lambda _: seconds_for(meter(database), *["call"] * 8), range(2)))
    assert 0.9 < max(took) < 1.8  # 16 calls: six too many, a fifth of a second each
    assert seconds_for(meter(database, "8"), *["call"] * 8) < 0.2
    assert seconds_for(meter(database), *["free"] * 50) < 0.1


def test_what_is_too_long_to_wait_is_not_charged(database: Database, owner: psycopg.Connection) -> None:
    short = meter(database, longest_wait=0.3)
    seconds_for(short, *["call"] * 10)
    before = owner.execute("select spent_until from private.rate_budgets").fetchone()
    with pytest.raises(RateLimited) as limited:
        seconds_for(short, "dear")
    assert 0.8 < limited.value.retry_after <= 1
    assert owner.execute("select spent_until from private.rate_budgets").fetchone() == before


def test_an_overdrawn_account_is_left_alone_by_everybody(database: Database) -> None:
    asyncio.run(meter(database).exhaust("call", 600))
    with pytest.raises(RateLimited) as limited:
        seconds_for(meter(database), "call")
    assert 595 < limited.value.retry_after <= 601
    assert seconds_for(meter(database, "8"), "call") < 0.1


def test_whose_account_it_is_stands_nowhere(database: Database, owner: psycopg.Connection) -> None:
    seconds_for(meter(database, "acct-4711"), "call")
    (row,) = owner.execute("select * from private.rate_budgets").fetchall()
    assert len(row["key"]) == 32
    with database.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select * from private.rate_budgets")
