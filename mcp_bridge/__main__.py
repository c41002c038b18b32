"""`python -m mcp_bridge`: the command line."""

import logging
import os
import socket

import click
import uvicorn

from mcp_bridge.app import REALM_HEADER, create_app
from mcp_bridge.quickbooks import PRODUCTION


@click.command()
@click.option("--port", envvar="BRIDGE_PORT", default=8071, show_default=True, help="Where to listen.")
@click.option(
    "--host",
    envvar="BRIDGE_HOST",
    default="127.0.0.1",
    show_default=True,
    help="Loopback unless a proxy with TLS stands before it.",
)
@click.option(
    "--api-url", envvar="QUICKBOOKS_API_URL", default=PRODUCTION, show_default=True, help="The accounting API."
)
def main(port: int, host: str, api_url: str) -> None:
    """An MCP server in front of QuickBooks' accounting API, read-only, at /mcp.

    Every request brings its access token (Authorization: Bearer …) and its company. Nothing is kept, no token is
    logged.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # These log whole addresses and requests; what is worth knowing of a call is logged by us.
    for noisy in ("httpx", "httpcore", "mcp"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    try:
        listening = socket.create_server((host, port))  # before we say so: whoever read the line may ask at once
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen at {host}:{port} ({os.strerror(error.errno or 0)}). Try another --port."
        ) from None
    click.echo(f"QuickBooks bridge at http://{host}:{port}/mcp, companies by {REALM_HEADER}, in front of {api_url}")
    config = uvicorn.Config(create_app(api_url.rstrip("/")), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
