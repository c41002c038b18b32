"""Google Drive, through Google's official remote MCP server.

Facts of 2026-11 (docs/providers.md names the sources): a search has no order and no total, and ends with an answer
that may be empty; a file names one parent; `read_file_content` reads Google's own formats only as far as we rely on
it, and everything else is downloaded; moves, renamed folders, trashing and permissions show in no delta, so the weekly
listing finds them, by a version that contains the path.
"""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from boots_pipeline.errors import BadItem, BadPage, Forbidden, StaleCursor
from boots_pipeline.providers.base import (
    Account,
    Budget,
    Document,
    Item,
    Known,
    Page,
    Profile,
    Rejected,
    Tools,
    at_once,
)
from boots_pipeline.providers.drive_text import MOST_BYTES, MOST_CHARACTERS, is_readable, text_of
from boots_pipeline.providers.google import GoogleProvider, google_account, google_oauth

_PAGE = 50
_FOLDER = "application/vnd.google-apps.folder"
_NATIVE = {f"application/vnd.google-apps.{kind}" for kind in ("document", "spreadsheet", "presentation")}
_DEEPEST = 20  # folders above a file; a folder may be its own ancestor's child
_QUERIES = Budget("queries", 325_000, 60)  # of a user


@dataclass(frozen=True)
class _Folder:
    title: str
    parent: str | None


class DriveServer(Profile):
    """`https://drivemcp.googleapis.com/mcp/v1`."""

    name = "Google's Drive server"
    streams = ("files",)
    tools = frozenset({"search_files", "get_file_metadata", "read_file_content", "download_file_content"})

    async def identify(self, tools: Tools) -> Account | None:
        return await google_account(tools)

    async def pages(
        self, tools: Tools, stream: str, *, since: datetime | None, cursor: Any | None, known: Known
    ) -> AsyncIterator[Page]:
        folders = await _folders(tools)
        query = f"modifiedTime > '{since:%Y-%m-%dT%H:%M:%SZ}'" if since else ""
        position = cursor
        while True:
            try:
                files, following = await _search(tools, query, position)
            except BadPage as refused:
                if position is not None and position == cursor:
                    raise StaleCursor("Google Drive does not know the place where the last run stopped.") from refused
                raise
            yield await _page(tools, files, folders, following, known)
            position = following
            if position is None:
                return

    async def read(self, tools: Tools, stream: str, external_id: str) -> Item | None:
        file = await tools.call("get_file_metadata", {"fileId": external_id, "excludeContentSnippets": True})
        if not file:
            return None
        if not isinstance(file, dict) or file.get("id") != external_id:
            raise BadPage("Google Drive answered with another file than the one asked for.")
        path = await _path(tools, file, {})
        return await _read(tools, file, path)


async def _search(tools: Tools, query: str, position: str | None) -> tuple[list[Any], str | None]:
    """A page of files, and where the next one starts. An empty answer is the end."""
    asked = {"pageSize": _PAGE, "excludeContentSnippets": True}
    answer = await tools.call(
        "search_files", asked | ({"query": query} if query else {}) | ({"pageToken": position} if position else {})
    )
    if not isinstance(answer, dict) or not answer.keys() <= {"files", "nextPageToken"}:
        raise BadPage("Google Drive answered a search with something else than files.")
    files = answer.get("files") or []
    if not isinstance(files, list):
        raise BadPage("Google Drive answered a search with something else than files.")
    return files, answer.get("nextPageToken") or None


async def _folders(tools: Tools) -> dict[str, _Folder]:
    """Every folder that a search finds: a few pages, instead of a call for each parent of each file."""
    found: dict[str, _Folder] = {}
    position, met = None, set[str]()
    while True:
        files, position = await _search(tools, f"mimeType = '{_FOLDER}'", position)
        for file in files:
            if isinstance(file, dict) and isinstance(file.get("id"), str):
                found[file["id"]] = _folder(file)
        if position is None:
            return found
        if position in met:
            raise BadPage("Google Drive's listing of folders goes in circles.")
        met.add(position)


async def _page(
    tools: Tools, files: list[Any], folders: dict[str, _Folder], following: str | None, known: Known
) -> Page:
    """What is listed, read where it is not kept in that version already."""
    rejected, paths, listed = [], {}, {}
    for place, file in enumerate(files):
        if not isinstance(file, dict) or not isinstance(file.get("id"), str) or not file["id"]:
            rejected.append(Rejected(f"without an id: {place} before {following}", "it has no id", nameless=True))
        elif file.get("mimeType") != _FOLDER:
            listed[file["id"]] = file
            paths[file["id"]] = await _path(tools, file, folders)
    unchanged = await known({one: _version(file, paths[one]) for one, file in listed.items()})
    read = await at_once(
        _read_or_reject(tools, file, paths[one]) for one, file in listed.items() if one not in unchanged
    )
    return Page(
        [each for each in read if isinstance(each, Item)],
        [*rejected, *(each for each in read if isinstance(each, Rejected))],
        following,
        unchanged=sorted(unchanged),
        dates=[when for one in unchanged if (when := _modified(listed[one]))],
    )


