"""The only way to a provider's MCP server: read-only tools, arguments by the live input schema, answers as the server's
profile reads them.

A session reads the server's tools first, and takes the profile that they call for; a tool that is not on its read-only
list is never called. Failures that usually pass are tried again here, and so are waits of up to 30 s; what lasts longer
is the sync engine's business.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from boots_pipeline.errors import BadPage, ConfigError, RateLimited, Transient
from boots_pipeline.providers.answers import Answer
from boots_pipeline.providers.base import Account, Profile, Provider
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.mcp_errors import error_of
from boots_pipeline.resources.rate_budget import Meter
from boots_pipeline.resources.tokens import TokenService
from boots_pipeline.resources.user_info import user_info

if TYPE_CHECKING:
    from boots_pipeline.resources.mcp_line import Line, Schemas

_LINES = 4  # connections of one session: bodies are fetched at once, and no provider bears many more
_LONGEST_WAIT = 30  # seconds waited inside a run; longer ones go back to the queue
_ATTEMPTS = 4


class McpGateway:
    """Opens sessions with providers' MCP servers on behalf of connections."""

    def __init__(self, database: Database, tokens: TokenService) -> None:
        self._database = database
        self._tokens = tokens

    @asynccontextmanager
    async def session(self, org_id: UUID, source_id: UUID, provider: Provider) -> "AsyncIterator[Session]":
        """The tools of one connection. Raises the classes of `boots_pipeline.errors`."""
        account = await asyncio.to_thread(self._account, org_id, source_id)
        token = partial(self._tokens.access_token, org_id, source_id, provider)
        meter = Meter(self._database, provider, account.id if account else str(source_id), _LONGEST_WAIT)
        session = Session(provider, account, token, meter)
        try:
            await session.open()
            yield session
        finally:
            await session.close()

    def _account(self, org_id: UUID, source_id: UUID) -> Account | None:
        with self._database.organisation(org_id) as transaction:
            row = transaction.execute(
                """select external_account_id as id, external_account_name as name from connected_sources
                    where org_id = %s and id = %s and external_account_id is not null""",
                [org_id, source_id],
            ).fetchone()
        return Account(row["id"], row["name"]) if row else None


class Session:
    """One provider's tools, over a few connections that are opened as they are needed."""

    profile: Profile

    def __init__(
        self, provider: Provider, account: Account | None, token: Callable[[str | None], str], meter: Meter
    ) -> None:
        self.account = account
        self._provider = provider
        self._token = token
        self._headers = provider.headers(account.id if account else None)
        self._meter = meter
        self._lines: list[Line] = []
        self._idle: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
        self._schemas: Schemas = {}

    async def open(self) -> None:
        """Connect, and find the profile of whoever answers."""
        line = self._add_line()
        await self._retrying(line.open)
        self._schemas = line.schemas
        self.profile = self._provider.profile_of(self._schemas.keys())
        self._idle.put_nowait(line)

    async def close(self) -> None:
        """Hang up."""
        for line in self._lines:
            await line.close()

    def has(self, tool: str) -> bool:
        return tool in self._schemas

    def accepts(self, tool: str, argument: str) -> bool:
        return argument in self._schema(tool).get("properties", {})

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        known, missing = _by_schema(arguments, self._schema(tool))
        if missing:
            raise ConfigError(f"{self._provider.title}'s tool {tool} now requires {', '.join(missing)}; update Boots.")
        return await self._retrying(self._call_once, tool, known)

    async def user_info(self) -> Mapping[str, Any]:
        claims: Mapping[str, Any] = await self._retrying(user_info, self._provider, self._token)
        return claims

    def _schema(self, tool: str) -> Mapping[str, Any]:
        if tool not in self.profile.tools | self.profile.optional_tools:
            raise ConfigError(f"The tool {tool} is not on {self._provider.title}'s read-only list.")
        if tool not in self._schemas:
            raise ConfigError(f"{self._provider.title}'s MCP server has no tool {tool}; update Boots, or its grant.")
        return self._schemas[tool]

    async def _retrying(self, attempt: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((Transient, RateLimited)),
            stop=_stop_when_long,
            wait=_wait,
            reraise=True,
        )
        return await retrying(attempt, *arguments)

    async def _call_once(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        await self._meter.charge(tool)
        try:
            async with self._line() as line:
                answer = await self._asked(line, tool, arguments)
        except RateLimited as limited:
            await self._meter.exhaust(tool, limited.retry_after)
            raise
        return self.profile.read_answer(answer)

    async def _asked(self, line: "Line", tool: str, arguments: Mapping[str, Any]) -> Answer:
        """An answer that is no error, be it at the second try with another token."""
        answer = await line.call(tool, arguments)
        error = self.profile.error_in(answer)
        if error is not None and self._provider.trouble(0, error).status == 401:
            line.refuse_token()
            answer = await line.call(tool, arguments)
            error = self.profile.error_in(answer)
        if error is None:
            return answer
        title = self._provider.title
        raise error_of(title, self._provider.trouble(0, error)) or BadPage(f"{title}'s tool answered with an error.")

    @asynccontextmanager
    async def _line(self) -> "AsyncIterator[Line]":
        """A connection that nobody uses: an idle one, or a new one while there may be more."""
        if self._idle.empty() and len(self._lines) < _LINES:
            line = self._add_line()
        else:
            line = await self._idle.get()
        try:
            yield line
        finally:
            self._idle.put_nowait(line)

    def _add_line(self) -> "Line":
        from boots_pipeline.resources.mcp_line import Line  # the SDK takes 0.7 s, half of what a run's process reads

        line = Line(self._provider, self._token, self._headers)
        self._lines.append(line)
        return line


def _by_schema(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Of the arguments those that a schema knows, at every depth, and what it requires beside them."""
    properties, known, missing = schema.get("properties", {}), dict[str, Any](), list[str]()
    for name, value in arguments.items():
        inner = properties.get(name)
        if isinstance(value, Mapping) and isinstance(inner, Mapping) and "properties" in inner:
            value, lacking = _by_schema(value, inner)
            missing += lacking
        if name in properties:
            known[name] = value
    return known, missing + [name for name in schema.get("required", ()) if name not in known]


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited):
        return error.retry_after
    # Full jitter: many workers that failed together must not come back together.
    return random.uniform(0.1, 0.5 * 2**state.attempt_number)  # noqa: S311 not a secret


def _stop_when_long(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimited) and error.retry_after > _LONGEST_WAIT:
        return True
    return stop_after_attempt(_ATTEMPTS)(state)
