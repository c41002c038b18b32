"""The text of a downloaded file: PDF and Office by libraries made for them, text as what it is.

Files are as hostile as anything: sizes are capped before anything is unpacked, and what does not open says so.

Each reader loads its library when it first reads: together they are 35 MB and 0.2 s, which every process of Boots would
pay, since all of them know the providers.
"""

import io
import logging
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from selectolax.lexbor import LexborHTMLParser

if TYPE_CHECKING:
    import docx.document
    import openpyxl

MOST_BYTES = 10_000_000  # downloaded; Drive itself exports no more
MOST_CHARACTERS = 500_000  # of the text of a file; what comes after is not worth reading
_MOST_UNPACKED = 200_000_000
_MOST_MARKUP = 20_000_000  # of what is read into a tree, which is thirty times as large
_MOST_PAGES = 500
_MOST_CELLS = 200_000
logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns of every quirk, with the file's own words


def is_readable(mime_type: str) -> bool:
    """Whether `text_of` knows the type."""
    return mime_type.partition(";")[0] in _READERS


def text_of(mime_type: str, content: bytes) -> tuple[str, str]:
    """The text, or why there is none: a file that does not open is no error of ours, nor of the provider's."""
    if len(content) > MOST_BYTES:
        return "", f"larger than {MOST_BYTES // 1_000_000} MB"
    try:
        text = _READERS[mime_type.partition(";")[0]](content)
    except _TooLarge as reason:
        return "", str(reason)
    except Exception:  # noqa: BLE001 - these libraries raise whatever a broken file makes them raise
        return "", "it does not open: broken, encrypted, or of another type than it says"
    text = re.sub(r"\n{3,}", "\n\n", text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")).strip()
    return text, "" if text else "it holds no text"


class _TooLarge(Exception):
    """What would be unpacked is more than a file of an office is."""


def _plain(content: bytes) -> str:
    """What a file says of its own charset is not believed: UTF-7 hides markup, and the rest is wrong too often."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("utf-8", "replace")


def _html(content: bytes) -> str:
    tree = LexborHTMLParser(_plain(content))
    for unseen in tree.css("script, style, head"):
        unseen.decompose()
    root = tree.body or tree.root
    return "\n".join(line.strip() for line in root.text(separator="\n").split("\n")) if root is not None else ""


def _pdf(content: bytes) -> str:
    import pypdf

    pages = pypdf.PdfReader(io.BytesIO(content)).pages
    read = "\n\n".join(_enough(page.extract_text() for page in pages[:_MOST_PAGES]))
    return f"{read}\n\n(only the first {_MOST_PAGES} pages are read)" if len(pages) > _MOST_PAGES else read


def _document(content: bytes) -> str:
    import docx

    return "\n".join(_enough(_paragraphs(docx.Document(_unpackable(content)))))


def _paragraphs(document: "docx.document.Document") -> Iterator[str]:
    from docx.table import Table

    for block in document.iter_inner_content():
        if isinstance(block, Table):
            yield from (" | ".join(cell.text for cell in row.cells) for row in block.rows)
        else:
            yield block.text


def _sheet(content: bytes) -> str:
    import openpyxl

    workbook = openpyxl.load_workbook(
        _unpackable(content, "xl/worksheets/", "xl/sharedStrings"), read_only=True, data_only=True
    )
    try:
        return "\n".join(_enough(_rows(workbook)))
    finally:
        workbook.close()


def _rows(workbook: "openpyxl.Workbook") -> Iterator[str]:
    cells = 0
    for sheet in workbook.worksheets:
        yield f"# {sheet.title}"
        sheet.reset_dimensions()  # to the size that it claims every row would be filled up, and counted
        for row in sheet.iter_rows(values_only=True):
            cells += max(1, len(row))  # a row without a cell takes as long
            if cells > _MOST_CELLS:
                yield f"(only the first {_MOST_CELLS:,} cells are read)"
                return
            filled = [str(value) for value in row if value is not None]
            if filled:
                yield " | ".join(filled)


def _slides(content: bytes) -> str:
    import pptx

    slides = pptx.Presentation(_unpackable(content)).slides
    return "\n\n".join(
        _enough("\n".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame) for slide in slides)
    )


def _enough(parts: Iterable[str]) -> Iterator[str]:
    """The parts of a text until there is more than is kept of it: a sheet of a million rows takes a minute to read."""
    length = 0
    for part in parts:
        yield part
        length += len(part) + 1
        if length > MOST_CHARACTERS:
            return


def _unpackable(content: bytes, *streamed: str) -> io.BytesIO:
    """A zip whose parts are not larger than they may be: a bomb of 10 MB unpacks to 10 GB.

    All but the parts whose names begin with `streamed` may be read into a tree: a part that is called a picture may be
    markup. Pictures themselves are hardly smaller packed, so as much again as the file is theirs.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
    for most, found in (
        (_MOST_UNPACKED, parts),
        (_MOST_MARKUP + len(content), [part for part in parts if not part.filename.startswith(streamed)]),
    ):
        if sum(part.file_size for part in found) > most:
            raise _TooLarge(f"it unpacks to more than {most // 1_000_000} MB")
    return io.BytesIO(content)


_OFFICE = "application/vnd.openxmlformats-officedocument"
_READERS: dict[str, Callable[[bytes], str]] = {
    "text/plain": _plain,
    "text/markdown": _plain,
    "text/csv": _plain,
    "text/tab-separated-values": _plain,
    "application/json": _plain,
    "text/html": _html,
    "application/pdf": _pdf,
    f"{_OFFICE}.wordprocessingml.document": _document,
    f"{_OFFICE}.spreadsheetml.sheet": _sheet,
    f"{_OFFICE}.presentationml.presentation": _slides,
}
