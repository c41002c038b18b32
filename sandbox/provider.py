"""What a provider's twin must be, so that the sandbox can serve it. One implementation per provider."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mcp.types import Tool
from starlette.routing import Route

from sandbox.fiction import World
from sandbox.world import Organization


class Refusal(Exception):
    """The tool says no: an MCP tool error (`isError`) with this text."""


@dataclass(frozen=True)
class OAuthFacts:
    """How a provider's authorisation server is laid out. Paths are below the twin's root."""

    authorize_path: str
    token_path: str
    revoke_path: str
    introspect_path: str
    callback_suffix: str  # the only redirect URIs registered: loopback, any port, ending so
    expires_in: int


class Provider(Protocol):
    """One provider's face of the world."""

    name: str  # in URLs: the twin is mounted at /<name>
    title: str
    oauth: OAuthFacts

    @property
    def tools(self) -> Sequence[Tool]:
        """The tools, with the schemas that their callers must keep to."""

    def pages(self, world: World) -> list[Route]:
        """What a person finds behind the addresses that the tools' answers mention."""

    def call(self, organization: Organization, tool: str, arguments: dict[str, Any]) -> Any:
        """The tool's answer as JSON values, or `Refusal`. The arguments have passed the tool's schema."""

    def spoil(self, kind: str, arguments: dict[str, Any], answer: Any) -> Any:
        """The answer with a fault in its data (one of `faults.DATA_KINDS`), in this provider's shapes."""

    def error_body(self, status: int) -> dict[str, Any]:
        """What this provider writes beside an HTTP error."""

    def token_extras(self, organization: Organization) -> dict[str, Any]:
        """What a token answer tells beyond RFC 6749, such as whose account it opens."""

    def truth(self, organization: Organization) -> dict[str, dict[str, Any]]:
        """Everything that exists now, complete: type → id → record; and `account`."""
