"""A language model that answers in a given shape: any OpenAI-compatible server. No tool is ever offered to it."""

from typing import Protocol, TypeVar

from pydantic import BaseModel

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
