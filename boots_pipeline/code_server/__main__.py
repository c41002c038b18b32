"""Dagster's code server, with one difference: a run's process is forked from one that has read the code already.

Dagster starts a new Python for each run, and of the CPU that a run of ours cost, 84 % was that Python reading modules:
1.5 to 2.2 s a run, now 0.5 to 0.8. Its executor offers the fork server for steps (dagster#6446); for runs there is no
such setting, hence the one assignment below. Takes host (-h) and port (-p) as `dagster api grpc` does.
"""

import signal
import sys
from typing import Any

from dagster._cli.api import api_cli
from dagster._grpc import server

from boots_pipeline.code_server.forking import Forking


class ForkingApiServer(server.DagsterApiServer):
    """What the code server serves, with runs from the fork server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._mp_ctx = Forking()  # type: ignore[assignment]


def main() -> None:
    """Serve until told to end."""
    # Dagster hears SIGTERM as it hears SIGINT, which a script's `… &` has ignored: nothing but SIGKILL ended it then.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    server.DagsterApiServer = ForkingApiServer  # type: ignore[misc]
    ours = ["-m", "boots_pipeline.definitions", "--location-name", "boots_pipeline"]
    api_cli.main(["grpc", *ours, *sys.argv[1:]], prog_name="boots_pipeline.code_server")


if __name__ == "__main__":
    main()
