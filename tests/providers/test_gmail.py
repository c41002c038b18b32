"""Gmail: what a message says and whom it is about, and the mailbox as the engine keeps it."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boots_pipeline.providers import gmail
from boots_pipeline.providers.base import Provider
from boots_pipeline.providers.gmail import GMAIL
from boots_pipeline.providers.gmail_messages import written
from tests.conftest import Connected

SEARCH, THREAD = {"provider": "gmail", "tool": "search_threads"}, {"provider": "gmail", "tool": "get_thread"}


def message(**told: Any) -> dict[str, Any]:
    """A message as it is documented, with the mailbox that it was read from."""
    return {
        "id": "18c1a2b3", "snippet": "Hello there &#39;quote&#39;", "subject": "Quote", "date": "2026-11-03",
        "sender": '"Doe, Jane" <Jane@Acme.example>', "toRecipients": ["admin@harbour-joinery.example"],
        "plaintextBody": "Please quote for oak.", "mailbox": "admin@harbour-joinery.example", **told,
    }  # fmt: skip


@pytest.fixture
def mailbox(connected_to: Callable[[Provider], Connected], monkeypatch: pytest.MonkeyPatch) -> Connected:
    """A mailbox that was connected just now, in small pages."""
    monkeypatch.setattr(gmail, "_PAGE", 5)
    monkeypatch.setattr(gmail, "_UNITS", gmail.Budget("units", 1_000_000, 1))
    return connected_to(GMAIL)


def test_a_message_is_readable_and_says_whom_it_is_about() -> None:
    document = GMAIL.document("messages", message(attachmentIds=["a1", "a2"], ccRecipients=["Bo <bo@fab.example>"]))
    assert document.title == "Quote"
    assert document.content == (
        "From: Doe, Jane <jane@acme.example>\n"
        "To: admin@harbour-joinery.example, Bo <bo@fab.example>\n"
        "Date: 2026-11-03\nAttachments: 2\n\nPlease quote for oak."
    )
    assert document.client_keys == (
        "email:jane@acme.example", "email:bo@fab.example", "domain:acme.example", "domain:fab.example"
    )  # fmt: skip
    assert not document.names_client


@pytest.mark.parametrize(
    "told",
    [
        {"sender": "office@harbour-joinery.example"},
        {"sender": "No Reply <no-reply@shop.example>"},
        {"sender": "newsletter@shop.example"},
        {"toRecipients": [f"p{number}@list{number}.example" for number in range(40)]},
    ],
    ids=["colleague", "machine", "newsletter", "everybody"],
)
def test_mail_about_nobody_points_at_nobody(told: dict[str, Any]) -> None:
    assert GMAIL.document("messages", message(**told)).client_keys == ()


def test_a_mailbox_among_everybodys_has_no_house() -> None:
    read = GMAIL.document("messages", message(mailbox="joiner@gmail.com", sender="jane@gmail.com", toRecipients=[]))
    assert read.client_keys == ("email:jane@gmail.com", "domain:gmail.com")


@pytest.mark.parametrize(
    ("body", "own"),
    [
        ("Yes.\n\nOn Tue, 3 Nov 2026 at 09:15, A <a@b.example> wrote:\n\n> No?\n> Thanks\n", "Yes."),
        ("Yes.\r\n\r\n-- \r\nJane\r\n+44 1", "Yes."),
        ("Yes.\n\nBest regards,\nJane\nHarbour Master", "Yes."),
        ("Thanks", "Thanks"),
        ("See below.\n\nBegin forwarded message:\n\nFrom: a@b.example\nSubject: x\n\nThe news.", "The news."),
        ("\ufeffYes.", "Yes."),
        ("Two > one.\nBest is oak, we think, and the rest is history.", "Best is oak"),
        ("", ""),
    ],
)
def test_only_what_was_written_is_embedded(body: str, own: str) -> None:
    assert own in written(body)
    for gone in ("wrote:", "> No?", "+44", "Harbour Master"):
        assert gone not in written(body)


def test_html_is_read_as_text() -> None:
    html = "<html><head><style>x</style></head><body><p>One &amp; two</p><blockquote>Old</blockquote></body></html>"
    for told in ({"plaintextBody": "", "htmlBody": html}, {"plaintextBody": html}):
        content = GMAIL.document("messages", message(**told)).content
        assert "One & two" in content
        assert "Old" not in content
        assert "<" not in content.split("Date:")[1]


@pytest.mark.parametrize("line", ["From: a\n", "On x\n", "> On ", "a " * 9, "-- \n", "<p "])
def test_no_message_takes_long(line: str) -> None:
    begun = time.process_time()
    GMAIL.document("messages", message(plaintextBody=line * (400_000 // len(line))))
    assert time.process_time() - begun < 5


def test_a_message_that_says_nothing_is_one() -> None:
    assert GMAIL.document("messages", {"id": "1", "mailbox": ""}).title == "(no subject)"


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(st.dictionaries(st.sampled_from([*message(), "htmlBody", "attachments", "attachmentIds", "labelIds"]), JSON))
def test_no_message_can_break_it(told: dict[str, Any]) -> None:
    payload = {**told, "id": "1"}
    assert GMAIL.document("messages", payload).title
    GMAIL.stable("messages", payload)


def test_the_mailbox_is_kept_without_drafts(mailbox: Connected) -> None:
    assert mailbox.sync().status == "completed", mailbox.job()
    assert mailbox.kept() == mailbox.truth()
    assert {call["tool"] for call in mailbox.calls("search_threads") + mailbox.calls("get_thread")} == {
        "search_threads", "get_thread"
    }  # fmt: skip
    texts = [row["content"] for row in mailbox.documents().values()]
    assert not [text for text in texts if "wrote:" in text or "\n> " in text or "Not sent." in text]
    assert mailbox.source()["external_account_name"] == "admin@harbour-joinery.example"


@pytest.mark.parametrize("kind", ["delta", "reconcile"])
def test_an_unchanged_mailbox_costs_no_write(mailbox: Connected, kind: str) -> None:
    mailbox.sync()
    before = mailbox.documents()
    outcome = mailbox.sync(kind)
    assert outcome.status == "completed"
    assert mailbox.documents() == before
    assert (outcome.kept.added, outcome.kept.changed, outcome.kept.embedded) == (0, 0, 0)


def test_new_mail_comes_with_a_delta_and_thrown_away_mail_goes_with_a_reconciliation(mailbox: Connected) -> None:
    mailbox.sync()
    for _ in range(3):
        report = mailbox.outside.control("POST", "advance", days=1)["organizations"][mailbox.organisation.slug]
        created = set(report["gmail"]["messages"]["created"])
        assert created
        mailbox.owner.execute("delete from private.rate_budgets")
        assert mailbox.sync("delta").status == "completed"
        assert created <= mailbox.kept()["messages"] | set(report["gmail"]["messages"]["archived"])
    assert mailbox.sync("reconcile").status == "completed"
    assert mailbox.kept() == mailbox.truth()


def test_what_a_long_thread_hides_is_counted_and_nothing_is_deleted(
    mailbox: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox.sync()
    kept = mailbox.kept()
    monkeypatch.setattr(gmail, "_LONG", 1)
    mailbox.outside.fault(kind="truncated", times=None, **THREAD)
    outcome = mailbox.sync("reconcile")
    assert outcome.status == "partial"
    assert outcome.message
    assert mailbox.kept() == kept


def test_a_long_thread_is_whole_and_no_other_is_asked_for_twice(mailbox: Connected) -> None:
    assert mailbox.sync().status == "completed"
    gate = {key for key, row in mailbox.documents().items() if row["title"] == "About the gate"}
    assert len(gate) == 14
    asked = [call["arguments"] for call in mailbox.calls("get_thread")]
    (long,) = [each["threadId"] for each in asked if each["messageFormat"] == "MINIMAL"]
    assert ("messages", long) in gate
    assert len(mailbox.calls("get_message")) == 4  # of a thread that was not cut, nothing is asked a second time


def test_what_the_last_day_of_a_thread_hides_is_reported(mailbox: Connected) -> None:
    # A server whose short form is cut, too. Of four hidden messages of one day the last is from somebody new.
    mailbox.outside.fault(kind="truncated", times=None, match={"messageFormat": "MINIMAL"}, **THREAD)
    outcome = mailbox.sync()
    assert (outcome.status, outcome.message) == ("partial", "Gmail left 1 message out of its answers.")
    assert len(mailbox.truth()["messages"] - mailbox.kept()["messages"]) == 4
    mailbox.outside.control("DELETE", "faults")
    assert mailbox.sync("reconcile").status == "completed"
    assert mailbox.kept() == mailbox.truth()


def test_one_thread_that_cannot_be_read_costs_no_other_and_is_not_deleted(mailbox: Connected) -> None:
    mailbox.outside.fault(kind="status", status=403, match={"messageFormat": "MINIMAL"}, **THREAD)
    outcome = mailbox.sync()
    assert (outcome.status, outcome.message) == ("partial", "Gmail left 1 message out of its answers.")
    mailbox.sync("reconcile")
    assert mailbox.kept() == mailbox.truth()
    # A search shows five of its fourteen messages: of the others nobody knows.
    (long,) = {
        row["raw_payload"]["threadId"] for row in mailbox.documents().values() if row["title"] == "About the gate"
    }
    mailbox.outside.fault(kind="status", status=403, match={"threadId": long}, **THREAD)
    outcome = mailbox.sync("reconcile")
    assert (outcome.status, outcome.left_out, outcome.kept.removed) == ("partial", 5, 0)
    assert mailbox.kept() == mailbox.truth()
    # Nor of a thread that a search shows without its id.
    mailbox.outside.fault(kind="malformed_item", **SEARCH)
    outcome = mailbox.sync("reconcile")
    assert (outcome.status, outcome.kept.removed) == ("partial", 0)
    assert mailbox.kept() == mailbox.truth()


def test_a_message_from_the_last_day_there_is_stops_nothing(mailbox: Connected) -> None:
    mailbox.outside.fault(kind="raw", raw='"date": "9999-12-31", "sender": ["nobody"]', times=None, **THREAD)
    assert mailbox.sync().status == "completed"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "expire_tokens", **THREAD},
        {"kind": "expire_tokens", **SEARCH},
        {"kind": "status", "status": 429, "retry_after": 1, **THREAD},
        {"kind": "status", "status": 503, **THREAD},
        {"kind": "cut", **THREAD},
        {"kind": "cut", **SEARCH},
        {"kind": "duplicate", "times": None, **SEARCH},
        {"kind": "reorder", "times": None, **SEARCH},
    ],
    ids=lambda fault: f"{fault['tool']}-{fault['kind']}",
)
def test_what_passes_is_gone_through(mailbox: Connected, fault: dict[str, Any]) -> None:
    mailbox.outside.fault(after=1, **fault)
    assert mailbox.sync().status == "completed", mailbox.job()
    assert mailbox.kept() == mailbox.truth()


def test_one_bad_message_is_named_and_the_rest_comes(mailbox: Connected) -> None:
    mailbox.outside.fault(kind="malformed_item", **THREAD)
    assert mailbox.sync().status == "partial"
    assert len(mailbox.truth()["messages"] - mailbox.kept()["messages"]) <= 1
    assert mailbox.sync("reconcile").status == "completed"
    assert mailbox.kept() == mailbox.truth()


def test_a_listing_in_circles_ends(mailbox: Connected) -> None:
    mailbox.outside.fault(kind="cycle", times=None, **SEARCH)
    outcome = mailbox.sync()
    assert (outcome.status, outcome.error_class) == ("queued", "bad_page")


def test_a_place_that_is_forgotten_means_listing_anew(mailbox: Connected) -> None:
    mailbox.outside.fault(kind="status", status=429, retry_after=600, after=2, **SEARCH)
    assert mailbox.sync().status == "queued"
    mailbox.owner.execute(
        """update ingestion_jobs set checkpoint = jsonb_set(checkpoint, '{messages,cursor}', '"bm90aGluZw=="')"""
    )
    mailbox.outside.control("DELETE", "faults")
    mailbox.wake()
    assert mailbox.run(mailbox.take()).status == "completed"
    assert mailbox.kept() == mailbox.truth()
