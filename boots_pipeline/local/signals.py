"""Ctrl-C, `kill` and a closed terminal: one and the same wish, and never in the middle of a start or a stop."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

_WISHES = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_when_asked() -> None:
    """From now on each of the signals is a KeyboardInterrupt, and says that it was heard: stopping takes seconds."""
    for number in _WISHES:
        signal.signal(number, _stop)


def stop_listening() -> None:
    """It is over, and the exit code is said: no second Ctrl-C changes it."""
    for number in _WISHES:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: object) -> NoReturn:
    os.write(2, b"\nStopping...\n")  # not print: this may come in the middle of one
    raise KeyboardInterrupt


@contextmanager
def held_back() -> Iterator[None]:
    """The signals wait until the block is done, so that nothing is started that nobody knows of, or left half
    stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in _WISHES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
