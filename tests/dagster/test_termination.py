"""A sync that is told to end, whatever its event loop does then. Through the UI: tests/local/test_whole_loop.py."""

import asyncio
import signal
from typing import NoReturn

import pytest

from boots_pipeline.assets.source_documents import _to_its_end
from boots_pipeline.ingestion.outcome import Outcome


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_cancelled_and_gives_its_job_back(number: signal.Signals) -> None:
    """What is raised in a callback asyncio swallows, and the sync would go on to its end."""
    heard: list[str] = []

    def as_dagsters(number: int, frame: object) -> NoReturn:
        raise RuntimeError("in the middle of anything")

    async def sync() -> Outcome:
        asyncio.get_running_loop().call_soon(signal.raise_signal, number)
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise
        return Outcome("completed")

    before = signal.signal(number, as_dagsters)
    try:
        with pytest.raises(KeyboardInterrupt):
            _to_its_end(sync())
        assert heard == ["cancelled"]
        assert signal.getsignal(number) is as_dagsters
    finally:
        signal.signal(number, before)
