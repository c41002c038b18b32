"""QuickBooks: what a record says and whose it is, and the books as the engine keeps them, over the real bridge."""

from collections.abc import Callable

import pytest

from boots_pipeline.providers import quickbooks
from boots_pipeline.providers.base import Provider
from boots_pipeline.providers.quickbooks import QUICKBOOKS
from tests.conftest import Connected


@pytest.fixture
def books(connected_to: Callable[[Provider], Connected], monkeypatch: pytest.MonkeyPatch) -> Connected:
    """QuickBooks that was connected just now, in small pages."""
    monkeypatch.setattr(quickbooks, "_PAGE", 7)
    return connected_to(QUICKBOOKS)


def test_everything_is_kept(books: Connected) -> None:
    assert books.sync().status == "completed", books.job()
    assert books.kept() == books.truth()
