"""Whatever happens out there, and in whatever order it is synced: what is kept is what there is, and no text is
embedded that did not change."""

from collections.abc import Callable
from random import Random

import pytest

from boots_pipeline.providers import PROVIDERS
from boots_pipeline.providers.base import Provider
from tests.conftest import Connected

MOVES = ("a day", "three days", "delta", "delta", "reconcile", "full")
STEPS = 8


def texts(connected: Connected) -> dict[tuple[str, str], tuple[str, str]]:
    """Title and text of every living document: what is embedded."""
    return {key: (row["title"], row["content"]) for key, row in connected.documents().items()}


def sync_and_compare(connected: Connected, kind: str | None) -> None:
    """Sync; embedded is what is new and what reads differently, and after a complete listing nothing is missing."""
    before = texts(connected)
    connected.wake()
    outcome = connected.sync(kind)
    vanished = sum(verdict.vanished for verdict in outcome.verdicts.values())
    assert outcome.status == ("partial" if vanished else "completed"), outcome
    after = texts(connected)
    differs = {key for key, text in after.items() if before.get(key) != text}
    assert outcome.kept.embedded == len(differs)
    if vanished:  # in so small a world a few days' deletions are many at once: the next listing confirms them
        sync_and_compare(connected, "reconcile")
    elif kind != "delta":
        assert connected.kept() == connected.truth()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS.keys())
def test_what_is_kept_is_what_there_is(
    connected_to: Callable[[Provider], Connected], small_pages: None, provider: Provider, seed: int
) -> None:
    connected, rng = connected_to(provider), Random(f"{provider.name}:{seed}")
    sync_and_compare(connected, None)
    for move in rng.choices(MOVES, k=STEPS):
        match move:
            case "a day" | "three days":
                days = 1 if move == "a day" else 3
                connected.outside.control("POST", "advance", days=days, seed=rng.randrange(10**6))
            case kind:
                sync_and_compare(connected, kind)
    sync_and_compare(connected, "reconcile")
