"""How the product is pointed at what runs on this machine: at the sandbox, whose twins serve the real servers' paths
below one address a provider, and at our own MCP server for the providers that have none.
"""

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


def bridge_environment(bridge: str) -> dict[str, str]:
    """The variables of the providers whose MCP server is ours: where it is, and where it finds the provider's API, for
    it does not read .env itself."""
    variables: dict[str, str] = {}
    for provider in PROVIDERS.values():
        if provider.bridged:
            told = provider_settings(provider.env_prefix)
            variables[f"{provider.env_prefix}MCP_URL"] = told.mcp_url or f"{bridge}/mcp"
            if told.api_url:
                variables[f"{provider.env_prefix}API_URL"] = told.api_url
    return variables


def _pointed_at(twin: str, provider: Provider) -> dict[str, str]:
    facts = provider.oauth_facts
    addresses = {
        "AUTHORIZATION_URL": facts.authorization_url,
        "TOKEN_URL": facts.token_url,
        "REVOCATION_URL": facts.revocation_url,
        "USERINFO_URL": facts.userinfo_url,
    }
    told = {"CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "ISSUER": twin}
    told["DISCOVERY_URL"] = f"{twin}/.well-known/oauth-authorization-server"
    told |= {"API_URL": twin} if provider.bridged else {"MCP_URL": f"{twin}/mcp"}
    told |= {name: f"{twin}{urlsplit(address).path}" for name, address in addresses.items() if address}
    return {f"{provider.env_prefix}{name}": value for name, value in told.items()}
