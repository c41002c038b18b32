"""A token's gate before a server: who brings none is told so, and whose account it opens is found out here."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.grants import GrantBook
from sandbox.intercept import ACCOUNT, ASKED


@dataclass
class BearerGate:
    """Lets through whoever brings a living token, and tells the server whose account it opens."""

    app: ASGIApp
    grants: GrantBook
    challenge: str
    public_listing: bool
    refusal: dict[str, Any]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scheme, _, token = Request(scope).headers.get("authorization", "").partition(" ")
        account = self.grants.organization_of(token) if scheme.lower() == "bearer" else None
        if account is None and not (self.public_listing and scope[ASKED].target is None):
            refusal = JSONResponse(self.refusal, status_code=401, headers={"WWW-Authenticate": self.challenge})
            await refusal(scope, receive, send)
        else:
            await self.app({**scope, ACCOUNT: account}, receive, send)
