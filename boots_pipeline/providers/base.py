"""What a provider is: OAuth facts and limits, how a record becomes a document, and the MCP servers that are known to
serve it, each with a profile that says how to list and read from it.

Providers and profiles are facts plus pure functions; the only I/O that they do is through the `Tools` they are handed.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from boots_pipeline.errors import ConfigError
from boots_pipeline.providers.answers import Answer, Trouble, json_of, stated_status
from boots_pipeline.settings import provider_settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OAuthFacts:
    """One authorisation server, pinned: discovery may check these and never chooses them."""

    issuer: str
    authorization_url: str
    token_url: str
    revocation_url: str | None
    client_auth: Literal["client_secret_post", "client_secret_basic"]
    scopes: tuple[str, ...] = ()
    authorize_parameters: Mapping[str, str] = field(default_factory=dict)
    revokes_json: bool = False  # the revocation endpoint takes JSON, not a form
    userinfo_url: str | None = None  # OpenID Connect's UserInfo endpoint, where it is what tells whose token it is
    discovery_url: str | None = None  # what it publishes of itself, for `boots doctor` to compare
    sends_issuer: bool = False  # the callback must carry `iss`; when it is sent unasked it must still be right


@dataclass(frozen=True, slots=True)
class Account:
    """Whose data a grant opens, in the provider's own terms."""

    id: str
    name: str | None = None
    unavailable: Mapping[str, str] = field(
        default_factory=dict
    )  # streams that the grant does not open, with the reason


