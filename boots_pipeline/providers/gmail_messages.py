"""A message made readable: what its writer wrote, without the history below it and the signature, and who is on the
other side."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import getaddresses
from typing import Any

import quotequail  # type: ignore[import-untyped]  # it has no stubs
from selectolax.lexbor import LexborHTMLParser

from boots_pipeline.providers.base import Document

_LINES = 1_000  # in which quoted history is looked for: quotequail takes seconds for 10,000 lines of headers
_PEOPLE = 25  # of a message; more are a list
_SIGNATURE_LINES = 12
# RFC 3676 §4.3, or a closing formula on a line of its own.
_DELIMITER = re.compile(r"^-- ?$")
_CLOSING = re.compile(
    r"^\s*(?:(?:best|kind|warm|warmest|with kind|many)\s+(?:regards|wishes|thanks)|regards|best|cheers|sincerely"
    r"|yours\s+(?:sincerely|faithfully|truly)|thanks|thank you|mit freundlichen gr(?:ü|ue)(?:ß|ss)en|cordialement"
    r"|sent from my \w+(?: \w+)?)\s*[,.!]?\s*$",
    re.IGNORECASE,
)
_HTML = re.compile(r"<(?:html|body|div|p|br|table|span)\b[^<>]{0,500}>", re.IGNORECASE)
_AUTOMATIC = re.compile(
    r"^(?:no-?reply|do-?not-?reply|mailer-daemon|postmaster|bounces?|notifications?|newsletter)\b", re.I
)
# An account there is a person's, and says nothing about who else has one.
_ANYBODYS = ("gmail.com", "googlemail.com")


def document_of(payload: Mapping[str, Any]) -> Document:
    """A message as received, with the `mailbox` that it is in. One that says nothing is a message, too."""
    subject, text = _line(payload.get("subject")), written(body_of(payload))
    sender, others = _people(payload.get("sender")), _people(payload.get("toRecipients"), payload.get("ccRecipients"))
    names = _names_of_attachments(payload)
    sent, dated = moment(payload.get("date")), _line(payload.get("date"))[:40]
    heading = [
        f"From: {', '.join(_named(*one) for one in sender)}" if sender else "",
        f"To: {', '.join(_named(*one) for one in others[:_PEOPLE])}" if others else "",
        f"Date: {sent:%Y-%m-%d}" if sent else f"Date: {dated} (no date)" if dated else "",
        f"Attachments: {names}" if names else "",
    ]
    return Document(
        title=subject or "(no subject)",
        content="\n\n".join(part for part in ("\n".join(line for line in heading if line), text) if part),
        url=f"https://mail.google.com/mail/#all/{payload['id']}",
        source_updated_at=sent,
        client_keys=_client_keys([*sender, *others], _line(payload.get("mailbox"))),
    )


def body_of(payload: Mapping[str, Any]) -> str:
    """The text of a message, from its HTML where it has no other; '' where it has none."""
    for name in ("plaintextBody", "htmlBody"):
        body = payload.get(name)
        if isinstance(body, str) and body.strip():
            return _text_of_html(body) if name == "htmlBody" or _HTML.search(body[:2_000]) else body
    return ""


def written(body: str) -> str:
    """What the writer of a message wrote: no quoted history, no signature. A forwarded message stays: it is what is
    said."""
    body = body.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    lines = body.split("\n", _LINES)
    rest = lines.pop() if len(lines) > _LINES else ""
    found = quotequail.unwrap("\n".join(lines)) or {}
    if found.get("type") == "reply":
        own = "\n\n".join(part for part in (found.get("text_top"), found.get("text_bottom")) if part)
        return _without_signature(own)
    return _without_signature("\n".join(part for part in ("\n".join(lines), rest) if part))


def moment(value: Any) -> datetime | None:
    """A date as the server tells it: `2026-11-03`, in its own words without a time; None for what is no date."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip())
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _without_signature(text: str) -> str:
    lines = text.strip().split("\n")
    for number, line in enumerate(lines):
        closes = len(lines) - number <= _SIGNATURE_LINES and _CLOSING.match(line[:80])
        # The first line is never a signature: "Thanks" alone is all that somebody wrote.
        if number and (closes or _DELIMITER.match(line)):
            lines = lines[:number]
            break
    return "\n".join(lines).strip()


def _text_of_html(html: str) -> str:
    tree = LexborHTMLParser(html)
    for quoted in tree.css("script, style, head, blockquote, .gmail_quote"):
        quoted.decompose()
    root = tree.body or tree.root
    text = root.text(separator="\n") if root is not None else ""
    return re.sub(r"\n\s*\n+", "\n\n", "\n".join(line.strip() for line in text.split("\n"))).strip()


def _people(*told: Any) -> list[tuple[str, str]]:
    """Names and addresses, as headers write them, once each."""
    headers = [one for value in told for one in (value if isinstance(value, list) else [value]) if _line(one)]
    read = getaddresses([_line(header) for header in headers[:1_000]])
    return list({address.lower(): (name, address.lower()) for name, address in read if "@" in address}.values())


def _named(name: str, address: str) -> str:
    return f"{name} <{address}>" if name else address


def _client_keys(people: list[tuple[str, str]], mailbox: str) -> tuple[str, ...]:
    """Addresses before domains, of everybody who is not of the mailbox's own house, and no machine."""
    own = mailbox.lower()
    house = own.rpartition("@")[2]
    addresses = [
        address
        for _, address in people
        if address != own
        and not _AUTOMATIC.match(address)
        and (house in _ANYBODYS or address.rpartition("@")[2] != house)
    ]
    if len(addresses) > _PEOPLE:
        return ()  # sent to everybody, it is about nobody
    domains = dict.fromkeys(address.rpartition("@")[2] for address in addresses)
    return (*(f"email:{address}" for address in addresses), *(f"domain:{domain}" for domain in domains))


def _names_of_attachments(payload: Mapping[str, Any]) -> str:
    return ", ".join(_attachments(payload))


def _attachments(payload: Mapping[str, Any]) -> Iterator[str]:
    """Their names where the server tells them; of the rest, how many there are."""
    told = payload.get("attachments")
    named = [_line(one.get("filename")) for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    yield from (name for name in named if name)
    ids = payload.get("attachmentIds")
    nameless = len(ids) - len(named) if isinstance(ids, list) else 0
    if nameless > 0:
        yield f"{nameless} without a name" if named else str(nameless)


def _line(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
