"""What the pages borrow, opened once: settings, database and vault; and what this process refuses to start without."""

from dataclasses import dataclass

from flask import current_app

from boots_pipeline.errors import ConfigError
from boots_pipeline.resources.choices import vault_for
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.vault import Vault
from boots_pipeline.settings import Settings
from oauth_app.supabase import SupabaseSignIn, supabase_sign_in

_SECRET_KEY_BYTES = 32


@dataclass(frozen=True)
class Services:
    """One process's belongings."""

    settings: Settings
    database: Database
    vault: Vault
    supabase: SupabaseSignIn | None  # None: the development sign-in

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()


def services() -> Services:
    """Those of the app that is answering."""
    found: Services = current_app.extensions["boots"]
    return found


def open_services(settings: Settings) -> Services:
    """Open them, or raise ConfigError with what to set."""
    supabase = supabase_sign_in(settings)
    if settings.boots_env == "production":
        _refuse_development(settings, supabase)
    vault = vault_for(settings)
    if len(settings.required("secret_key").encode()) < _SECRET_KEY_BYTES:
        raise ConfigError(f"SECRET_KEY must be at least {_SECRET_KEY_BYTES} bytes: it signs the sessions.")
    database = Database(settings.required("web_database_url"), application="boots-web")
    opened = Services(settings, database, vault, supabase)
    try:
        with opened.database.connection() as connection:
            vault.check(connection)
    except BaseException:
        opened.close()
        raise
    return opened


def _refuse_development(settings: Settings, supabase: SupabaseSignIn | None) -> None:
    if supabase is None:
        raise ConfigError(
            "BOOTS_ENV is production, where the development sign-in is refused: set SUPABASE_URL (docs/supabase.md)."
        )
    if not (settings.supabase_url or "").startswith("https://"):
        raise ConfigError("BOOTS_ENV is production, so SUPABASE_URL must be https: its keys say who is who.")
    if not settings.public_base_url.startswith("https://"):
        raise ConfigError("BOOTS_ENV is production, so PUBLIC_BASE_URL must be https: cookies and codes travel there.")
