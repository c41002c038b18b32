"""A token's gate before a server: who brings none is told so, and whose account it opens is found out here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.grants import GrantBook
from sandbox.intercept import ACCOUNT, ASKED


@dataclass
class BearerGate:
    """Lets through whoever brings a living token (RFC 6750), and tells the server whose account it opens."""

    app: ASGIApp
    grants: GrantBook
    challenge: str
    public_listing: bool
    refusal: Callable[[int], dict[str, Any]]  # what stands beside a status
    scope: str | None = None  # what the token must have been granted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scheme, _, token = Request(scope).headers.get("authorization", "").partition(" ")
        grant = self.grants.grant_of(token) if scheme.lower() == "bearer" else None
        if grant is None and not (self.public_listing and scope[ASKED].target is None):
            refusal = JSONResponse(self.refusal(401), status_code=401, headers={"WWW-Authenticate": self.challenge})
            await refusal(scope, receive, send)
        elif grant is not None and self.scope is not None and self.scope not in grant.scopes:
            told = {"WWW-Authenticate": f'{self.challenge}, error="insufficient_scope"'}
            await JSONResponse(self.refusal(403), status_code=403, headers=told)(scope, receive, send)
        else:
            await self.app({**scope, ACCOUNT: grant.organization if grant else None}, receive, send)
