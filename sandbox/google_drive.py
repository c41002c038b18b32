"""Google's official remote Drive server (`drivemcp.googleapis.com/mcp/v1`), as far as six read-only tools go.

Its traps are kept: a search has no order and no total, its last page may be an empty object, its query language is
not that of Drive v3, text files cannot be read but must be downloaded, Google's own cannot be downloaded without a
type to export to, and what is in the trash is neither found nor marked.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib import resources
from random import Random
from typing import Any

from mcp.types import Tool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import google
from sandbox.drive_files import FOLDER, NATIVE, OFFICE, Drive, File, content_of
from sandbox.faults import RAW
from sandbox.fiction import World
from sandbox.pages import page
from sandbox.provider import McpServer, Refusal, Report, RestServer, Structured
from sandbox.world import Organization

PAGE, LARGEST_PAGE = 20, 100
_TERM = re.compile(
    r"\s*(title|fullText|mimeType|modifiedTime|createdTime|parentId|owner)\s*(=|!=|>=|<=|>|<|contains)\s*"
    r"'((?:[^'\\]|\\.)*)'\s*(?:and\b|$)"
)


class GoogleDrive:
    """The twin. See `provider.Provider` for what each method owes."""

    name = "google_drive"
    title = "Google Drive"
    public_listing = True
    oauth = google.oauth_facts("https://www.googleapis.com/auth/drive.readonly", "read all your files in Drive")

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        listed = json.loads(resources.files("sandbox").joinpath("google_drive_tools.json").read_text("utf-8"))
        self.tools = [Tool.model_validate(tool) for tool in listed]
        self.drives: dict[str, Drive] = {}
        self._answers: dict[str, Callable[[Drive, dict[str, Any]], Any]] = {
            "search_files": self._search,
            "list_recent_files": self._recent,
            "get_file_metadata": lambda drive, asked: self._told(_file(drive, asked)),
            "read_file_content": _read,
            "download_file_content": _download,
            "get_file_permissions": lambda drive, asked: {
                "permissions": [{"role": "owner", "emailAddress": _file(drive, asked).owner}]
            },
        }

    @property
    def servers(self) -> Mapping[str, McpServer | RestServer]:
        return {"/mcp": self, "/v1": google.UserInfo()}

    def populate(self, world: World) -> None:
        self.drives = {each.slug: Drive.written(world.seed, each) for each in world.organizations}

    def advance(self, organization: Organization, start: datetime, rng: Random) -> Report:
        return {"files": self.drives[organization.slug].day(start, rng)}

    def pages(self, world: World) -> list[Route]:
        async def show(request: Request) -> Response:
            for drive in self.drives.values():
                file = drive.files.get(request.path_params["file"])
                if file is not None and not file.trashed:
                    return page(
                        "record.html", self.title, kind="file", properties={"title": file.title, "text": file.text}
                    )
            return page("problem.html", self.title, status=404, problem="There is no such file any more.")

        return [Route("/file/d/{file}/view", show)]

    def error_body(self, status: int) -> dict[str, Any]:
        return google.error_body(status)

    def callback_extras(self, organization: Organization) -> dict[str, str]:
        return {}

    def token_extras(self, organization: Organization) -> dict[str, Any]:
        return google.token_extras(organization)

    def truth(self, organization: Organization) -> dict[str, dict[str, Any]]:
        drive = self.drives[organization.slug]
        files = {
            file.id: {"title": file.title, "path": drive.path(file), "text": file.text, "mimeType": file.mime_type}
            for file in drive.living()
            if file.mime_type != FOLDER
        }
        return {"account": {"id": google.account_id(organization)}, "files": files}

    def call(self, organization: Organization, tool: str, arguments: dict[str, Any]) -> Any:
        return Structured(self._answers[tool](self.drives[organization.slug], arguments))

    def spoil(self, kind: str, arguments: dict[str, Any], answer: Any) -> Any:
        """Faults in a list of files. Any other answer has nothing to duplicate or reorder, and stays."""
        told, items = dict(answer.content), list(answer.content.get("files") or ())
        if not items:
            return answer
        match kind:
            case "duplicate":
                items.append(items[0])
            case "reorder":
                items.reverse()
            case "malformed_item":
                items[len(items) // 2] = {"title": "no id"}
            case "raw":
                items[len(items) // 2] = {**items[len(items) // 2], RAW: None}
            case "truncated":
                del items[len(items) // 2 :]
            case "empty":
                return Structured({})
            case "cycle":
                told["nextPageToken"] = google.page_token(0)
        return Structured({**told, "files": items})

    def _search(self, drive: Drive, arguments: dict[str, Any]) -> dict[str, Any]:
        wanted = _matcher(arguments.get("query", ""))
        return self._listed([file for file in drive.living() if wanted(file)], arguments, PAGE)

    def _recent(self, drive: Drive, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._listed(sorted(drive.living(), key=lambda file: file.modified, reverse=True), arguments, 10)

    def _listed(self, found: list[File], arguments: dict[str, Any], usual: int) -> dict[str, Any]:
        start = google.offset_of(arguments.get("pageToken"))
        most = min(arguments.get("pageSize") or usual, LARGEST_PAGE)
        if not (files := found[start : start + most]):
            return {}
        snippets = not arguments.get("excludeContentSnippets")
        answer: dict[str, Any] = {"files": [self._told(file, snippets) for file in files]}
        if start + most < len(found):
            answer["nextPageToken"] = google.page_token(start + most)
        return answer

    def _told(self, file: File, snippets: bool = False) -> dict[str, Any]:
        told: dict[str, Any] = {
            "id": file.id, "title": file.title, "mimeType": file.mime_type, "owner": file.owner,
            "createdTime": _time(file.created), "modifiedTime": _time(file.modified),
            "viewUrl": f"{self.base_url}/{self.name}/file/d/{file.id}/view",
        }  # fmt: skip
        if file.parent_id:
            told["parentId"] = file.parent_id
        if file.mime_type not in NATIVE and file.mime_type != FOLDER:
            told["fileSize"] = str(file.size or len(file.made() if file.made else file.text.encode()))
        if snippets and file.text:
            told["contentSnippet"] = file.text[:200]
        return told


def _file(drive: Drive, arguments: dict[str, Any]) -> File:
    file = drive.files.get(arguments["fileId"])
    if file is None:
        raise Refusal(json.dumps(google.error_body(404)))
    return file


def _read(drive: Drive, arguments: dict[str, Any]) -> dict[str, Any]:
    file = _file(drive, arguments)
    if file.mime_type not in NATIVE and file.mime_type not in (*OFFICE, "application/pdf"):
        raise Refusal(json.dumps(google.error_body(400)))
    return {"fileContent": file.text}


def _download(drive: Drive, arguments: dict[str, Any]) -> dict[str, Any]:
    file = _file(drive, arguments)
    if file.mime_type in NATIVE and not arguments.get("exportMimeType"):
        raise Refusal(json.dumps(google.error_body(400)))
    content = base64.b64encode(content_of(file)).decode()
    return {"id": file.id, "title": file.title, "mimeType": file.mime_type, "content": content}


def _matcher(query: str) -> Callable[[File], bool]:
    tests: list[Callable[[File], bool]] = []
    rest = query
    while rest.strip():
        found = _TERM.match(rest)
        if found is None:
            raise Refusal(json.dumps(google.error_body(400)))
        tests.append(_test(found[1], found[2], found[3].replace("\\'", "'")))
        rest = rest[found.end() :]
    return lambda file: all(test(file) for test in tests)


def _test(term: str, operator: str, value: str) -> Callable[[File], bool]:
    def told(file: File) -> str:
        match term:
            case "modifiedTime":
                return _time(file.modified)
            case "createdTime":
                return _time(file.created)
            case "mimeType":
                return file.mime_type
            case "parentId":
                return file.parent_id or ""
            case "owner":
                return file.owner
            case "fullText":
                return f"{file.title} {file.text}"
        return file.title

    match operator:
        case "=":
            return lambda file: told(file) == value
        case "!=":
            return lambda file: told(file) != value
        case "contains":
            return lambda file: value.casefold() in told(file).casefold()
        case ">" | ">=":
            return lambda file: told(file) > value or (operator == ">=" and told(file) == value)
    return lambda file: told(file) < value or (operator == "<=" and told(file) == value)


def _time(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
