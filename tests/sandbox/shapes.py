"""The shape of a tool's arguments in one line: names, types, what is required (*), enums; `!` where nothing else may be
sent.

`facts/*.txt` hold the shapes of the real servers' tools, a tool a line, as they were seen
(docs/providers.md says when).
"""

from pathlib import Path
from typing import Any

FACTS = Path(__file__).parent / "facts"


def shape(schema: dict[str, Any]) -> str:
    """A JSON schema as a line: `{objectType*: string, limit: integer}!`."""
    if variants := schema.get("anyOf"):
        return " or ".join(shape(each) for each in variants)
    kind = schema.get("type", "anything")
    match kind:
        case "object" if "properties" in schema:
            required = schema.get("required", ())
            told = ", ".join(
                f"{name}{'*' if name in required else ''}: {shape(inner)}"
                for name, inner in schema["properties"].items()
            )
            kind = f"{{{told}}}"
        case "array":
            kind = f"[{shape(schema.get('items', {}))}]"
        case list():
            kind = " or ".join(kind)
    if "enum" in schema:
        kind += f"({'|'.join(map(str, schema['enum']))})"
    return f"{kind}!" if schema.get("additionalProperties") is False else str(kind)


def facts(server: str) -> dict[str, str]:
    """The real server's tools, by name."""
    lines = (FACTS / f"{server}.txt").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
