"""The levers: what the world is, what is true in it, the next day, faults, and the record of calls.

For tests and the demo, from this machine only. Nothing of the product may use them.
"""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.calls import CallLog
from sandbox.changes import advance
from sandbox.faults import Fault, FaultPlan
from sandbox.fiction import World
from sandbox.grants import GrantBook
from sandbox.provider import Provider


class Advance(BaseModel):
    """How far to move the world on, and by which chance (the world's own when none is given)."""

    model_config = ConfigDict(extra="forbid")

    days: int = Field(ge=1, le=366)
    seed: int | None = None


class Orders(BaseModel):
    """What `POST /_control/faults` takes."""

    model_config = ConfigDict(extra="forbid")

    faults: list[Fault]


@dataclass
class Control:
    world: World
    size: str
    providers: Sequence[Provider]
    grants: Sequence[GrantBook]
    faults: FaultPlan
    calls: CallLog

    def routes(self) -> list[Route]:
        return [
            Route("/health", self.health),
            Route("/world", self.tell_world),
            Route("/truth", self.tell_truth),
            Route("/advance", self.advance, methods=["POST"]),
            Route("/faults", self.list_faults, methods=["GET"]),
            Route("/faults", self.add_faults, methods=["POST"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/calls", self.list_calls, methods=["GET"]),
            Route("/calls", self.clear_calls, methods=["DELETE"]),
            Route("/secrets", self.list_secrets),
            Route("/reset", self.reset, methods=["POST"]),
        ]

    async def health(self, request: Request) -> Response:
        return JSONResponse({"ok": True})

    async def tell_world(self, request: Request) -> Response:
        organizations = [
            {
                "slug": organization.slug,
                "name": organization.name,
                "users": [
                    {"id": user.id, "email": user.email, "name": user.name, "role": user.role}
                    for user in organization.users
                ],
            }
            for organization in self.world.organizations
        ]
        return JSONResponse(
            {
                "fiction": True,
                "seed": self.world.seed,
                "size": self.size,
                "today": self.world.today.isoformat(),
                "organizations": organizations,
            }
        )

    async def tell_truth(self, request: Request) -> Response:
        counts = request.query_params.get("counts") == "1"
        told = {
            organization.slug: {
                provider.name: _counted(provider.truth(organization)) if counts else provider.truth(organization)
                for provider in self.providers
            }
            for organization in self.world.organizations
        }
        # Escaped to ASCII: half a surrogate pair cannot be sent in any other way.
        whole = json.dumps({"today": self.world.today.isoformat(), "organizations": told})
        return Response(whole, media_type="application/json")

    async def advance(self, request: Request) -> Response:
        try:
            order = Advance.model_validate_json(await request.body())
        except ValidationError as error:
            return _unclear(error)
        reports = advance(self.world, self.providers, order.days, order.seed)
        return JSONResponse({"today": self.world.today.isoformat(), "organizations": reports})

    async def list_faults(self, request: Request) -> Response:
        return JSONResponse({"faults": [fault.model_dump() for fault in self.faults.faults]})

    async def add_faults(self, request: Request) -> Response:
        try:
            orders = Orders.model_validate_json(await request.body())
        except ValidationError as error:
            return _unclear(error)
        self.faults.faults.extend(orders.faults)
        return await self.list_faults(request)

    async def clear_faults(self, request: Request) -> Response:
        self.faults.faults.clear()
        return await self.list_faults(request)

    async def list_calls(self, request: Request) -> Response:
        return JSONResponse(self.calls.calls)

    async def clear_calls(self, request: Request) -> Response:
        self.calls.calls.clear()
        return await self.list_calls(request)

    async def list_secrets(self, request: Request) -> Response:
        return JSONResponse(sorted({secret for book in self.grants for secret in book.secrets()}))

    async def reset(self, request: Request) -> Response:
        self.world.reset()
        for provider in self.providers:
            provider.populate(self.world)
        for book in self.grants:
            book.clear()
        self.faults.faults.clear()
        self.calls.calls.clear()
        return await self.tell_world(request)


@dataclass
class LoopbackOnly:
    """The levers ask for no password, so nobody elsewhere may reach them, whatever `--host` says."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if scope["type"] == "http" and (client is None or not ipaddress.ip_address(client[0]).is_loopback):
            refusal = JSONResponse({"error": "The control endpoints answer to this machine only."}, status_code=403)
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _counted(truth: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: told if name == "account" else len(told) for name, told in truth.items()}


def _unclear(error: ValidationError) -> Response:
    problems = [{"where": list(problem["loc"]), "what": problem["msg"]} for problem in error.errors()]
    return JSONResponse({"error": "The order was not understood.", "problems": problems}, status_code=400)
