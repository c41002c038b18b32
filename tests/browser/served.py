"""The pages on a database of their own, served as `python -m oauth_app` does, and Debian's Chromium to look at them."""

import base64
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import waitress
from playwright.sync_api import Browser, sync_playwright

from boots_pipeline.settings import Settings
from oauth_app import create_app
from tests.outside import free_port

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip


@contextmanager
def served(web_database_url: str) -> Iterator[str]:
    """The address of the pages."""
    port = free_port()
    app = create_app(
        Settings(
            _env_file=None,
            web_database_url=web_database_url,
            vault_keys=f"test:{base64.b64encode(os.urandom(32)).decode()}",
            vault_key_file=None,
            secret_key="k" * 32,
            public_base_url=f"http://127.0.0.1:{port}",
            boots_env="development",
        )
    )
    server = waitress.create_server(app, host="127.0.0.1", port=port, threads=4)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        thread.join(10)
        app.extensions["boots"].close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that remembers nothing."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if path is None:
        raise FileNotFoundError("Chromium is missing: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()
