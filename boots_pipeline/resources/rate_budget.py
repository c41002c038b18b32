"""Rate limits as budgets in Postgres, shared by every process that works with one OAuth app and account.

A budget is a row that says up to when the account has been spent (the generic cell rate algorithm): a call costs one
statement, whether it may go at once or must wait.
"""

import asyncio
import hashlib

from boots_pipeline.errors import RateLimited
from boots_pipeline.providers.base import Budget, Provider
from boots_pipeline.resources.database import Database
from boots_pipeline.settings import provider_settings


class Meter:
    """Charges calls to the budgets of one account."""

    def __init__(self, database: Database, provider: Provider, account: str, longest_wait: float) -> None:
        self._database = database
        self._provider = provider
        self._account = account
        self._longest_wait = longest_wait

    async def charge(self, tool: str) -> None:
        """Return when a call may go. Raises RateLimited, charging nothing, when that is longer than may be waited."""
        budget = self._provider.budget(tool)
        if budget is None:
            return
        wait = await asyncio.to_thread(self._spend, budget)
        if wait > self._longest_wait:
            raise RateLimited(f"The limit of {self._provider.title} is used up for now.", wait)
        if wait > 0:
            await asyncio.sleep(wait)

    async def exhaust(self, tool: str, seconds: float) -> None:
        """The provider says that the account has been overdrawn: nobody else need ask before then."""
        budget = self._provider.budget(tool)
        if budget is not None:
            await asyncio.to_thread(self._hold, budget, seconds)

    def _spend(self, budget: Budget) -> float:
        with self._database.connection() as connection:
            row = connection.execute(
                "select private.spend_budget(%s, %s, %s, %s, %s) as wait",
                [self._key(budget), budget.cost, budget.units, budget.seconds, self._longest_wait],
            ).fetchone()
        assert row is not None
        return float(row["wait"])

    def _hold(self, budget: Budget, seconds: float) -> None:
        with self._database.connection() as connection:
            connection.execute("select private.hold_budget(%s, %s, %s)", [self._key(budget), budget.seconds, seconds])

    def _key(self, budget: Budget) -> bytes:
        # Hashed: the table is every organisation's, and whose account it is is nobody else's business.
        app = provider_settings(self._provider.env_prefix).client_id or ""
        return hashlib.sha256("\0".join((self._provider.name, app, self._account, budget.name)).encode()).digest()
