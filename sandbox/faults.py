"""Faults that a test orders: which call goes wrong, how, and how often. Orders and counting only.

How a fault shows on the wire is in `intercept.py`; how it shows in data is the twin's (`provider.spoil`).
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal[
    "status", "slow", "cut", "duplicate", "reorder", "cycle", "malformed_item", "truncated", "html", "empty",
    "tool_error", "expire_tokens", "raw",
]  # fmt: skip
DATA_KINDS = frozenset({"duplicate", "reorder", "cycle", "malformed_item", "truncated", "empty", "raw"})
RAW = "sandbox.raw"
"""The member of a record that `raw` replaces on the wire; the twin only says which record."""


class Fault(BaseModel):
    """One order. It counts the calls that match it and that no earlier order has answered."""

    model_config = ConfigDict(extra="forbid")

    provider: str
    tool: str = "*"
    match: dict[str, Any] = Field(default_factory=dict)
    after: int = Field(default=0, ge=0)
    times: int | None = Field(default=1, ge=1)
    kind: Kind
    status: Literal[401, 403, 429, 500, 503] | None = None
    retry_after: float | None = None
    seconds: float = Field(default=1.0, ge=0)
    raw: str = ""  # members of a JSON object, as they are to be sent, be they JSON or not

    @model_validator(mode="after")
    def _status_where_needed(self) -> "Fault":
        if self.kind == "status" and self.status is None:
            raise ValueError("a fault of kind 'status' needs a status")
        if (self.kind == "raw") != bool(self.raw):
            raise ValueError("a fault of kind 'raw' needs what is sent, and no other does")
        return self

    def matches(self, provider: str, tool: str, arguments: dict[str, Any]) -> bool:
        """`*` is every tool, but not the token endpoint, whose name here is `token`."""
        named = self.tool == tool or (self.tool == "*" and tool != "token")
        missing = object()
        return (
            self.provider == provider
            and named
            and all(arguments.get(name, missing) == value for name, value in self.match.items())
        )


@dataclass
class FaultPlan:
    """The orders, in the order in which they were given."""

    faults: list[Fault] = field(default_factory=list)

    def take(self, provider: str, tool: str, arguments: dict[str, Any]) -> Fault | None:
        """The fault that befalls this call, if any; counted."""
        for fault in self.faults:
            if fault.times == 0 or not fault.matches(provider, tool, arguments):
                continue
            if fault.after:
                fault.after -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None
