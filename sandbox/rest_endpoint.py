"""A twin's REST API: a bearer token on every request, read-only, and faults in data. What it answers is the twin's."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from sandbox.faults import DATA_KINDS
from sandbox.fiction import World
from sandbox.intercept import ACCOUNT, FAULT, Asked
from sandbox.provider import Provider, Refusal, RestServer


def describe(scope: Scope, body: bytes) -> Asked:
    """A request, as a fault or the record of calls names it: by the last part of its path that is a word."""
    asked = dict(Request(scope).query_params)
    words = [part for part in scope["path"].split("/") if part and not part.isdigit()]
    return Asked({"tool": words[-1]}, words[-1], asked)


@dataclass
class RestEndpoint:
    """An ASGI application behind the gate."""

    provider: Provider
    server: RestServer
    world: World

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, fault = Request(scope), scope[FAULT]
        organization = self.world.organization(scope[ACCOUNT])
        asked: dict[str, Any] = dict(request.query_params)
        if fault and fault.kind == "tool_error":  # an error that does not say so by its status
            response = JSONResponse(self.provider.error_body(fault.status or 500))
        else:
            try:
                answer = self.server.read(organization, request.path_params["rest"], asked)
                if fault and fault.kind in DATA_KINDS:
                    answer = self.server.spoil(fault.kind, asked, answer)
                response = JSONResponse(answer)
            except Refusal as refusal:
                status = refusal.status
                response = JSONResponse(self.server.refusal_body(refusal), status_code=status)
        await response(scope, receive, send)
