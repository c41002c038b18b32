"""What a provider is: OAuth facts, streams, how to list and read them, and how a record becomes a document.

A provider is a value of facts plus pure functions; the only I/O that it does is through the `Tools` it is handed.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol

from boots_pipeline.settings import provider_settings


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
class Item:
    """One record as received. `external_id` is unique within its stream and account."""

    external_id: str
    payload: dict[str, Any]
    updated_at: datetime | None = None  # by the provider's clock: what a watermark may be made of


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record of a page that cannot be kept, named as well as can be."""

    external_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing. `cursor` resumes after it (JSON); None says that the listing was read to its end."""

    items: Sequence[Item]
    rejected: Sequence[Rejected]
    cursor: Any | None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a structured record states outright."""

    name: str
    value: str
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A record made readable. `client_keys`, strongest first, say which client it is about; `names_client` that it *is*
    the record of that client: then the first key is its own, and the others are only hints."""

    title: str
    content: str
    url: str | None = None
    source_updated_at: datetime | None = None
    client_keys: tuple[str, ...] = ()
    names_client: bool = False
    facts: tuple[Fact, ...] = ()
    absorbed: tuple[str, ...] = ()  # ids of the stream that the provider merged into this one: gone, not deleted


class Tools(Protocol):
    """A provider's MCP server as an adapter sees it: read-only tools, live schemas, parsed answers."""

    def accepts(self, tool: str, argument: str) -> bool:
        """Whether the live input schema of a tool knows an argument."""
        ...

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool with the arguments that its live schema knows, and parse the JSON of its answer.

        Raises the classes of `boots_pipeline.errors`: NeedsReauth, RateLimited, Transient, BadPage, ConfigError.
        """
        ...


class Provider(ABC):
    """One provider. Subclasses hold facts and pure functions, no state."""

    name: ClassVar[str]
    title: ClassVar[str]
    env_prefix: ClassVar[str]
    mcp_url_default: ClassVar[str]
    oauth_facts: ClassVar[OAuthFacts]
    streams: ClassVar[tuple[str, ...]]
    read_only_tools: ClassVar[frozenset[str]]  # nothing else is ever called
    refresh_margin_seconds: ClassVar[int] = 120

    @property
    def mcp_url(self) -> str:
        """Where the MCP server is: the registry's word, or the environment's, never a row's."""
        return provider_settings(self.env_prefix).mcp_url or self.mcp_url_default

    @property
    def oauth(self) -> OAuthFacts:
        """The pinned facts, with the environment's overrides."""
        told = provider_settings(self.env_prefix)
        facts = self.oauth_facts
        return OAuthFacts(
            issuer=told.issuer or facts.issuer,
            authorization_url=told.authorization_url or facts.authorization_url,
            token_url=told.token_url or facts.token_url,
            revocation_url=told.revocation_url or facts.revocation_url,
            client_auth=facts.client_auth,
            scopes=facts.scopes,
            authorize_parameters=facts.authorize_parameters,
            sends_issuer=facts.sends_issuer,
        )

    @abstractmethod
    def account_of(self, token_response: Mapping[str, Any], callback: Mapping[str, str]) -> Account | None:
        """The account as the token response or the callback names it; None when only the MCP server can tell."""

    @abstractmethod
    async def identify(self, tools: Tools) -> Account:
        """Ask the MCP server whose data this is; called at the start of every sync."""

    @abstractmethod
    def pages(self, tools: Tools, stream: str, *, since: datetime | None, cursor: Any | None) -> AsyncIterator[Page]:
        """List a stream from `cursor` on: all of it, or what changed `since` (inclusive)."""

    @abstractmethod
    async def read(self, tools: Tools, stream: str, external_id: str) -> Item | None:
        """One record as it is now; None when it is gone."""

    @abstractmethod
    def document(self, stream: str, payload: Mapping[str, Any]) -> Document:
        """A sanitised payload made readable. Pure. Raises BadItem when there is nothing to make it from."""

    @abstractmethod
    def stable(self, stream: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """The payload without the parts that move when nothing did. Pure."""
