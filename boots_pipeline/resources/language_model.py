"""A language model that answers in a given shape: any OpenAI-compatible server. No tool is ever offered to it."""

from typing import Protocol, TypeVar

from pydantic import BaseModel

from boots_pipeline.settings import Settings

OPENAI_DEFAULT_LANGUAGE_MODEL = "gpt-4.1-mini"

Answer = TypeVar("Answer", bound=BaseModel)


class LanguageModel(Protocol):
    """Answers with a value of the schema that it is given."""

    @property
    def name(self) -> str:
        """The model, for people to read."""
        ...

    def complete(self, system: str, user: str, schema: type[Answer]) -> Answer:
        """Raises Transient, RateLimited or ConfigError; BadItem when it refuses, or keeps missing the shape."""
        ...


def language_model_for(settings: Settings) -> LanguageModel | None:
    """None without a key: then the offline writer is used, and says so."""
    if settings.openai_api_key is None:
        return None
    from boots_pipeline.resources.openai_models import OpenAILanguageModel  # 0.6 s, see embedder.py

    return OpenAILanguageModel(
        settings.openai_api_key.get_secret_value(),
        settings.openai_base_url,
        settings.language_model or OPENAI_DEFAULT_LANGUAGE_MODEL,
    )
