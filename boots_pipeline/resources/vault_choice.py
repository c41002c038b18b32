"""Which of the two vaults this process uses. No vault, no start."""

from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing
from boots_pipeline.resources.supabase_vault import SupabaseVault
from boots_pipeline.resources.vault import Vault
from boots_pipeline.settings import Settings


def vault_for(settings: Settings) -> Vault:
    """The vault that VAULT names. Raises ConfigError when it is the envelope and there is no key."""
    if settings.vault == "supabase":
        return SupabaseVault()
    return EnvelopeVault(KeyRing.from_settings(settings))
