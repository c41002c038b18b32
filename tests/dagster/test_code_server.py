"""The code server as an operator starts and stops it. What its runs are: tests/local/test_whole_loop.py."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_it_ends_when_told_to_even_where_ctrl_c_is_ignored() -> None:
    """As a script's `… &` starts it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        server = subprocess.Popen(
            [sys.executable, "-m", "boots_pipeline.code_server", "-h", "127.0.0.1", "-p", str(port)],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        wait_until_it_listens(port)
        server.terminate()
        server.wait(15)
    finally:
        server.kill()
        server.wait()


def test_what_is_read_ahead_leaves_the_logging_of_runs_alone() -> None:
    program = (
        "import boots_pipeline.code_server.read_ahead, logging; r = logging.getLogger(); print(r.level, r.handlers)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "30 []\n"


def wait_until_it_listens(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("The code server did not listen within a minute.")
