"""Any server that speaks OpenAI's API, for vectors and for text: what is asked, checked, and raised when it fails.

The server's own words stay behind: an error may repeat what we sent.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import openai
from pydantic import ValidationError

from boots_pipeline.errors import BadItem, ConfigError, RateLimited, Transient
from boots_pipeline.resources.embedder import LONGEST_VECTOR, Vectors, unit
from boots_pipeline.resources.language_model import Answer

_LONGEST_WAIT = 3600.0
_USUAL_WAIT = 30.0


class OpenAIEmbedder:
    """Any server that speaks OpenAI's embeddings API."""

    # The API takes 2,048 inputs and 300,000 tokens a request; a token is seldom less than a character.
    _inputs_at_once = 2048
    _characters_at_once = 250_000
    _shortest_cut = 100

    def __init__(self, api_key: str, base_url: str | None, name: str, *, retries: int = 3) -> None:
        self._client = openai.OpenAI(api_key=api_key, base_url=base_url, timeout=60, max_retries=retries)
        self._name = name
        self.model = f"openai/{name}"

    @cached_property
    def dimensions(self) -> int:
        """As the server answers: models can be had at any length."""
        dimensions = len(self._ask(["dimensions"])[0])
        if dimensions > LONGEST_VECTOR:
            raise ConfigError(
                f"The embedding model {self._name} makes vectors of {dimensions} dimensions; at most "
                f"{LONGEST_VECTOR} can be kept. Set EMBEDDING_MODEL to a shorter one."
            )
        return dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Ask in batches; a text that the server finds too long is shortened, the others of its batch are not."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for batch in self._batches(texts):
            answers = self._embed_batch([texts[i] for i in batch])
            if answers.shape != (len(batch), self.dimensions):
                raise Transient("The embedding server changed the length of its vectors.")
            vectors[batch] = answers
        return unit(vectors)

    def close(self) -> None:
        """Close its connections to the server."""
        self._client.close()

    def _batches(self, texts: Sequence[str]) -> Iterator[list[int]]:
        batch: list[int] = []
        held = 0
        for i, text in enumerate(texts):
            if not text.strip():  # the API refuses an empty input
                continue
            if batch and (len(batch) == self._inputs_at_once or held + len(text) > self._characters_at_once):
                yield batch
                batch, held = [], 0
            batch.append(i)
            held += len(text)
        if batch:
            yield batch

    def _embed_batch(self, texts: list[str]) -> Vectors:
        try:
            return self._ask(texts)
        except BadItem:
            if len(texts) > 1:
                middle = len(texts) // 2
                return np.concatenate([self._embed_batch(texts[:middle]), self._embed_batch(texts[middle:])])
            if len(texts[0]) <= self._shortest_cut:
                raise
            return self._embed_batch([texts[0][: len(texts[0]) // 2]])

    def _ask(self, texts: list[str]) -> Vectors:
        with safe_openai_errors("embedding"):
            answer = self._client.embeddings.create(model=self._name, input=texts, encoding_format="float")
        by_index = {entry.index: entry.embedding for entry in answer.data}
        if len(answer.data) != len(texts) or by_index.keys() != set(range(len(texts))):
            raise Transient("The embedding server did not answer with one vector for each text.")
        if len({len(vector) for vector in by_index.values()}) != 1:
            raise Transient("The embedding server answered with vectors of different lengths.")
        vectors = np.array([by_index[i] for i in range(len(texts))], dtype=np.float32)
        if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
            raise Transient("The embedding server answered with a vector that is no direction (NaN or zero).")
        return vectors


class OpenAILanguageModel:
    """Structured outputs of any server that speaks OpenAI's chat API."""

    _attempts = 2  # a shape that is missed twice is missed for a reason

    def __init__(self, api_key: str, base_url: str | None, name: str) -> None:
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


@contextmanager
def safe_openai_errors(server: str) -> Iterator[None]:
    """Turn the SDK's errors into ours; `server` says which one failed ("embedding", "language model")."""
    try:
        yield
    except openai.RateLimitError as error:
        if error.code == "insufficient_quota":
            raise ConfigError(f"The account of the {server} server has no quota left.") from None
        raise RateLimited(f"The {server} server asks us to wait.", _retry_after(error)) from None
    except (openai.AuthenticationError, openai.PermissionDeniedError):
        raise ConfigError(f"The {server} server refuses the key. Check OPENAI_API_KEY.") from None
    except openai.NotFoundError:
        raise ConfigError(
            f"The {server} server does not know the model or the address. "
            "Check EMBEDDING_MODEL, LANGUAGE_MODEL and OPENAI_BASE_URL."
        ) from None
    except (openai.BadRequestError, openai.UnprocessableEntityError):
        raise BadItem(f"The {server} server does not accept the text.") from None
    except openai.APITimeoutError:
        raise Transient(f"The {server} server did not answer in time.") from None
    except openai.APIConnectionError:
        raise Transient(f"The {server} server cannot be reached.") from None
    except openai.APIStatusError as error:
        raise Transient(f"The {server} server failed (HTTP {error.status_code}).") from None
    except openai.OpenAIError:
        raise Transient(f"The {server} server's answer could not be read.") from None


def _retry_after(error: openai.APIStatusError) -> float:
    try:
        told = float(error.response.headers.get("retry-after", _USUAL_WAIT))
    except ValueError:
        told = _USUAL_WAIT
    return min(max(told, 1.0), _LONGEST_WAIT)
