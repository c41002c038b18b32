"""How the product is pointed at the sandbox: its twins serve the real servers' paths below one address a provider."""

from urllib.parse import urlsplit

from boots_pipeline.providers import PROVIDERS
from boots_pipeline.providers.base import Provider
from boots_pipeline.settings import provider_settings

CLIENT_ID = "boots-sandbox"
CLIENT_SECRET = "boots-sandbox-secret"  # noqa: S105 the sandbox's, which guards nothing


def sandbox_environment(sandbox: str) -> dict[str, str]:
    """The variables of the providers that have no OAuth client of their own here."""
    variables: dict[str, str] = {}
    for provider in PROVIDERS.values():
        if not provider_settings(provider.env_prefix).client_id:
            variables |= _pointed_at(f"{sandbox}/{provider.name}", provider)
    return variables


def _pointed_at(twin: str, provider: Provider) -> dict[str, str]:
    facts = provider.oauth_facts
    addresses = {
        "AUTHORIZATION_URL": facts.authorization_url,
        "TOKEN_URL": facts.token_url,
        "REVOCATION_URL": facts.revocation_url,
    }
    told = {"CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "MCP_URL": f"{twin}/mcp", "ISSUER": twin}
    told["DISCOVERY_URL"] = f"{twin}/.well-known/oauth-authorization-server"
    told |= {name: f"{twin}{urlsplit(address).path}" for name, address in addresses.items() if address}
    return {f"{provider.env_prefix}{name}": value for name, value in told.items()}
