"""Where a test keeps the data of a Postgres server."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def server_folder() -> Iterator[Path]:
    """An empty folder, gone at the end. Never pytest's own: another pytest that starts meanwhile closes that to all
    but root, and as root the server runs as somebody else, so its initdb failed in one of many side-by-side runs."""
    with tempfile.TemporaryDirectory(prefix="boots-tests-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
