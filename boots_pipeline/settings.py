"""The only reader of the environment. Everything else is handed what it needs.

Names are the variables of `.env.example`, which explains each. A provider's variables carry its own prefix
(`HUBSPOT_CLIENT_ID`), so that a new provider needs no line here.
"""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from boots_pipeline.errors import ConfigError


class Settings(BaseSettings):
    """What this process was told; unset URLs mean the embedded server of `boots up`."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)

    boots_env: Literal["development", "production"] = "development"
    boots_home: Path = Path(".boots")

    database_url: str | None = None
    worker_database_url: str | None = None
    web_database_url: str | None = None
    dagster_pg_url: str | None = None

    vault: Literal["envelope", "supabase"] = "envelope"
    vault_keys: SecretStr | None = None
    vault_key_file: Path | None = None

    public_base_url: str = "http://127.0.0.1:5050"
    secret_key: SecretStr | None = None

    supabase_url: str | None = None
    supabase_jwt_secret: SecretStr | None = None

    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    embedding_model: str | None = None
    language_model: str | None = None

    deleted_content_days: int = Field(default=30, ge=0)

    web_port: int = 5050
    dagster_port: int = 3000
    code_server_port: int = 4266
    sandbox_port: int = 8070
    bridge_port: int = 8071

    def required(self, name: str) -> str:
        """The value of a setting that this process cannot do without."""
        value = getattr(self, name)
        if value is None:
            raise ConfigError(f"{name.upper()} is not set. See .env.example, or run `boots up` for a local one.")
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


class ProviderSettings(BaseSettings):
    """One provider's OAuth client and, where they are not the real ones, its addresses."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)

    client_id: str | None = None
    client_secret: SecretStr | None = None
    redirect_uri: str | None = None
    mcp_url: str | None = None
    api_url: str | None = None  # where our own MCP server finds the provider's API
    realm_id: str | None = None  # the one company that the MCP server speaks for, where it is one that knows no other
    issuer: str | None = None
    authorization_url: str | None = None
    token_url: str | None = None
    revocation_url: str | None = None
    userinfo_url: str | None = None
    discovery_url: str | None = None

    @field_validator(
        "mcp_url",
        "api_url",
        "authorization_url",
        "token_url",
        "revocation_url",
        "userinfo_url",
        "discovery_url",
        "redirect_uri",
    )
    @classmethod
    def _is_a_web_address(cls, told: str | None) -> str | None:
        # People are sent there, and tokens: nothing but the web, whatever a browser would do with another scheme.
        if told is not None and not told.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// (or http:// on this machine)")
        return told


@cache
def provider_settings(prefix: str) -> ProviderSettings:
    """The settings whose variables start with `prefix`, for example `HUBSPOT_`."""
    return ProviderSettings(_env_prefix=prefix)  # type: ignore[call-arg]  # pydantic-settings takes it; its stub does not say so


@cache
def settings() -> Settings:
    """This process's settings, read once."""
    return Settings()
