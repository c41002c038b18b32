"""The processes that runs are: each forked from one process, the fork server, that has read the code already."""

from contextlib import suppress
from multiprocessing.context import ForkServerContext, ForkServerProcess

import psutil

# Read once, where nothing is open, which would not survive a fork: our definitions open nothing before it is used. The
# one other thread is numpy's, which ends it before a fork.
_READ_AHEAD = [
    "boots_pipeline.code_server.read_ahead",
    "boots_pipeline.resources.mcp_line",
    "dagster._grpc.impl",
    "dagster._core.storage.local_compute_log_manager",
    "dagster_postgres",
]


class Run(ForkServerProcess):
    """One run. It outlives its fork server, which alone would tell how it ended: until then multiprocessing counts it
    as dead (exit code 255), and Dagster as failed."""

    def is_alive(self) -> bool:
        """Whether it still works."""
        return super().is_alive() or (self.pid is not None and _lives(self.pid))


class Forking(ForkServerContext):
    """What starts them."""

    Process = Run

    def __init__(self) -> None:
        super().__init__()
        self.set_forkserver_preload(_READ_AHEAD)


def _lives(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
