"""Stands before an endpoint: notes each call, and lets an ordered fault befall it on the wire."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.calls import CallLog
from sandbox.faults import RAW, Fault, FaultPlan
from sandbox.grants import GrantBook
from sandbox.provider import Provider

FAULT = "sandbox.fault"
"""Where in the ASGI scope the endpoint finds the fault that is its own to commit (those in data)."""
ACCOUNT = "sandbox.account"
"""Where in the ASGI scope the gate leaves the organisation that the token opens."""
ASKED = "sandbox.asked"
"""Where in the ASGI scope the endpoint finds what the request is about."""
_MARKED = re.compile(rb'(\\?)"%s\\?":\s?null' % re.escape(RAW).encode())
LOGIN_PAGE = "<!doctype html><title>Sign in</title><h1>Please sign in</h1><p>Sandbox: fiction.</p>"


@dataclass(frozen=True)
class Asked:
    """What a request is about, without its secrets."""

    name: dict[str, str]  # for the record: {"tool": …} or {"endpoint": …}
    target: str | None  # what a fault calls it; None where no fault can reach
    arguments: dict[str, Any]


@dataclass
class Intercepted:
    """An ASGI application around another one."""

    app: ASGIApp
    provider: Provider
    grants: GrantBook
    faults: FaultPlan
    calls: CallLog
    challenge: str
    describe: Callable[[Scope, bytes], Asked]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        asked = self.describe(scope, body)
        fault = self.faults.take(self.provider.name, asked.target, asked.arguments) if asked.target else None
        if fault and fault.kind == "expire_tokens":
            self.grants.expire_access_tokens()
        # Written down as it arrives: who was answered, or has hung up, may look before we are done with it.
        call = self.calls.add(self.provider.name, asked.name, asked.arguments)

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                call["status"] = message["status"]
            await send(message)

        await self._serve(fault, {**scope, FAULT: fault, ASKED: asked}, _again(body, receive), watch)

    async def _serve(self, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
        match fault:
            case Fault(kind="status"):
                await self._refusal(fault)(scope, receive, send)
            case Fault(kind="html"):
                await HTMLResponse(LOGIN_PAGE)(scope, receive, send)
            case Fault(kind="cut"):
                await _cut(self.app, scope, receive, send)
            case Fault(kind="raw"):
                await _send_raw(fault.raw, self.app, scope, receive, send)
            case Fault(kind="slow"):
                await anyio.sleep(fault.seconds)
                await self.app(scope, receive, send)
            case _:
                await self.app(scope, receive, send)

    def _refusal(self, fault: Fault) -> Response:
        """The HTTP error that was ordered, as the provider would write it."""
        status, headers = fault.status or 500, {}
        if fault.retry_after is not None:
            headers["Retry-After"] = f"{fault.retry_after:g}"
        if status == 401:
            headers["WWW-Authenticate"] = self.challenge
        if status == 403:
            headers["WWW-Authenticate"] = f'{self.challenge}, error="insufficient_scope"'
        return JSONResponse(self.provider.error_body(status), status_code=status, headers=headers)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body has been read; the application reads it once more, and then listens to the real connection."""
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return parts.pop() if parts else await receive()

    return replay


async def _cut(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Promise the whole answer and send half of it: the server then drops a connection left unfinished."""
    start, whole = await _held(app, scope, receive)
    await send(_promising(start, whole))
    await send({"type": "http.response.body", "body": whole[: len(whole) // 2], "more_body": True})


async def _send_raw(raw: str, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The answer with what was ordered in the place of the member that the twin has marked: no library for JSON would
    write that. Inside a block of text it is escaped, as the text around it is."""
    start, whole = await _held(app, scope, receive)

    def written(marked: re.Match[bytes]) -> bytes:
        return (json.dumps(raw)[1:-1] if marked[1] else raw).encode()

    whole = _MARKED.sub(written, whole)
    await send(_promising(start, whole))
    await send({"type": "http.response.body", "body": whole})


async def _held(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """How an answer starts, and all of its body."""
    held: list[Message] = []

    async def hold(message: Message) -> None:
        held.append(message)

    await app(scope, receive, hold)
    start, *parts = held
    return start, b"".join(part.get("body", b"") for part in parts)


def _promising(start: Message, whole: bytes) -> Message:
    headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    return {**start, "headers": [*headers, (b"content-length", str(len(whole)).encode())]}
