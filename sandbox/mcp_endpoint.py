"""A twin's MCP server over streamable HTTP: stateless, with JSON answers, behind the gate.

The protocol is the `mcp` SDK's low-level server. Ours are the check of arguments against the tool's own schema (the
SDK leaves that to the tool), and the faults in data.
"""

import json
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from starlette.requests import Request
from starlette.types import Scope

from sandbox.faults import DATA_KINDS, Fault
from sandbox.fiction import World
from sandbox.intercept import ACCOUNT, FAULT, Asked
from sandbox.provider import McpServer, ProseErrors, Provider, Refusal, Structured, Texts

Context = ServerRequestContext[Any, Request]


def describe(scope: Scope, body: bytes) -> Asked:
    """A JSON-RPC message, as a fault or the record of calls names it. Garbage is the SDK's to refuse."""
    try:
        message = json.loads(body)
        method, params = str(message.get("method")), message.get("params") or {}
        tool, arguments = params.get("name"), params.get("arguments") or {}
    except (ValueError, AttributeError):
        return Asked({"endpoint": "mcp"}, None, {})
    if method == "tools/call" and isinstance(arguments, dict):
        return Asked({"tool": str(tool)}, str(tool), arguments)
    return Asked({"endpoint": method}, None, {})


@dataclass
class ToolServer:
    """The tools of one provider, for whichever organisation the request's token opens."""

    provider: Provider
    server: McpServer
    world: World

    def __post_init__(self) -> None:
        self.validators = {tool.name: Draft202012Validator(tool.input_schema) for tool in self.server.tools}

    def manager(self) -> StreamableHTTPSessionManager:
        server: Server[Any] = Server(
            f"sandbox-{self.provider.name}",
            version="1.0.0",
            title=f"{self.provider.title} (sandbox, fiction)",
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
        )
        return StreamableHTTPSessionManager(server, json_response=True, stateless=True)

    async def list_tools(self, context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=list(self.server.tools))

    async def call_tool(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        if params.name not in self.validators:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
        assert context.request is not None, "there is a request behind every call over HTTP"
        scope, arguments = context.request.scope, params.arguments or {}
        try:
            self._check(params.name, arguments)
            return _result(self._answer(params.name, arguments, scope[ACCOUNT], scope[FAULT]))
        except Refusal as refusal:
            told, marked = str(refusal), True
            if isinstance(self.server, ProseErrors):
                told, marked = self.server.error_text(params.name, told), False
            return CallToolResult(content=[TextContent(type="text", text=told)], is_error=marked)

    def _answer(self, tool: str, arguments: dict[str, Any], account: str, fault: Fault | None) -> Any:
        if fault and fault.kind == "tool_error":
            raise Refusal(json.dumps(self.provider.error_body(fault.status or 500)))
        answer = self.server.call(self.world.organization(account), tool, arguments)
        if fault and fault.kind in DATA_KINDS:
            return self.server.spoil(fault.kind, arguments, answer)
        return answer

    def _check(self, tool: str, arguments: dict[str, Any]) -> None:
        for error in self.validators[tool].iter_errors(arguments):
            raise Refusal(f"Invalid arguments for {tool}: {error.json_path}: {error.message}")


def _result(answer: Any) -> CallToolResult:
    """JSON in a text block, as most real servers do. Escaped to ASCII: whatever the world holds can travel."""
    match answer:
        case Texts(blocks):
            return CallToolResult(content=[TextContent(type="text", text=block) for block in blocks])
        case Structured(content):
            told = [TextContent(type="text", text=json.dumps(content))]
            return CallToolResult(content=list(told), structured_content=content)
    return CallToolResult(content=[TextContent(type="text", text=json.dumps(answer))])
