"""Gmail, through Google's official remote MCP server.

Facts of 2026-11 (docs/providers.md names the sources): a search shows at most the five oldest messages of a thread and
no mark that there are more, so every thread is read; with their content, a thread of ten or more may be cut there, too,
while without it all are named; a message carries a date without a time, in Pacific days; `after:` finds new messages
only, so what was deleted is seen by a complete listing; drafts are found unless they are excluded, and come along in a
thread that has other messages.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, datetime, timedelta
from email.utils import getaddresses
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
from boots_pipeline.providers.gmail_messages import document_of, moment
from boots_pipeline.providers.google import GoogleProvider, google_account, google_oauth

_PAGE = 50
_SHOWN_AT_MOST = 5  # messages of a thread in a search
_LONG = 10  # messages of a thread from which on it may have been cut
_QUERY = "-in:draft"
_UNITS = Budget("units", 6_000, 60, cost=10)  # of a user; a thread or a search costs ten of them
_SHOWN = "snippet", "labelIds"  # what moves when nobody wrote anything


@dataclass
class _Thread:
    """What came of reading one."""

    items: list[Item] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    cut: int = 0


class GmailServer(Profile):
    """`https://gmailmcp.googleapis.com/mcp/v1`."""

    name = "Google's Gmail server"
    streams = ("messages",)
    tools = frozenset({"search_threads", "get_thread"})
    optional_tools = frozenset({"get_message"})

    async def identify(self, tools: Tools) -> Account | None:
        return await google_account(tools)

    async def pages(
        self, tools: Tools, stream: str, *, since: datetime | None, cursor: Any | None, known: Known
    ) -> AsyncIterator[Page]:
        query = f"{_QUERY} after:{since:%Y/%m/%d}" if since else _QUERY
        position = cursor
        while True:
            try:
                answer = await _search(tools, query, position)
            except BadPage as refused:
                if position is not None and position == cursor:
                    raise StaleCursor("Gmail does not know the place where the last run stopped.") from refused
                raise
            threads = answer.get("threads") or ()
            read = await at_once(_read_thread(tools, thread) for thread in threads if _id(thread))
            position = answer.get("nextPageToken") or None
            yield Page(
                [item for thread in read for item in thread.items],
                [refused for thread in read for refused in thread.rejected],
                position,
                cut=sum(thread.cut for thread in read) + sum(not _id(thread) for thread in threads),
            )
            if position is None:
                return

    async def read(self, tools: Tools, stream: str, external_id: str) -> Item | None:
        message = await _message(tools, external_id)
        return _item(message, tools) if message is not None else None


async def _message(tools: Tools, message_id: str) -> dict[str, Any] | None:
    """One message; None when it is gone."""
    if not tools.has("get_message"):
        raise BadPage("Gmail's server cannot be asked for one message alone.")
    message = await tools.call("get_message", {"messageId": message_id, "messageFormat": "FULL_CONTENT"})
    if not message:
        return None
    if _id(message) != message_id:
        raise BadPage("Gmail answered with another message than the one asked for.")
    return dict(message)


async def _search(tools: Tools, query: str, position: str | None) -> dict[str, Any]:
    asked = {"query": query, "pageSize": _PAGE, **({"pageToken": position} if position else {})}
    answer = await tools.call("search_threads", asked)
    # The last page may be an empty object; whatever else has no threads is no page.
    known = {"threads", "nextPageToken", "resultCountEstimate"}
    if not isinstance(answer, dict) or not answer.keys() <= known or not isinstance(answer.get("threads") or [], list):
        raise BadPage("Gmail answered a search with something else than threads.")
    return answer


async def _read_thread(tools: Tools, listed: Mapping[str, Any]) -> _Thread:
    """All messages of a thread, one by one; what is known to be missing is counted."""
    shown = [_id(message) for message in _messages(listed)]
    thread, met = _Thread(), set[str]()
    try:
        told = await tools.call("get_thread", {"threadId": listed["id"], "messageFormat": "FULL_CONTENT"})
        if not isinstance(told, dict) or not isinstance(told.get("messages"), list):
            raise BadPage("Gmail answered with no messages where a thread was asked for.")
    except (Forbidden, BadItem, BadPage) as reason:
        thread.rejected = [Rejected(one, str(reason)) for one in shown if one] or [_nameless(listed)]
        thread.cut = int(len(shown) >= _SHOWN_AT_MOST)  # there may be more, of which nothing is known
        return thread
    for message in told["messages"]:
        _take(thread, message, listed, tools)
        met.add(_id(message))
    if len(told["messages"]) >= _LONG:
        try:
            await _read_hidden(tools, listed, thread, met)
            goes_on = await _goes_on(tools, str(listed["id"]), thread.items)
        except (Forbidden, BadPage):
            goes_on = True  # as far as is known, and one thread is no reason to read no other
        thread.cut = int(goes_on)  # at least: how many it does not say
    for missing in (one for one in shown if one and one not in met):
        thread.rejected.append(Rejected(missing, "Gmail showed it in a search and not in its thread"))
    return thread


def _take(thread: _Thread, message: Any, listed: Mapping[str, Any], tools: Tools) -> None:
    if not _id(message):
        thread.rejected.append(_nameless(listed))
    elif "DRAFT" not in _labels(message):
        thread.items.append(_item({**message, "threadId": listed["id"]}, tools))


async def _read_hidden(tools: Tools, listed: Mapping[str, Any], thread: _Thread, met: set[str]) -> None:
    """What a long thread names and does not hand out with its content, one by one: a mailbox may have many such
    threads, and a budget for all of them."""
    told = await tools.call("get_thread", {"threadId": listed["id"], "messageFormat": "MINIMAL"})
    if not isinstance(told, dict):
        raise BadPage("Gmail answered with no messages where a thread was asked for.")
    named = [message for message in _messages(told) if _id(message) and "DRAFT" not in _labels(message)]
    for hidden in (_id(message) for message in named if _id(message) not in met):
        met.add(hidden)
        try:
            message = await _message(tools, hidden)
        except (Forbidden, BadItem, BadPage) as reason:
            thread.rejected.append(Rejected(hidden, str(reason)))
        else:
            if message is not None:
                _take(thread, message, listed, tools)


async def _goes_on(tools: Tools, thread_id: str, items: Sequence[Item]) -> bool:
    """Whether a long thread is known to have messages after those that were handed out: on a later day, or on the last
    one from somebody of whom that day shows none. A search tells threads only, and days."""
    latest = max((item.updated_at for item in items if item.updated_at), default=None)
    if latest is None or latest.year == MAXYEAR:
        return False  # nothing is later
    subject = str(items[-1].payload.get("subject") or "").replace('"', " ").strip()
    narrowed = f' subject:"{subject}"' if subject else ""
    senders = {
        str(item.payload.get("sender")) for item in items if item.updated_at and item.updated_at.date() == latest.date()
    }
    addresses = [address for _, address in getaddresses(sorted(senders))]
    queries = [f"after:{latest + timedelta(days=1):%Y/%m/%d}"]
    if all("@" in address for address in addresses):  # who has none cannot be left out, and would be found
        others = "".join(f" -from:{address}" for address in addresses)
        queries.append(f"after:{latest:%Y/%m/%d} before:{latest + timedelta(days=1):%Y/%m/%d}{others}")
    for query in queries:
        found = await _search(tools, f"{_QUERY} {query}{narrowed}", None)
        if any(_id(thread) == thread_id for thread in found.get("threads") or ()):
            return True
    return False


def _item(message: Mapping[str, Any], tools: Tools) -> Item:
    mailbox = tools.account.name if tools.account else None
    return Item(str(message["id"]), {**message, "mailbox": mailbox or ""}, updated_at=moment(message.get("date")))


def _id(told: Any) -> str:
    identity = told.get("id") if isinstance(told, dict) else None
    return identity if isinstance(identity, str) else ""


def _messages(thread: Mapping[str, Any]) -> list[Any]:
    messages = thread.get("messages")
    return messages if isinstance(messages, list) else []


def _labels(message: Mapping[str, Any]) -> Sequence[Any]:
    labels = message.get("labelIds")
    return labels if isinstance(labels, list) else ()


def _nameless(thread: Mapping[str, Any]) -> Rejected:
    return Rejected(f"in thread {thread['id']}", "it has no id", nameless=True)


class Gmail(GoogleProvider):
    """A message is a document; the client is whoever is on the other side of it."""

    name = "gmail"
    title = "Gmail"
    brings = "Conversations with clients."
    env_prefix = "GMAIL_"
    mcp_url_default = "https://gmailmcp.googleapis.com/mcp/v1"
    oauth_facts = google_oauth("https://www.googleapis.com/auth/gmail.readonly")
    profiles = (GmailServer(),)
    overlap = timedelta(days=2)  # dates have no time, and their days are not UTC's

    def budget(self, tool: str) -> Budget | None:
        return _UNITS

    def document(self, stream: str, payload: Mapping[str, Any]) -> Document:
        return document_of(payload)

    def stable(self, stream: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        return {key: value for key, value in payload.items() if key not in (*_SHOWN, "threadId")}


GMAIL = Gmail()
