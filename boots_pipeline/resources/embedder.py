"""Text to vectors: the offline model inside the `wordllama` wheel, or any OpenAI-compatible server.

What belongs here is how a vector is made and checked; what is embedded, and when, is `knowledge/embedding.py`.
Every vector that leaves has unit length: no zero vector (its cosine distance is NaN) and no NaN.
"""

import logging
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

Vectors = NDArray[np.float32]

LONGEST_VECTOR = 1900  # 7.6 kB: it is stored PLAIN, so its whole row must fit into a page of 8 kB


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


def unit(vectors: Vectors) -> Vectors:
    """Each vector at length one; a zero vector becomes `wordless`."""
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
    # An encoding holds thirty times what we take of it: a thousand at once were 32 MB, for each stream that is read.
    _texts_at_once = 100

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._loaded: tuple[Tokenizer, Vectors] | None = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The mean of the tokens' vectors: what wordllama's `.embed()` gives, which pads each batch to its longest."""
        tokenizer, table = self.load()
        # The tokenizer refuses lone surrogates, which a person's query can hold.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for first in range(0, len(clean), self._texts_at_once):
            encodings = tokenizer.encode_batch_fast(
                clean[first : first + self._texts_at_once], add_special_tokens=False
            )
            for i, encoding in enumerate(encodings, first):
                if encoding.ids:
                    vectors[i] = table[encoding.ids].mean(axis=0)
        return unit(vectors)

    def load(self) -> tuple[Tokenizer, Vectors]:
        """Read it, if that was not done: processes that are forked from here then share it."""
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
