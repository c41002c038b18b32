"""Dagster's code server, with one difference: a run's process is forked from one that has read the code already.

Dagster starts a new Python for each run, and of the CPU that a run of ours cost, 84 % was that Python reading modules:
1.5 to 2.2 s a run, now 0.5 to 0.8. Its executor offers the fork server for steps (dagster#6446); for runs there is no
such setting, hence the one assignment below. Takes host (-h) and port (-p) as `dagster api grpc` does.
"""

import multiprocessing
import signal
import sys
from typing import Any

from dagster._cli.api import api_cli
from dagster._grpc import server

_DEFINITIONS = "boots_pipeline.definitions"
# Read once, in a process with one thread and nothing open: what is open does not survive a fork, and our definitions
# open nothing before it is used.
_READ_AHEAD = [
    _DEFINITIONS,
    "boots_pipeline.resources.mcp_line",
    "dagster._grpc.impl",
    "dagster._core.storage.local_compute_log_manager",
    "dagster_postgres",
    "wordllama",
]


class ForkingApiServer(server.DagsterApiServer):
    """What the code server serves, with runs from the fork server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        forking = multiprocessing.get_context("forkserver")
        forking.set_forkserver_preload(_READ_AHEAD)
        self._mp_ctx = forking  # type: ignore[assignment]


def main() -> None:
    """Serve until told to end."""
    # Dagster hears SIGTERM as it hears SIGINT, which a script's `… &` has ignored: nothing but SIGKILL ended it then.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    server.DagsterApiServer = ForkingApiServer  # type: ignore[misc]
    ours = ["-m", _DEFINITIONS, "--location-name", "boots_pipeline"]
    api_cli.main(["grpc", *ours, *sys.argv[1:]], prog_name="boots_pipeline.code_server")


if __name__ == "__main__":
    main()
