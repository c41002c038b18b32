"""The assembly: one world, its providers with their MCP and OAuth servers, and the levers, in one app."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from sandbox import mcp_endpoint, rest_endpoint
from sandbox.calls import CallLog
from sandbox.control import Control, LoopbackOnly
from sandbox.faults import FaultPlan
from sandbox.fiction import World
from sandbox.gate import BearerGate
from sandbox.gmail import Gmail
from sandbox.google_drive import GoogleDrive
from sandbox.grants import GrantBook
from sandbox.hubspot import HubSpot
from sandbox.intercept import Intercepted
from sandbox.mcp_endpoint import ToolServer
from sandbox.oauth import AuthorizationServer
from sandbox.provider import Provider, RestServer
from sandbox.quickbooks import QuickBooks
from sandbox.rest_endpoint import RestEndpoint
from sandbox.world import SIZES


def create_app(seed: int, size: str, base_url: str, state: Path | None = None) -> Starlette:
    """The outside world, served at `base_url` (which its answers mention; no slash at the end).

    `state` is a folder in which grants outlive the process.
    """
    world, faults, calls = World(seed, SIZES[size]), FaultPlan(), CallLog()
    providers: Sequence[Provider] = [HubSpot(base_url), GoogleDrive(base_url), Gmail(), QuickBooks()]
    books, managers, mounts = [], [], []
    for provider in providers:
        provider.populate(world)
        book = GrantBook(
            provider.oauth.expires_in, provider.oauth.rotates, state / f"{provider.name}.json" if state else None
        )
        oauth = AuthorizationServer(provider, world, book, faults, calls, base_url)
        endpoints = []
        for path, server in provider.servers.items():
            if isinstance(server, RestServer):
                api = RestEndpoint(provider, server, world)
                gate = BearerGate(api, book, oauth.challenge, False, provider.error_body, server.scope)
                describe, route, methods = rest_endpoint.describe, path + "/{rest:path}", ["GET"]
            else:
                manager = ToolServer(provider, server, world).manager()
                managers.append(manager)
                gate = BearerGate(
                    manager.asgi_app, book, oauth.challenge, server.public_listing, lambda _: {"error": "unauthorized"}
                )
                describe, route, methods = mcp_endpoint.describe, path, ["POST"]
            intercepted = Intercepted(gate, provider, book, faults, calls, oauth.challenge, describe)
            endpoints.append(Route(route, intercepted, methods=methods))
        mounts.append(Mount(f"/{provider.name}", routes=[*endpoints, *oauth.routes(), *provider.pages(world)]))
        books.append(book)
    control = Control(world, size, providers, books, faults, calls)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for manager in managers:
                await stack.enter_async_context(manager.run())
            yield

    levers = Mount("/_control", routes=control.routes(), middleware=[Middleware(LoopbackOnly)])
    return Starlette(routes=[*mounts, levers], lifespan=lifespan)