async def _path(tools: Tools, file: Mapping[str, Any], folders: dict[str, _Folder]) -> tuple[str, ...]:
    """The titles of the folders that a file is in, nearest first. What a search did not find is asked for once."""
    path: list[str] = []
    parent, met = file.get("parentId"), set[str]()
    while isinstance(parent, str) and parent and parent not in met and len(path) < _DEEPEST:
        met.add(parent)
        if parent not in folders:
            try:
                told = await tools.call("get_file_metadata", {"fileId": parent, "excludeContentSnippets": True})
            except (Forbidden, BadPage):
                told = {}  # a folder that is not ours to see: the path ends below it
            folders[parent] = _folder(told if isinstance(told, dict) else {})
        if not folders[parent].title:
            break
        path.append(folders[parent].title)
        parent = folders[parent].parent
    return tuple(path)


async def _read_or_reject(tools: Tools, file: dict[str, Any], path: tuple[str, ...]) -> Item | Rejected:
    try:
        return await _read(tools, file, path)
    except (Forbidden, BadItem, BadPage) as reason:
        return Rejected(file["id"], str(reason))


async def _read(tools: Tools, file: dict[str, Any], path: tuple[str, ...]) -> Item:
    """A file with its text; one without a text that we can read says why."""
    text, why = await _text(tools, file)
    if len(text) > MOST_CHARACTERS:
        text, why = text[:MOST_CHARACTERS], f"only its first {MOST_CHARACTERS:,} characters are read"
    payload = {**file, "folders": list(path), "text": text, "textMissing": why}
    return Item(file["id"], payload, updated_at=_modified(file), version=_version(file, path))


async def _text(tools: Tools, file: Mapping[str, Any]) -> tuple[str, str]:
    """The text of a file, or why there is none."""
    kind = str(file.get("mimeType") or "")
    if kind in _NATIVE:
        answer = await tools.call("read_file_content", {"fileId": file["id"]})
        content = answer.get("fileContent") if isinstance(answer, dict) else None
        if not isinstance(content, str):
            raise BadPage("Google Drive answered with no text where a file's was asked for.")
        return content, ""
    if kind == "application/vnd.google-apps.shortcut":
        return "", "a shortcut to another file"
    if not is_readable(kind):
        return "", f"no text is read from {kind or 'a file of no known type'}"
    size = str(file.get("fileSize") or "0")
    if not re.fullmatch(r"[0-9]{1,18}", size) or int(size) > MOST_BYTES:
        return "", f"larger than {MOST_BYTES // 1_000_000} MB"
    answer = await tools.call("download_file_content", {"fileId": file["id"]})
    encoded = answer.get("content") if isinstance(answer, dict) else None
    if not isinstance(encoded, str):
        raise BadPage("Google Drive answered with no content where a file's was asked for.")
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise BadPage("Google Drive answered with a file's content that is no base64.") from None
    return await asyncio.to_thread(text_of, kind, content)


def _folder(file: Mapping[str, Any]) -> _Folder:
    title, parent = file.get("title"), file.get("parentId")
    return _Folder(title if isinstance(title, str) else "", parent if isinstance(parent, str) else None)


def _modified(file: Mapping[str, Any]) -> datetime | None:
    try:
        read = datetime.fromisoformat(str(file.get("modifiedTime") or ""))
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _version(file: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """Of what the listing tells and of where it is: a moved file, or a renamed folder, is a new version."""
    told = "\0".join([str(file.get("modifiedTime")), str(file.get("title")), *path])
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class GoogleDrive(GoogleProvider):
    """A file is a document; the client is the folder that bears its name."""

    name = "google_drive"
    title = "Google Drive"
    brings = "Documents, sheets and slides that you share with clients."
    env_prefix = "GOOGLE_"
    mcp_url_default = "https://drivemcp.googleapis.com/mcp/v1"
    oauth_facts = google_oauth("https://www.googleapis.com/auth/drive.readonly")
    profiles = (DriveServer(),)

    def budget(self, tool: str) -> Budget | None:
        return _QUERIES

    def document(self, stream: str, payload: Mapping[str, Any]) -> Document:
        title = _line(payload.get("title")) or f"File {payload['id']}"
        folders = [_line(folder) for folder in payload.get("folders") or () if _line(folder)]
        missing, about = _line(payload.get("textMissing")), _line(payload.get("description"))
        heading = [
            title,
            f"Folder: {' / '.join(reversed(folders))}" if folders else "",
            f"About: {about}" if about else "",
            f"Without its text: {missing}." if missing else "",
        ]
        text = payload.get("text")
        parts = ("\n".join(line for line in heading if line), text if isinstance(text, str) else "")
        url = payload.get("viewUrl")
        return Document(
            title=title,
            content="\n\n".join(part for part in parts if part),
            url=url if isinstance(url, str) else None,
            source_updated_at=_modified(payload),
            client_keys=tuple(f"name:{folder}" for folder in folders),
        )

    def stable(self, stream: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        moving = ("modifiedTime", "viewedByMeTime", "sharedWithMeTime", "contentSnippet", "viewUrl", "fileSize")
        return {key: value for key, value in payload.items() if key not in moving}


def _line(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


GOOGLE_DRIVE = GoogleDrive()
