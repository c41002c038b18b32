"""`python -m oauth_app`: serve the pages on loopback until stopped."""

import argparse
import logging
import signal
import sys

import waitress  # type: ignore[import-untyped]  # it ships none

from boots_pipeline.errors import BootsError
from boots_pipeline.settings import settings
from oauth_app import create_app

_HOST = "127.0.0.1"
_HELP = """The pages: sign in, connect, settings, proposals; on loopback at WEB_PORT, for a proxy with TLS before them.
Needs WEB_DATABASE_URL, VAULT_KEYS or VAULT_KEY_FILE, and SECRET_KEY; .env.example explains these and all others."""


def main() -> int:
    """Serve; the exit code is 2 when something must be set right first."""
    argparse.ArgumentParser(prog="python -m oauth_app", description=_HELP).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    try:
        app = create_app()
        server = waitress.create_server(app, host=_HOST, port=settings().web_port, threads=8, ident="")
    except BootsError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Port {settings().web_port} is not free ({error.strerror}). Set WEB_PORT to another.", file=sys.stderr)
        return 2
    print(f"The pages are at {settings().public_base_url}", flush=True)
    try:
        server.run()
    except (KeyboardInterrupt, SystemExit):
        server.close()
    finally:
        app.extensions["boots"].close()
    return 0


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
