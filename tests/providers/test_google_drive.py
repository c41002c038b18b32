"""Google Drive: what a file says and whose it is, and the Drive as the engine keeps it."""

import asyncio
import io
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boots_pipeline.providers import drive_text, google_drive
from boots_pipeline.providers.base import Provider
from boots_pipeline.providers.drive_text import text_of
from boots_pipeline.providers.google_drive import GOOGLE_DRIVE
from sandbox.awkward_files import endless_sheet, workbook
from sandbox.drive_files import EXCEL, SLIDES, WORD, File, content_of
from tests.conftest import Connected

SEARCH = {"provider": "google_drive", "tool": "search_files"}
DOWNLOAD = {"provider": "google_drive", "tool": "download_file_content"}


@pytest.fixture
def drive(connected_to: Callable[[Provider], Connected], monkeypatch: pytest.MonkeyPatch) -> Connected:
    """A Drive that was connected just now, in small pages."""
    monkeypatch.setattr(google_drive, "_PAGE", 7)
    return connected_to(GOOGLE_DRIVE)


def by_title(drive: Connected) -> dict[str, dict[str, Any]]:
    return {row["title"]: row for row in drive.documents().values()}


def test_a_file_is_readable_and_its_folders_name_the_client() -> None:
    document = GOOGLE_DRIVE.document(
        "files",
        {
            "id": "1AbC", "title": "Proposal", "mimeType": "application/vnd.google-apps.document",
            "modifiedTime": "2026-11-01T10:00:00.000Z", "viewUrl": "https://docs.example/1AbC",
            "folders": ["Northgate Dental", "Clients"], "text": "Oak, and more oak.", "textMissing": "",
        },
    )  # fmt: skip
    assert document.title == "Proposal"
    assert document.content == "Proposal\nFolder: Clients / Northgate Dental\n\nOak, and more oak."
    assert document.client_keys == ("name:Northgate Dental", "name:Clients")
    assert document.url == "https://docs.example/1AbC"
    assert str(document.source_updated_at) == "2026-11-01 10:00:00+00:00"


@pytest.mark.parametrize("kind", [WORD, EXCEL, SLIDES, "application/pdf", "text/plain", "text/csv"])
def test_each_type_is_read(kind: str) -> None:
    file = File("1", "x", kind, "a@b.example", None, None, None, "Türen (oak) | 48\nAsh")  # type: ignore[arg-type]
    text, why = text_of(kind, content_of(file))
    assert why == ""
    assert [line for line in text.split("\n") if not line.startswith("#")] == ["Türen (oak) | 48", "Ash"]


def test_what_does_not_open_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (WORD, EXCEL, SLIDES, "application/pdf"):
        assert text_of(kind, b"MZ: no such thing") == (
            "", "it does not open: broken, encrypted, or of another type than it says"
        )  # fmt: skip
    assert text_of("text/plain", b" \n") == ("", "it holds no text")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * 30_000_000)
    monkeypatch.setattr(drive_text, "_MOST_UNPACKED", 20_000_000)
    begun = time.monotonic()
    assert text_of(WORD, bomb.getvalue()) == ("", "it unpacks to more than 20 MB")
    assert time.monotonic() - begun < 1


def test_what_is_only_large_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = text_of(EXCEL, endless_sheet())
    assert drive_text.MOST_CHARACTERS < len(text) < drive_text.MOST_CHARACTERS + 1_000
    monkeypatch.setattr(drive_text, "_MOST_CELLS", 2_000)
    begun = time.process_time()
    text, why = text_of(EXCEL, workbook(b"<row></row>" * 200_000))  # rows without a cell are rows, too
    assert (text.split("\n")[-1], why) == ("(only the first 2,000 cells are read)", "")
    assert time.process_time() - begun < 2
    monkeypatch.setattr(drive_text, "_MOST_MARKUP", 1_000)
    assert text_of(WORD, content_of(File("1", "x", WORD, "a@b.example", None, None, None, "x"))) == (  # type: ignore[arg-type]
        "", "it unpacks to more than 0 MB"
    )  # fmt: skip
    monkeypatch.setattr(drive_text, "_MOST_PAGES", 0)
    page = content_of(File("1", "x", "application/pdf", "a@b.example", None, None, None, "x"))  # type: ignore[arg-type]
    assert text_of("application/pdf", page) == ("(only the first 0 pages are read)", "")


