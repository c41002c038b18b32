"""What a provider's twin must be, so that the sandbox can serve it. One implementation per provider."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Literal, Protocol, runtime_checkable

from mcp.types import Tool
from starlette.routing import Route

from sandbox.fiction import World
from sandbox.world import Organization

Report = dict[str, dict[str, list[Any]]]
"""What a day did: type → kind of change → ids."""


class Refusal(Exception):
    """The tool says no: an MCP tool error (`isError`) with this text; of a REST API, an answer with this status."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class ProseErrors(ABC):
    """An MCP server that does not mark its errors as such: a text that begins differently is all there is."""

    @abstractmethod
    def error_text(self, tool: str, text: str) -> str:
        """What it says instead of an answer."""


@dataclass(frozen=True)
class Texts:
    """An answer in blocks of text, of a server that does not put one JSON into one block."""

    blocks: Sequence[str]


@dataclass(frozen=True)
class Structured:
    """An answer as structured content, with the same as JSON in a block of text."""

    content: Any


@dataclass(frozen=True)
class OAuthFacts:
    """How a provider's authorisation server is laid out, and its quirks. Paths are below the twin's root."""

    authorize_path: str
    token_path: str
    revoke_path: str
    expires_in: int
    introspect_path: str | None = None
    userinfo_path: str | None = None  # OpenID Connect's UserInfo endpoint; it is one of the servers
    client_auth: Sequence[Literal["post", "basic"]] = ("post",)
    requires_pkce: bool = True
    rotates: bool = True  # each refresh gives a new refresh token, and ends the old one
    sends_issuer: bool = True
    # That may be asked for, and must be, each as the consent page says it; None: they cannot be asked for.
    scopes: Mapping[str, str] | None = None
    always_asked: str = ""  # what the consent page says where nothing can be asked for
    # Parameters of the authorization request without which there is no refresh token.
    for_refresh_token: Mapping[str, str] = field(default_factory=dict)
    revokes_json: bool = False  # the revocation endpoint takes JSON, not a form


class McpServer(Protocol):
    """One MCP server in front of a provider's records."""

    public_listing: bool  # tools are listed to whoever asks; only calls need a token

    @property
    def tools(self) -> Sequence[Tool]:
        """The tools, with the schemas that their callers must keep to."""

    def call(self, organization: Organization, tool: str, arguments: dict[str, Any]) -> Any:
        """The tool's answer: JSON values (sent as one block of text), `Texts`, `Structured`, or `Refusal`. The
        arguments have passed the tool's schema."""

    def spoil(self, kind: str, arguments: dict[str, Any], answer: Any) -> Any:
        """The answer with a fault in its data (one of `faults.DATA_KINDS`), in this server's shapes."""


@runtime_checkable
class RestServer(Protocol):
    """A REST API in front of a provider's records, for programs that are no MCP clients. It only reads."""

    scope: str  # what a token must have been granted

    def read(self, organization: Organization, path: str, asked: Mapping[str, str]) -> Any:
        """The JSON that it answers, or `Refusal`. `path` is below the API's own."""

    def refusal_body(self, refusal: Refusal) -> dict[str, Any]:
        """What stands beside the status of a refusal."""

    def spoil(self, kind: str, arguments: Mapping[str, Any], answer: Any) -> Any:
        """The answer with a fault in its data (one of `faults.DATA_KINDS`)."""


class Provider(Protocol):
    """One provider's face of the world."""

    name: str  # in URLs: the twin is mounted at /<name>
    title: str
    oauth: OAuthFacts

    @property
    def servers(self) -> Mapping[str, McpServer | RestServer]:
        """Its servers, by path below the twin's root; the official MCP server is `/mcp`."""

    def populate(self, world: World) -> None:
        """Write what only this provider holds, for a world on its first day."""

    def advance(self, organization: Organization, start: datetime, rng: Random) -> Report:
        """The day that begins at `start`, in what only this provider holds; the world's own day has happened."""

    def pages(self, world: World) -> list[Route]:
        """What a person finds behind the addresses that the tools' answers mention."""

    def error_body(self, status: int) -> dict[str, Any]:
        """What this provider writes beside an HTTP error."""

    def callback_extras(self, organization: Organization) -> dict[str, str]:
        """What the redirect back to the application tells beside the code."""

    def token_extras(self, organization: Organization) -> dict[str, Any]:
        """What a token answer tells beyond RFC 6749, such as whose account it opens."""

    def truth(self, organization: Organization) -> dict[str, dict[str, Any]]:
        """Everything that exists now, complete: type → id → record; and `account`."""
