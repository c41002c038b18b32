"""Which implementation of each interface the settings name: vault, embedder, language model."""

from boots_pipeline.errors import ConfigError
from boots_pipeline.resources.embedder import Embedder, WordllamaEmbedder
from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing
from boots_pipeline.resources.language_model import LanguageModel
from boots_pipeline.resources.supabase_vault import SupabaseVault
from boots_pipeline.resources.vault import Vault
from boots_pipeline.settings import Settings

_DEFAULT_LANGUAGE_MODEL = "gpt-4.1-mini"


def vault_for(settings: Settings) -> Vault:
    """The vault that VAULT names. Raises ConfigError when it is the envelope and there is no key: no key, no start."""
    if settings.vault == "supabase":
        return SupabaseVault()
    return EnvelopeVault(KeyRing.from_settings(settings))


def embedder_for(settings: Settings) -> Embedder:
    """The model that EMBEDDING_MODEL names, at OpenAI or what speaks like it; without one, that inside the wheel.

    The language model's key alone changes nothing here: it may be set long after the first vectors were made. Raises
    ConfigError when a server's model is named and there is no key for it.
    """
    name = settings.embedding_model
    if name is None or name == WordllamaEmbedder.model:
        return WordllamaEmbedder()
    if settings.openai_api_key is None:
        raise ConfigError(
            f"EMBEDDING_MODEL names {name}, which needs OPENAI_API_KEY. Set it, or leave EMBEDDING_MODEL unset for the "
            "model that needs no key."
        )
    from boots_pipeline.resources.openai_models import OpenAIEmbedder  # 0.6 s that most processes need not wait for

    return OpenAIEmbedder(settings.openai_api_key.get_secret_value(), settings.openai_base_url, name)


def language_model_for(settings: Settings) -> LanguageModel | None:
    """None without a key: then the offline writer is used, and says so."""
    if settings.openai_api_key is None:
        return None
    from boots_pipeline.resources.openai_models import OpenAILanguageModel  # 0.6 s, as above

    return OpenAILanguageModel(
        settings.openai_api_key.get_secret_value(),
        settings.openai_base_url,
        settings.language_model or _DEFAULT_LANGUAGE_MODEL,
    )