@dataclass(frozen=True, slots=True)
class Budget:
    """So many `units` in any `seconds`, for one account; a call costs `cost` of them. `name` tells budgets apart."""

    name: str
    units: float
    seconds: float
    cost: float = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One record as received. `external_id` is unique within its stream and account."""

    external_id: str
    payload: dict[str, Any]
    updated_at: datetime | None = None  # by the provider's clock: what a watermark may be made of
    version: str | None = None  # as the listing tells it, where reading the record takes a call of its own


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record of a page that cannot be kept, named as well as can be. `nameless`: which one it was nobody knows, so it
    may be any that the listing did not meet."""

    external_id: str
    reason: str
    nameless: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing. `cursor` resumes after it (JSON); None says that the listing was read to its end."""

    items: Sequence[Item]
    rejected: Sequence[Rejected]
    cursor: Any | None
    total: int | None = None
    unchanged: Sequence[str] = ()  # ids that are kept in the version that was listed: not read again
    deleted: Sequence[str] = ()  # ids that the provider says are gone
    dates: Sequence[datetime] = ()  # of change, of what is `unchanged`
    cut: int = 0  # records of this page that the server is known to have left out


Known = Callable[[Mapping[str, str]], Awaitable[AbstractSet[str]]]
"""Of these ids with their versions, those that are kept in just that version."""


async def nothing_known(versions: Mapping[str, str]) -> AbstractSet[str]:
    """To whom every record is new."""
    return frozenset()


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a structured record states outright."""

    name: str
    value: str
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A record made readable. `client_keys`, strongest first, say which client it is about; `names_client` that it *is*
    the record of that client: then the first key is its own, and the others are only hints. A record that is part of a
    client (a customer's project) names the client's key first, then its own: whoever points at it points there."""

    title: str
    content: str
    url: str | None = None
    source_updated_at: datetime | None = None
    client_keys: tuple[str, ...] = ()
    names_client: bool = False
    facts: tuple[Fact, ...] = ()
    absorbed: tuple[str, ...] = ()  # ids of the stream that the provider merged into this one: gone, not deleted


class Tools(Protocol):
    """A provider's MCP server as a profile sees it: read-only tools, live schemas, parsed answers. Calls may be made at
    once; how many of them run at once is not the profile's business."""

    @property
    def account(self) -> Account | None:
        """Whose data the connection was made for; None where that is not known."""
        ...

    def has(self, tool: str) -> bool:
        """Whether the server has a tool that the profile may, but need not, call."""
        ...

    def accepts(self, tool: str, argument: str) -> bool:
        """Whether the live input schema of a tool knows an argument."""
        ...

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool with the arguments that its live schema knows, and read its answer as the profile does.

        Raises the classes of `boots_pipeline.errors`: NeedsReauth, Forbidden, RateLimited, Transient, BadPage,
        ConfigError.
        """
        ...

    async def user_info(self) -> Mapping[str, Any]:
        """What the authorisation server says of whose token this is (`OAuthFacts.userinfo_url`), where no tool does.

        Raises what `call` does.
        """
        ...


async def at_once(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of calls made at once, in order. The first error ends the others, and is raised alone."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


class Profile(ABC):
    """One known MCP server of a provider: its tools, and how they are asked and what they answer. No state."""

    name: ClassVar[str]  # the server's, for people
    streams: ClassVar[tuple[str, ...]]
    tools: ClassVar[frozenset[str]]  # a server that has them all is this one
    optional_tools: ClassVar[frozenset[str]] = frozenset()  # called where they are; no other tool ever is

    def error_in(self, answer: Answer) -> str | None:
        """The text of an error, in whichever way this server tells one; None where the answer is one."""
        return answer.text if answer.is_error else None

    def read_answer(self, answer: Answer) -> Any:
        """The data of an answer that is no error. Raises BadPage."""
        return json_of(answer)

    @abstractmethod
    async def identify(self, tools: Tools) -> Account | None:
        """Whose data this is, asked at the start of every sync; None where nothing can tell."""

    @abstractmethod
    def pages(
        self, tools: Tools, stream: str, *, since: datetime | None, cursor: Any | None, known: Known
    ) -> AsyncIterator[Page]:
        """List a stream from `cursor` on: all of it, or what changed `since` (inclusive).

        Raises StaleCursor when a cursor of an earlier run is worth nothing any more.
        """

    @abstractmethod
    async def read(self, tools: Tools, stream: str, external_id: str) -> Item | None:
        """One record as it is now; None when it is gone."""


class Provider(ABC):
    """One provider. Subclasses hold facts and pure functions, no state."""

    name: ClassVar[str]
    title: ClassVar[str]
    brings: ClassVar[str]  # what connecting it brings in, a sentence for the settings page
    env_prefix: ClassVar[str]
    mcp_url_default: ClassVar[str]
    bridged: ClassVar[bool] = False  # its MCP server is ours (mcp_bridge), in front of the provider's own API
    oauth_facts: ClassVar[OAuthFacts]
    profiles: ClassVar[tuple[Profile, ...]]  # the fullest first
    overlap: ClassVar[timedelta] = timedelta(minutes=5)  # how far a delta reaches back behind its watermark
    refresh_margin_seconds: ClassVar[int] = 120

    @property
    def streams(self) -> tuple[str, ...]:
        """All that any of its servers has."""
        return tuple(dict.fromkeys(stream for profile in self.profiles for stream in profile.streams))

    @property
    def read_only_tools(self) -> frozenset[str]:
        """Nothing else is ever called."""
        return frozenset().union(*(profile.tools | profile.optional_tools for profile in self.profiles))

    def profile_of(self, tools: Collection[str]) -> Profile:
        """The profile of the server that has these tools. Raises ConfigError, naming what the nearest one misses."""
        for profile in self.profiles:
            if profile.tools <= set(tools):
                return profile
        nearest = min(self.profiles, key=lambda profile: len(profile.tools - set(tools)))
        missing = ", ".join(sorted(nearest.tools - set(tools)))
        raise ConfigError(
            f"{self.title}'s MCP address is no server that Boots knows: for {nearest.name} the tools {missing} are "
            "missing. Check the address, or update Boots."
        )

    @property
    def mcp_url(self) -> str:
        """Where the MCP server is: the registry's word, or the environment's, never a row's."""
        return provider_settings(self.env_prefix).mcp_url or self.mcp_url_default

    @property
    def oauth(self) -> OAuthFacts:
        """The pinned facts, with the environment's overrides."""
        told = provider_settings(self.env_prefix)
        facts = self.oauth_facts
        return replace(
            facts,
            issuer=told.issuer or facts.issuer,
            authorization_url=told.authorization_url or facts.authorization_url,
            token_url=told.token_url or facts.token_url,
            revocation_url=told.revocation_url or facts.revocation_url,
            userinfo_url=told.userinfo_url or facts.userinfo_url,
            discovery_url=told.discovery_url or facts.discovery_url,
        )

    def headers(self, account_id: str | None) -> Mapping[str, str]:
        """What every request says beside the token: whose account is meant, where a grant opens more than one."""
        return {}

    def budget(self, tool: str) -> Budget | None:
        """What a call of a tool is charged to; None where the provider sets no limit that we could reach."""
        return None

    def trouble(self, status: int, text: str) -> Trouble:
        """What an error amounts to: that of HTTP with its body, or that of a tool (`status` 0) with its text."""
        return Trouble(status or stated_status(text))

    @abstractmethod
    def account_of(self, token_response: Mapping[str, Any], callback: Mapping[str, str]) -> Account | None:
        """The account as the token response or the callback names it; None when neither does."""

    @abstractmethod
    def document(self, stream: str, payload: Mapping[str, Any]) -> Document:
        """A sanitised payload made readable. Pure. Raises BadItem when there is nothing to make it from."""

    @abstractmethod
    def stable(self, stream: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """The payload without the parts that move when nothing did. Pure."""
