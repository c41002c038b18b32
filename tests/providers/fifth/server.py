"""Notebook's MCP server: two tools over a dictionary of notes, as somebody would write it with the SDK."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from mcp.server import MCPServer
from starlette.requests import Request
from starlette.responses import Response

from tests.outside import free_port

PAGE = 4
DAY = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Notes:
    """What the server holds, and what was asked of it."""

    token: str = "token-of-the-notebook"
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    locked: set[str] = field(default_factory=set)

    def write(self, note: str, day: int, **said: str) -> None:
        """A note, new or changed."""
        before = self.notes.get(note, {"id": note, "title": f"Note {note}", "text": "nothing yet", "client": ""})
        self.notes[note] = {**before, **said, "changed": (DAY + timedelta(days=day)).isoformat()}


@contextmanager
def notebook_server(held: Notes) -> Iterator[str]:
    """Serve them; gives the MCP server's URL."""
    server = MCPServer("notebook")

    @server.tool()
    def list_notes(page: int = 0, changed_since: str = "") -> dict[str, Any]:
        """Notes with the date of their last change, four a page, oldest change first."""
        found = sorted((n for n in held.notes.values() if n["changed"] >= changed_since), key=lambda n: n["changed"])
        more = len(found) > (page + 1) * PAGE
        listed = [{"id": note["id"], "changed": note["changed"]} for note in found[page * PAGE : (page + 1) * PAGE]]
        return {"notes": listed, "next": page + 1 if more else None}

    @server.tool()
    def read_note(note: str) -> dict[str, Any]:
        """One note."""
        if note in held.locked:
            raise ValueError('{"status": 403, "message": "locked"}')
        held.read.append(note)
        return held.notes[note]

    app = server.streamable_http_app(stateless_http=True, json_response=True)

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and Request(scope).headers.get("authorization") != f"Bearer {held.token}":
            await Response(status_code=401)(scope, receive, send)
        else:
            await app(scope, receive, send)

    port = free_port()
    running = uvicorn.Server(uvicorn.Config(guarded, port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        while not running.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        running.should_exit = True
        thread.join()
