"""A language model that answers in a given shape: any OpenAI-compatible server. No tool is ever offered to it."""

from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from boots_pipeline.errors import BadItem
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


class OpenAILanguageModel:
    """Structured outputs of any server that speaks OpenAI's chat API."""

    _attempts = 2  # a shape that is missed twice is missed for a reason

    def __init__(self, api_key: str, base_url: str | None, name: str) -> None:
        import openai  # 0.6 s, in every run, for those who have no key for it

        self._client = openai.OpenAI(api_key=api_key, base_url=base_url, timeout=120, max_retries=2)
        self.name = name

    def close(self) -> None:
        """Close its connections to the server."""
        self._client.close()

    def complete(self, system: str, user: str, schema: type[Answer]) -> Answer:
        """Ask until the answer has the shape, twice at most."""
        for _ in range(self._attempts):
            answer = self._ask(system, user, schema)
            if answer is not None:
                return answer
        raise BadItem("The language model did not answer in the shape that it was asked for.")

    def _ask(self, system: str, user: str, schema: type[Answer]) -> Answer | None:
        from boots_pipeline.resources.openai_errors import safe_openai_errors

        try:
            with safe_openai_errors("language model"):
                completion = self._client.chat.completions.parse(
                    model=self.name,
                    messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
                    response_format=schema,
                )
        except ValidationError:
            return None
        if not completion.choices:
            return None
        message = completion.choices[0].message
        if message.refusal:
            raise BadItem("The language model refused to write this.")
        return message.parsed


def language_model_for(settings: Settings) -> LanguageModel | None:
    """None without a key: then the offline writer is used, and says so."""
    if settings.openai_api_key is None:
        return None
    return OpenAILanguageModel(
        settings.openai_api_key.get_secret_value(),
        settings.openai_base_url,
        settings.language_model or OPENAI_DEFAULT_LANGUAGE_MODEL,
    )
