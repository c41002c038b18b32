"""Notebook, a provider that does not exist: notes, through an MCP server with two tools."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from boots_pipeline.errors import BadItem, BadPage, Forbidden
from boots_pipeline.providers.base import (
    Account,
    Budget,
    Document,
    Item,
    Known,
    OAuthFacts,
    Page,
    Profile,
    Provider,
    Rejected,
    Tools,
    at_once,
)


class NotebookServer(Profile):
    """Lists notes by page with the date of their last change; a note's text is read one by one."""

    name = "Notebook's server"
    streams = ("notes",)
    tools = frozenset({"list_notes", "read_note"})

    async def identify(self, tools: Tools) -> Account | None:
        return None  # no tool tells

    async def pages(
        self, tools: Tools, stream: str, *, since: datetime | None, cursor: Any | None, known: Known
    ) -> AsyncIterator[Page]:
        changed_since = {"changed_since": since.isoformat()} if since else {}
        while True:
            answer = await tools.call("list_notes", {"page": cursor or 0, **changed_since})
            if not isinstance(answer, dict) or not isinstance(answer.get("notes"), list):
                raise BadPage("Notebook answered with no list of notes.")
            versions = {str(note["id"]): str(note["changed"]) for note in answer["notes"]}
            unchanged = await known(versions)
            read = await at_once(self._body(tools, one) for one in versions if one not in unchanged)
            cursor = answer.get("next")
            yield Page(
                [item for item in read if isinstance(item, Item)],
                [refused for refused in read if isinstance(refused, Rejected)],
                cursor,
                unchanged=sorted(unchanged),
                dates=[datetime.fromisoformat(versions[one]) for one in unchanged],
            )
            if cursor is None:
                return

    async def read(self, tools: Tools, stream: str, external_id: str) -> Item | None:
        note = await tools.call("read_note", {"note": external_id})
        changed = datetime.fromisoformat(note["changed"])
        return Item(external_id, note, updated_at=changed, version=note["changed"])

    async def _body(self, tools: Tools, note: str) -> Item | Rejected | None:
        try:
            return await self.read(tools, "notes", note)
        except (Forbidden, BadItem, BadPage) as reason:
            return Rejected(note, str(reason))


class Notebook(Provider):
    """A note is about the client whose name it carries."""

    name = "notebook"
    title = "Notebook"
    brings = "Notes."
    env_prefix = "NOTEBOOK_"
    mcp_url_default = "https://mcp.notebook.example"
    oauth_facts = OAuthFacts(
        issuer="https://notebook.example",
        authorization_url="https://notebook.example/authorize",
        token_url="https://notebook.example/token",
        revocation_url=None,
        client_auth="client_secret_post",
    )
    profiles = (NotebookServer(),)
    overlap = timedelta(hours=1)

    def budget(self, tool: str) -> Budget | None:
        return Budget("calls", 1_000, 1)

    def account_of(self, token_response: Mapping[str, Any], callback: Mapping[str, str]) -> Account | None:
        return Account(str(token_response["notebook"]))

    def document(self, stream: str, payload: Mapping[str, Any]) -> Document:
        return Document(payload["title"], payload["text"], client_keys=(f"name:{payload['client']}",))

    def stable(self, stream: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        return {key: value for key, value in payload.items() if key != "changed"}


NOTEBOOK = Notebook()
