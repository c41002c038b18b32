"""The offline embedder gives wordllama's own vectors, always of unit length, from any thread."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from boots_pipeline.errors import ConfigError
from boots_pipeline.resources.choices import embedder_for
from boots_pipeline.resources.embedder import (
    Embedder,
    WordllamaEmbedder,
    wordless,
)
from boots_pipeline.resources.openai_models import OpenAIEmbedder
from boots_pipeline.settings import Settings

TEXTS = ["Harbour Joinery Ltd, joiners in Whitby", "a", "Invoice 1042: £12,000.00, overdue", "naïve café 日本語"]


@pytest.fixture
def logging_restored() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.mark.usefixtures("logging_restored")
def test_vectors_are_those_of_wordllama_itself(embedder: WordllamaEmbedder) -> None:
    wordllama = import_module("wordllama")
    own = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    texts = [*TEXTS, *(" ".join(TEXTS) * n for n in range(1, 60))]
    assert np.abs(embedder.embed(texts) - own.embed(texts, norm=True)).max() < 1e-6


def test_loading_leaves_the_logging_of_the_process_alone() -> None:
    program = (
        "import logging; from boots_pipeline.resources.embedder import WordllamaEmbedder;"
        "WordllamaEmbedder().embed(['x']); root = logging.getLogger(); print(root.level, root.handlers)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{logging.WARNING} []"


def test_text_without_a_token_is_a_direction_too(embedder: WordllamaEmbedder) -> None:
    vectors = embedder.embed(["", "Harbour"])
    assert np.array_equal(vectors[0], wordless(256))
    assert abs(float(vectors[0] @ vectors[1])) < 0.3


def test_no_texts_give_no_vectors(embedder: WordllamaEmbedder) -> None:
    assert embedder.embed([]).shape == (0, 256)


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(codec=None), max_size=30), max_size=5))
def test_any_text_has_a_unit_vector(texts: list[str]) -> None:
    vectors = SHARED.embed(texts)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


SHARED = WordllamaEmbedder()


def test_a_text_has_the_same_vector_in_any_company(embedder: WordllamaEmbedder) -> None:
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    long = ["word " * 20_000]
    assert np.array_equal(embedder.embed(TEXTS + long)[:-1], alone)


def test_threads_may_share_one_that_is_not_loaded_yet() -> None:
    fresh = WordllamaEmbedder()
    with ThreadPoolExecutor(8) as pool:
        vectors = list(pool.map(lambda _: fresh.embed(TEXTS), range(16)))
    assert all(np.array_equal(vectors[0], each) for each in vectors)


def test_the_embedding_model_is_chosen_by_its_own_setting() -> None:
    def chosen(key: str | None, name: str | None) -> Embedder:
        told = SecretStr(key) if key else None
        return embedder_for(Settings(_env_file=None, openai_api_key=told, embedding_model=name))

    assert isinstance(chosen(None, None), WordllamaEmbedder)
    assert isinstance(chosen("k", None), WordllamaEmbedder)  # a key for proposals leaves the vectors as they are
    assert isinstance(chosen(None, "wordllama/l2_supercat_256"), WordllamaEmbedder)
    served = chosen("k", "m")
    assert isinstance(served, OpenAIEmbedder)
    assert served.model == "openai/m"
    with pytest.raises(ConfigError, match="needs OPENAI_API_KEY"):
        chosen(None, "m")
