"""Google's official remote Gmail server (`gmailmcp.googleapis.com/mcp/v1`), as far as three read-only tools go.

Its traps are kept: a search shows the five oldest messages of a thread and does not say so, a thread with its contents
is cut after ten, drafts are found unless excluded and come along with their thread, a message has a date without a
time, the last page may be an empty object.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from importlib import resources
from random import Random
from typing import Any

from mcp.types import Tool
from starlette.routing import Route

from sandbox import google
from sandbox.faults import RAW
from sandbox.fiction import World
from sandbox.mailbox import Mailbox, Message, Thread
from sandbox.provider import McpServer, Refusal, Report, RestServer, Structured
from sandbox.world import Organization

PAGE, LARGEST_PAGE, SHOWN, MOST_MESSAGES, MOST_COUNTED = 20, 50, 5, 10, 201
WITH_CONTENT = ("FULL_CONTENT", "PLAIN_TEXT")
_TERM = re.compile(r'(-?)(in|after|before|subject|from):("[^"]*"|\S+)|(\S+)')


class Gmail:
    """The twin. See `provider.Provider` for what each method owes."""

    name = "gmail"
    title = "Gmail"
    public_listing = True
    oauth = google.oauth_facts("https://www.googleapis.com/auth/gmail.readonly", "read your mail")

    def __init__(self) -> None:
        listed = json.loads(resources.files("sandbox").joinpath("gmail_tools.json").read_text("utf-8"))
        self.tools = [Tool.model_validate(tool) for tool in listed]
        self.mailboxes: dict[str, Mailbox] = {}
        self._answers: dict[str, Callable[[Mailbox, dict[str, Any]], Any]] = {
            "search_threads": _search_threads,
            "get_thread": _get_thread,
            "get_message": _get_message,
        }

    @property
    def servers(self) -> Mapping[str, McpServer | RestServer]:
        return {"/mcp": self, "/v1": google.UserInfo()}

    def populate(self, world: World) -> None:
        self.mailboxes = {
            organization.slug: Mailbox.written(world.seed, organization) for organization in world.organizations
        }

    def advance(self, organization: Organization, start: datetime, rng: Random) -> Report:
        return {"messages": self.mailboxes[organization.slug].day(start, rng)}

    def pages(self, world: World) -> list[Route]:
        return []

    def error_body(self, status: int) -> dict[str, Any]:
        return google.error_body(status)

    def callback_extras(self, organization: Organization) -> dict[str, str]:
        return {}

    def token_extras(self, organization: Organization) -> dict[str, Any]:
        return google.token_extras(organization)

    def truth(self, organization: Organization) -> dict[str, dict[str, Any]]:
        messages = {
            message.id: {
                "subject": message.subject,
                "date": message.dated or f"{message.sent:%Y-%m-%d}",
                "text": message.text,
            }
            for thread in self.mailboxes[organization.slug].threads.values()
            for message in thread.messages
            if not thread.trashed and not message.is_draft
        }
        return {"account": {"id": google.account_id(organization)}, "messages": messages}

    def call(self, organization: Organization, tool: str, arguments: dict[str, Any]) -> Any:
        return Structured(self._answers[tool](self.mailboxes[organization.slug], arguments))

    def spoil(self, kind: str, arguments: dict[str, Any], answer: Any) -> Any:
        """Faults in a list of threads or messages. Any other answer has nothing to duplicate or reorder, and stays."""
        told = dict(answer.content)
        items = list(told.get("threads") or told.get("messages") or ())
        if not items:
            return answer
        match kind:
            case "duplicate":
                items.append(items[0])
            case "reorder":
                items.reverse()
            case "malformed_item":
                items[len(items) // 2] = {"id": 7}
            case "raw":
                items[len(items) // 2] = {**items[len(items) // 2], RAW: None}
            case "truncated":
                del items[max(1, len(items) // 2) :]
            case "empty":
                return Structured({})
            case "cycle" if "threads" in told:
                told["nextPageToken"] = google.page_token(0)
        return Structured({**told, "threads" if "threads" in told else "messages": items})


def _search_threads(mailbox: Mailbox, arguments: dict[str, Any]) -> dict[str, Any]:
    wanted = _matcher(arguments.get("query", ""), arguments.get("includeTrash", False))
    found = [thread for thread in mailbox.newest_first() if wanted(thread)]
    start = google.offset_of(arguments.get("pageToken"))
    most = min(arguments.get("pageSize") or PAGE, LARGEST_PAGE)
    page = found[start : start + most]
    if not page:
        return {}
    minimal = arguments.get("view") != "THREAD_VIEW_METADATA_ONLY"
    answer: dict[str, Any] = {
        "threads": [
            {"id": thread.id, "messages": [_message(m, "MINIMAL" if minimal else "") for m in thread.messages[:SHOWN]]}
            for thread in page
        ],
        "resultCountEstimate": str(min(len(found), MOST_COUNTED)),
    }
    if start + most < len(found):
        answer["nextPageToken"] = google.page_token(start + most)
    return answer


def _get_thread(mailbox: Mailbox, arguments: dict[str, Any]) -> dict[str, Any]:
    thread = mailbox.threads.get(arguments["threadId"])
    if thread is None:
        raise Refusal(json.dumps(google.error_body(404)))
    shape = arguments.get("messageFormat", "FULL_CONTENT")
    most = MOST_MESSAGES if shape in WITH_CONTENT else len(thread.messages)
    return {"id": thread.id, "messages": [_message(message, shape) for message in thread.messages[:most]]}


def _get_message(mailbox: Mailbox, arguments: dict[str, Any]) -> dict[str, Any]:
    for thread in mailbox.threads.values():
        for message in thread.messages:
            if message.id == arguments["messageId"]:
                return _message(message, arguments.get("messageFormat", "FULL_CONTENT"))
    raise Refusal(json.dumps(google.error_body(404)))


def _message(message: Message, shape: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": message.id,
        "snippet": " ".join(message.text.split())[:120],
        "subject": message.subject,
        "sender": message.sender,
        "toRecipients": message.to,
        "date": message.dated or f"{message.sent:%Y-%m-%d}",
        "labelIds": ["DRAFT"] if message.is_draft else list(message.labels),
    }
    if message.cc:
        told["ccRecipients"] = message.cc
    if message.attachments:
        told["attachmentIds"] = message.attachments
    if shape in WITH_CONTENT:
        told["htmlBody" if message.is_html else "plaintextBody"] = message.text
    return told


def _matcher(query: str, with_trash: bool) -> Callable[[Thread], bool]:
    """Gmail's query language, as far as it is needed: a thread is found when one of its messages fits."""
    tests: list[Callable[[Message], bool]] = []
    for minus, operator, value, word in _TERM.findall(query):
        tests.append(_test(operator, value.strip('"'), word.casefold(), bool(minus)))
    return lambda thread: (
        (with_trash or not thread.trashed) and any(all(test(message) for test in tests) for message in thread.messages)
    )


def _test(operator: str, value: str, word: str, is_excluded: bool) -> Callable[[Message], bool]:
    match operator:
        case "in":
            wanted = (value == "draft") is not is_excluded
            return lambda message: message.is_draft is wanted
        case "after":
            day = _day(value)
            return lambda message: message.sent.date() >= day
        case "before":
            day = _day(value)
            return lambda message: message.sent.date() < day
        case "from":
            return lambda message: (value.casefold() in message.sender.casefold()) is not is_excluded
        case "subject":
            return lambda message: value.casefold() in message.subject.casefold()
    return lambda message: word in f"{message.subject} {message.sender} {message.text}".casefold()


def _day(value: str) -> date:
    try:
        return datetime.strptime(value, "%Y/%m/%d").date()  # noqa: DTZ007 - a day, without a zone
    except ValueError:
        raise Refusal(json.dumps(google.error_body(400))) from None
