"""Files whose bytes are not those of their text: in charsets that lie, of types that lie, encrypted, or many times as
large unpacked as they are. Each is made once and is small; nothing here unpacks one.
"""

import functools
import io
import zipfile

ROWS = 1_000_000
_MEGABYTES = 210  # that the bomb unpacks to
_SHEET = "xl/worksheets/sheet1.xml"
_HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">%s<sheetData>'
_ROW = b'<row><c t="inlineStr"><is><t>Oak, planed on all four sides, 40 by 120 mm, by the metre</t></is></c></row>'
_TAIL = b"</sheetData></worksheet>"

HALF_AN_EMOJI = b"\xff\xfe" + "Cut in the middle: \ud83e".encode("utf-16-le", "surrogatepass")
TWO_CHARSETS = "Türen: ".encode() + "Öhlmark ".encode("cp1252") + b"\x81"
WRONG_CHARSET = '<html><head><meta charset="shift_jis"></head><body><p>Türen für Öhlmark</p></body></html>'.encode()
UTF_7 = b'<html><head><meta charset="utf-7"></head><body>+ADw-script+AD4-alert(7)+ADw-/script+AD4-</body></html>'
PROGRAM = b"MZ\x90\x00\x03\x00\x00\x00This program cannot be run in DOS mode.\r\n$"
NO_WORD_FILE = b"MZ: this is no document"


@functools.cache
def bomb() -> bytes:
    """A spreadsheet of 200 KB that unpacks to 210 MB."""
    return workbook(*[b" " * 1_000_000] * _MEGABYTES)


@functools.cache
def endless_sheet() -> bytes:
    """A spreadsheet of a million rows."""
    return workbook(*[_ROW * (ROWS // 100)] * 100, told=ROWS)


@functools.cache
def encrypted_pdf() -> bytes:
    """A page that opens with a password only."""
    import pypdf  # as in drive_files: whoever opens no file need not wait for its maker

    made, writer = io.BytesIO(), pypdf.PdfWriter()
    writer.add_blank_page(595, 842)
    writer.encrypt("not known here", algorithm="RC4-128")
    writer.write(made)
    return made.getvalue()


def workbook(*rows: bytes, told: int = 0) -> bytes:
    """A spreadsheet of these rows of markup, that tells how many they are, or does not."""
    import openpyxl

    head = _HEAD % (b'<dimension ref="A1:A%d"/>' % told if told else b"")
    plain, made = io.BytesIO(), io.BytesIO()
    openpyxl.Workbook().save(plain)
    with (
        zipfile.ZipFile(plain) as template,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in template.namelist():
            if name != _SHEET:
                archive.writestr(name, template.read(name))
        with archive.open(_SHEET, "w") as sheet:
            for part in (head, *rows, _TAIL):
                sheet.write(part)
    return made.getvalue()
