"""The heartbeat of a claimed sync: a thread that renews lease and message together, and notices when they are lost.

A thread and not a task, because batches block the event loop's helpers for seconds; on its own connection, because
the writer's may be in a transaction.
"""

import threading
from types import TracebackType
from typing import Self

from boots_pipeline.errors import InfraError, LeaseLost
from boots_pipeline.resources.queue import LEASE_SECONDS, Job, SyncQueue


class Lease:
    """Keeps a job ours while the block runs."""

    def __init__(self, queue: SyncQueue, job: Job) -> None:
        self._queue = queue
        self._job = job
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease {job.id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raises LeaseLost when somebody else has the job, so that nothing more is asked of the provider for it."""
        if self._lost.is_set():
            raise LeaseLost("Another worker has taken this sync, or it was cancelled.")

    def _beat(self) -> None:
        while not self._stop.wait(LEASE_SECONDS / 4):
            try:
                held = self._queue.renew(self._job)
            except InfraError:
                continue  # the database is away; every write is fenced, so trying again harms nothing
            if not held:
                self._lost.set()
                return
