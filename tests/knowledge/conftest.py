"""An organisation's library, and the offline embedder, loaded once."""

import psycopg
import pytest

from boots_pipeline.resources.embedder import WordllamaEmbedder
from tests.conftest import Organisation
from tests.knowledge.library import Library


@pytest.fixture(scope="session")
def embedder() -> WordllamaEmbedder:
    return WordllamaEmbedder()


@pytest.fixture
def library(owner: psycopg.Connection, organisation: Organisation) -> Library:
    return Library(owner, organisation.id)
