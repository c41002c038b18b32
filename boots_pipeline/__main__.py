"""Where the `boots` command begins. A Ctrl-C while Python still reads the rest of it ends quietly: nothing is begun."""

import os
import signal


def main() -> None:
    """Read the commands, and do the one that was asked for."""
    # From its first moment on a command listens in its own way: boots_pipeline.local.signals.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    from boots_pipeline.cli import main as boots

    boots()


if __name__ == "__main__":
    main()
