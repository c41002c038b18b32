"""The text of a downloaded file: PDF, Office and OpenDocument text by libraries made for them, text as what it is.

Files are as hostile as anything: sizes are capped before anything is unpacked, and what does not open says so.

Each reader loads its library when it first reads: together they are 35 MB and 0.2 s, which every process of Boots would
pay, since all of them know the providers.
"""

import io
import logging
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from selectolax.lexbor import LexborHTMLParser

if TYPE_CHECKING:
    import docx.document
    import openpyxl

MOST_BYTES = 10_000_000  # downloaded; Drive itself exports no more
_MOST_UNPACKED = 200_000_000
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
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else encoding)
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

    reader = pypdf.PdfReader(io.BytesIO(content))
    return "\n\n".join(page.extract_text() for page in reader.pages[:_MOST_PAGES])


def _document(content: bytes) -> str:
    import docx

    return "\n".join(_paragraphs(docx.Document(_unpackable(content))))


def _paragraphs(document: "docx.document.Document") -> Iterator[str]:
    from docx.table import Table

    for block in document.iter_inner_content():
        if isinstance(block, Table):
            yield from (" | ".join(cell.text for cell in row.cells) for row in block.rows)
        else:
            yield block.text


def _sheet(content: bytes) -> str:
    import openpyxl

    workbook = openpyxl.load_workbook(_unpackable(content), read_only=True, data_only=True)
    try:
        return "\n".join(_rows(workbook))
    finally:
        workbook.close()


def _rows(workbook: "openpyxl.Workbook") -> Iterator[str]:
    cells = 0
    for sheet in workbook.worksheets:
        yield f"# {sheet.title}"
        for row in sheet.iter_rows(values_only=True):
            cells += len(row)
            if cells > _MOST_CELLS:
                return
            filled = [str(value) for value in row if value is not None]
            if filled:
                yield " | ".join(filled)


def _slides(content: bytes) -> str:
    import pptx

    slides = pptx.Presentation(_unpackable(content)).slides
    return "\n\n".join(
        "\n".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame) for slide in slides
    )


def _unpackable(content: bytes) -> io.BytesIO:
    """A zip whose parts are not larger than they may be: a bomb of 10 MB unpacks to 10 GB."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(part.file_size for part in archive.infolist()) > _MOST_UNPACKED:
            raise _TooLarge(f"it unpacks to more than {_MOST_UNPACKED // 1_000_000} MB")
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
