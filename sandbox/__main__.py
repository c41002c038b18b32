"""`python -m sandbox`: the command line. Its help is the manual."""

import socket
from pathlib import Path

import click
import uvicorn

from sandbox.app import create_app
from sandbox.oauth import CLIENT_ID, CLIENT_SECRET
from sandbox.world import SIZES

MANUAL = f"""A stand-in for the outside world, on loopback. Every person and company in it is fiction.

\b
PROVIDERS
  hubspot   HubSpot's official remote MCP server and its OAuth server
    POST /hubspot/mcp                                     MCP, streamable HTTP (the real one is at the root)
    POST /hubspot/npm/mcp                                 the npm server's tools on the same records
    GET  /hubspot/.well-known/oauth-protected-resource
    GET  /hubspot/.well-known/oauth-authorization-server
    GET  /hubspot/oauth/authorize/user                    the consent page; POST decides: account, decision
    POST /hubspot/oauth/v3/token                          also …/revoke and …/introspect
  gmail     Google's official remote Gmail server and Google's authorisation server
    POST /gmail/mcp                                       MCP; tools are listed without a token, as by the real one
    GET  /gmail/o/oauth2/v2/auth                          the consent page; also POST /gmail/token and …/revoke
    GET  /gmail/v1/userinfo                               whose token it is (OpenID Connect), with the scope openid
  google_drive   Google's official remote Drive server, in the same way
    POST /google_drive/mcp
  quickbooks  Intuit's authorisation server, and the accounting API that mcp_bridge reads
    GET  /quickbooks/v3/company/<realm>/query             also …/cdc, …/companyinfo/<realm>, …/<entity>/<id>
    POST /quickbooks/intuit/mcp                           Intuit's open-source MCP server on the same books
    GET  /quickbooks/connect/oauth2                       the consent page; the callback tells the realm
    POST /quickbooks/oauth2/v1/tokens/bearer              client_secret_basic only; …/v2/oauth2/tokens/revoke takes JSON
  The one registered client: {CLIENT_ID} with secret {CLIENT_SECRET} (client_secret_post, where nothing else is said),
  any loopback redirect URI that ends in /api/integrations/<provider>/callback, PKCE with S256.

\b
CONTROL (no login, this machine only)
  GET  /_control/health
  GET  /_control/world           organisations and users
  GET  /_control/truth           what exists now, per organisation and provider; ?counts=1 for numbers only
  POST /_control/advance         {{"days": 1, "seed": 3}}: the next days; answers what changed
  POST /_control/reset           the first day again; tokens, faults and calls forgotten
  GET  /_control/calls           what was asked, in order; DELETE forgets
  GET  /_control/secrets         every code and token that was given out, for a search where none may be
  GET  /_control/faults          orders that stand; POST adds, DELETE clears

\b
FAULTS
  POST /_control/faults {{"faults": [{{"provider": "hubspot", "tool": "search_crm_objects",
      "match": {{"objectType": "contacts"}}, "after": 2, "times": 1, "kind": "status", "status": 429}}]}}
  tool   a tool, "*" for any tool (default), or "token" for the token endpoint; of QuickBooks' API the last word of
         the path: query, cdc, companyinfo; of Google's also userinfo
  match  arguments that the call must have (for the token endpoint: grant_type)
  after  how many such calls go well first (0); times: how often then (1), null for ever
  kind   status (401, 403, 429, 500, 503; retry_after in seconds)   slow (seconds)
         cut (the connection dies mid-answer)   html (a login page)   tool_error (MCP isError; a Fault with status 200)
         expire_tokens (all access tokens die)   duplicate, reorder, malformed_item, truncated, empty
         (in the page)   cycle (the next page is one that was)   raw (a record of the page gets members exactly as they
         are written in "raw", which no library for JSON would send: "a": NaN, "a": [[[[…]]]], "id": "a second one")

\b
AWKWARD CASES
  Every world holds, in any size: U+0000, half an emoji, invisible characters, bidi, look-alikes, NFD names beside NFC
  ones, charsets that lie, a bomb, a million rows, 1 MB of text, 10,000 recipients, mail inside mail, a thread that is
  cut, days that no calendar has, a program called .pdf, what is encrypted, empty or too large, passwords, SQL, HTML,
  instructions to a reader, and fields called org_id and __proto__. All of it can be kept. What cannot be, or breaks
  the JSON around it, no provider's own software would send, and is a fault: raw.
"""


class Announcing(uvicorn.Server):
    """A server that says its one line when it listens, and not before."""

    def __init__(self, config: uvicorn.Config, line: str) -> None:
        super().__init__(config)
        self.line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            click.echo(self.line)


@click.command(help=MANUAL)
@click.option("--port", default=8070, show_default=True, help="Where to listen; 0 for any free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback unless you know why not.")
@click.option("--seed", default=7, show_default=True, help="Which world: the same seed is the same world.")
@click.option("--size", type=click.Choice(list(SIZES)), default="demo", show_default=True, help="How much of it.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="A folder that remembers who has connected, so that a restart asks nobody to connect again.",
)
def main(port: int, host: str, seed: int, size: str, state: Path | None) -> None:
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise click.ClickException(f"Cannot listen at {host}:{port} ({error.strerror}). Try another --port.") from None
    base_url = f"http://{host}:{listening.getsockname()[1]}"
    config = uvicorn.Config(create_app(seed, size, base_url, state), log_level="warning", access_log=False)
    Announcing(config, f"Sandbox (fiction, seed {seed}, {size}) listens at {base_url}").run(sockets=[listening])


if __name__ == "__main__":
    main()
