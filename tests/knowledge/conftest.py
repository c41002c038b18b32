"""An organisation's library."""

import psycopg
import pytest

from tests.conftest import Organisation
from tests.knowledge.library import Library


@pytest.fixture
def library(owner: psycopg.Connection, organisation: Organisation) -> Library:
    return Library(owner, organisation.id)
