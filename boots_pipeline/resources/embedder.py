"""Text to vectors: the offline model inside the `wordllama` wheel, or any OpenAI-compatible server.

What belongs here is how a vector is made and checked; what is embedded, and when, is `knowledge/embedding.py`.
Every vector that leaves has unit length: no zero vector (its cosine distance is NaN) and no NaN.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from boots_pipeline.errors import BadItem, ConfigError, Transient
from boots_pipeline.settings import Settings

Vectors = NDArray[np.float32]

LONGEST_VECTOR = 1900  # what still fits into a row beside its other columns (docs/decisions.md)
OPENAI_DEFAULT_MODEL = "text-embedding-3-small"


class Embedder(Protocol):
    """Makes vectors of one model. Safe to share between threads."""

    @property
    def model(self) -> str:
        """The model as rows name it, for example `wordllama/l2_supercat_256`."""
        ...

    @property
    def dimensions(self) -> int:
        """How long its vectors are."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, in order. A text without a token gets `wordless(dimensions)`."""
        ...


def wordless(dimensions: int) -> Vectors:
    """The vector of a text that says nothing: the same for all, of unit length, and close to no other."""
    return np.full(dimensions, dimensions**-0.5, dtype=np.float32)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    says_nothing = lengths[:, 0] == 0
    lengths[says_nothing] = 1
    vectors = vectors / lengths
    vectors[says_nothing] = wordless(vectors.shape[1])
    return vectors


class WordllamaEmbedder:
    """The model inside the wheel: no key, no network. Loaded at the first use."""

    model = "wordllama/l2_supercat_256"
    dimensions = 256
    # Rows gathered at once: 16 MB, which stays close to the processor's cache.
    _tokens_at_once = 16_384

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._loaded: tuple[Tokenizer, Vectors] | None = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The mean of the tokens' vectors: what wordllama's `.embed()` gives, without padding four times as fast."""
        tokenizer, table = self._model()
        # The tokenizer refuses lone surrogates, which a person's query can hold.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        encoded = tokenizer.encode_batch_fast(clean, add_special_tokens=False)
        tokens = [np.asarray(text.ids, dtype=np.int32) for text in encoded]
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for group in self._groups(tokens):
            lengths = np.array([len(tokens[i]) for i in group])
            rows = table[np.concatenate([tokens[i] for i in group])]
            starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
            vectors[group] = np.add.reduceat(rows, starts, axis=0) / lengths[:, None].astype(np.float32)
        return _unit(vectors)

    def _groups(self, tokens: Sequence[NDArray[np.int32]]) -> Iterator[list[int]]:
        """The texts that have tokens, in groups whose rows are gathered together."""
        group: list[int] = []
        held = 0
        for i, ids in enumerate(tokens):
            if group and held + len(ids) > self._tokens_at_once:
                yield group
                group, held = [], 0
            if len(ids):
                group.append(i)
                held += len(ids)
        if group:
            yield group

    def _model(self) -> tuple[Tokenizer, Vectors]:
        with self._loading:
            if self._loaded is None:
                self._loaded = _load_wordllama()
            return self._loaded


def _load_wordllama() -> tuple[Tokenizer, Vectors]:
    # Importing wordllama calls logging.basicConfig(), which does nothing where a handler is set: the logging of the
    # whole process is not a library's to configure.
    keeps_logging_as_it_is = logging.NullHandler()
    root = logging.getLogger()
    root.addHandler(keeps_logging_as_it_is)
    try:
        wordllama: Any = import_module("wordllama")  # a second of work that most commands need not wait for
    finally:
        root.removeHandler(keeps_logging_as_it_is)
    loaded = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    loaded.tokenizer.no_padding()
    return loaded.tokenizer, loaded.embedding


class OpenAIEmbedder:
    """Any server that speaks OpenAI's embeddings API."""

    # The API takes 2,048 inputs and 300,000 tokens a request; a token is seldom less than a character.
    _inputs_at_once = 2048
    _characters_at_once = 250_000
    _shortest_cut = 100

    def __init__(self, api_key: str, base_url: str | None, name: str, *, retries: int = 3) -> None:
        import openai  # 0.6 s, in every run, for those who have no key for it

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
        return _unit(vectors)

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
        from boots_pipeline.resources.openai_errors import safe_openai_errors

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


def embedder_for(settings: Settings) -> Embedder:
    """OpenAI, or what speaks like it, when there is a key; else the model inside the wheel."""
    if settings.openai_api_key is None:
        return WordllamaEmbedder()
    return OpenAIEmbedder(
        settings.openai_api_key.get_secret_value(),
        settings.openai_base_url,
        settings.embedding_model or OPENAI_DEFAULT_MODEL,
    )