def repacked(content: bytes, *changes: tuple[str, bytes, bytes]) -> bytes:
    """An office file with something else in the place of what its parts, and their names, hold."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            part = before.read(name)
            for place, old, new in changes:
                if name == place:
                    part = part.replace(old, new)
            after.writestr(name.replace("document.xml", "document.png"), part)
    return made.getvalue()


def test_markup_by_another_name_is_markup() -> None:
    plain = content_of(File("1", "x", WORD, "a@b.example", None, None, None, "Oak"))  # type: ignore[arg-type]
    renamed = [(place, b"document.xml", b"document.png") for place in ("[Content_Types].xml", "_rels/.rels")]
    assert "Oak" in text_of(WORD, repacked(plain, *renamed))[0]
    large = ("word/document.xml", b"<w:body>", b"<w:body>" + b"<w:p/>" * 4_000_000)
    assert text_of(WORD, repacked(plain, *renamed, large)) == ("", "it unpacks to more than 20 MB")
    styles = ("xl/styles.xml", b"</styleSheet>", b"<x/>" * 6_000_000 + b"</styleSheet>")
    assert text_of(EXCEL, repacked(workbook(b""), styles)) == ("", "it unpacks to more than 20 MB")


def test_a_sheet_that_claims_to_be_wide_is_read_to_its_end() -> None:
    rows = b"".join(b'<row r="%d"><c r="A%d"><v>%d</v></c></row>' % (at, at, at) for at in range(1, 101))
    wide = ("xl/worksheets/sheet1.xml", b"A1:A100", b"A1:XFD100")
    text, why = text_of(EXCEL, repacked(workbook(rows, told=100), wide))
    assert (text.split("\n")[1:], why) == ([str(at) for at in range(1, 101)], "")


@pytest.mark.parametrize("size", ["²", "9" * 5_000, "-1"])
def test_a_size_that_is_none_is_no_error_of_ours(size: str) -> None:
    file = {"id": "1", "mimeType": "text/plain", "fileSize": size}
    assert asyncio.run(google_drive._text(None, file)) == ("", "larger than 10 MB")  # type: ignore[arg-type]


def test_charsets_are_told_apart() -> None:
    assert text_of("text/plain", b"\xff\xfeh\x00\x3e\xd8") == ("h\ufffd", "")
    for encoding in ("utf-8", "utf-8-sig", "cp1252", "utf-16"):
        assert text_of("text/plain", "Türen".encode(encoding)) == ("Türen", "")


@given(st.sampled_from([WORD, "application/pdf", "text/plain", "text/html", "application/json"]), st.binary())
def test_no_bytes_can_break_it(kind: str, content: bytes) -> None:
    text, why = text_of(kind, content)
    assert isinstance(text, str)
    assert bool(text) is not bool(why)


FIELDS = ["title", "mimeType", "modifiedTime", "folders", "text", "textMissing", "viewUrl", "description"]


@given(st.dictionaries(st.sampled_from(FIELDS), st.none() | st.text() | st.integers() | st.lists(st.text())))
def test_no_file_can_break_it(told: dict[str, Any]) -> None:
    folders = told.get("folders")
    payload = {**told, "id": "1", "folders": folders if isinstance(folders, list) else []}
    assert GOOGLE_DRIVE.document("files", payload).title
    GOOGLE_DRIVE.stable("files", payload)


def test_the_drive_is_kept_and_every_file_is_accounted_for(drive: Connected) -> None:
    assert drive.sync().status == "completed", drive.job()
    assert drive.kept() == drive.truth()
    files = by_title(drive)
    for title, said in {
        "A way to the proposal": "a shortcut to another file",
        "floor plan.dwg": "no text is read from application/acad",
        "film.txt": "larger than 10 MB",
        "liar.docx": "it does not open",
        "empty.txt": "it holds no text",
        "page.html": "Opening hours",
        "prices.xlsx": "Ash | 52",
        "talk.pptx": "What it costs",
        "umlaute.txt": "Türen für Öhlmark",
        "At the root.txt": "It lies in no folder.",
    }.items():
        assert said in files[title]["content"], title
    assert "thrown away.txt" not in files
    truth = drive.outside.truth(drive.organisation.slug, "google_drive")["files"]
    for (_, external_id), row in drive.documents().items():
        assert row["raw_payload"]["folders"] == truth[external_id]["path"]


@pytest.mark.parametrize("kind", ["delta", "reconcile"])
def test_an_unchanged_drive_is_not_read_again(drive: Connected, kind: str) -> None:
    drive.sync()
    before = drive.documents()
    drive.outside.control("DELETE", "calls")
    outcome = drive.sync(kind)
    assert outcome.status == "completed"
    assert drive.documents() == before
    assert (outcome.kept.added, outcome.kept.changed, outcome.kept.embedded) == (0, 0, 0)
    assert drive.calls("read_file_content") == drive.calls("download_file_content") == []


def test_changes_come_with_a_delta_and_the_rest_with_a_reconciliation(drive: Connected) -> None:
    drive.sync()
    for _ in range(3):
        report = drive.outside.control("POST", "advance", days=1)["organizations"][drive.organisation.slug]
        told = report["google_drive"]["files"]
        before = drive.documents()
        drive.outside.control("DELETE", "calls")
        assert drive.sync("delta").status == "completed"
        after = drive.documents()
        seen = {*told["created"], *told["changed"], *told["bumped"], *told["renamed"]}
        assert {external_id for _, external_id in after.keys() - before.keys()} == set(told["created"])
        read = {call["arguments"]["fileId"] for call in drive.calls("read_file_content")}
        assert read <= seen
        embedded = drive.job()["documents_embedded"]
        # A renamed file reads differently, too; so does one whose folder got another name, when it is met.
        assert len(told["created"]) <= embedded <= len(seen)
        assert drive.sync("reconcile").status == "completed"
        assert drive.kept() == drive.truth()
        truth = drive.outside.truth(drive.organisation.slug, "google_drive")["files"]
        for (_, external_id), row in drive.documents().items():
            assert row["raw_payload"]["folders"] == truth[external_id]["path"]
            assert row["title"] == truth[external_id]["title"]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "expire_tokens", **DOWNLOAD},
        {"kind": "expire_tokens", **SEARCH},
        {"kind": "status", "status": 429, "retry_after": 1, **DOWNLOAD},
        {"kind": "status", "status": 503, **DOWNLOAD},
        {"kind": "cut", **DOWNLOAD},
        {"kind": "cut", **SEARCH},
        {"kind": "duplicate", "times": None, **SEARCH},
        {"kind": "reorder", "times": None, **SEARCH},
    ],
    ids=lambda fault: f"{fault['tool']}-{fault['kind']}",
)
def test_what_passes_is_gone_through(drive: Connected, fault: dict[str, Any]) -> None:
    drive.outside.fault(after=1, **fault)
    assert drive.sync().status == "completed", drive.job()
    assert drive.kept() == drive.truth()


def test_a_file_that_may_not_be_read_is_named_and_read_later(drive: Connected) -> None:
    drive.outside.fault(kind="status", status=403, **DOWNLOAD)
    assert drive.sync().status == "partial"
    (locked,) = drive.truth()["files"] - drive.kept()["files"]
    (quarantined,) = drive.owner.execute("select external_id from quarantined_items").fetchall()
    assert quarantined["external_id"] == locked
    assert drive.sync("delta").status == "completed"
    assert drive.kept() == drive.truth()


def test_an_item_without_an_id_is_counted(drive: Connected) -> None:
    drive.outside.fault(kind="malformed_item", after=4, **SEARCH)
    assert drive.sync().status == "partial"
    assert drive.sync("reconcile").status == "completed"
    assert drive.kept() == drive.truth()
    # It may be any of those that the listing did not meet, so none of them is taken for deleted.
    drive.outside.fault(kind="malformed_item", after=4, **SEARCH)
    assert drive.sync("reconcile").status == "partial"
    assert drive.kept() == drive.truth()


@pytest.mark.parametrize("after", [0, 4], ids=["of folders", "of files"])
def test_a_listing_in_circles_ends(drive: Connected, after: int) -> None:
    drive.outside.fault(kind="cycle", times=None, after=after, **SEARCH)
    outcome = drive.sync()
    assert (outcome.status, outcome.error_class) == ("queued", "bad_page")
