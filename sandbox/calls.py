"""The record of what was asked of the outside world, in order. Never a token, a code or a secret."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass
class CallLog:
    calls: list[dict[str, Any]] = field(default_factory=list)

    def add(self, provider: str, name: dict[str, str], arguments: dict[str, Any], status: int = 0) -> dict[str, Any]:
        """`name` is {"tool": …} for a tool call and {"endpoint": …} for anything else. Returns the entry, whose status
        is 0 while there is no answer."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")  # the caller's time, not the world's
        call = {"provider": provider, **name, "arguments": arguments, "status": status, "at": at}
        self.calls.append(call)
        return call
