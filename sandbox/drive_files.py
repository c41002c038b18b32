"""The files of an organisation's admin: a folder a client, with documents, sheets, notes and contracts in it, and what
lies about in any Drive."""

import io
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from sandbox import awkward_files
from sandbox import vocabulary as words
from sandbox.awkward import INJECTION, NFD_NAME, ZERO_WIDTH
from sandbox.fiction import Author
from sandbox.world import Company, Organization, moment

GOOGLE, OPEN = "application/vnd.google-apps", "application/vnd.openxmlformats-officedocument"
FOLDER, SHORTCUT = f"{GOOGLE}.folder", f"{GOOGLE}.shortcut"
NATIVE = (f"{GOOGLE}.document", f"{GOOGLE}.spreadsheet", f"{GOOGLE}.presentation")
WORD, EXCEL, SLIDES = (
    f"{OPEN}.wordprocessingml.document",
    f"{OPEN}.spreadsheetml.sheet",
    (f"{OPEN}.presentationml.presentation"),
)
OFFICE = (WORD, EXCEL, SLIDES)
KINDS = (*NATIVE, "text/markdown", "application/pdf", WORD)
ENDINGS = {"text/markdown": ".md", "application/pdf": ".pdf", WORD: ".docx"}
FOLDERS_ARE_CALLED = ("{name}", "{name}", "{name} Ltd", "{upper}")


@dataclass(eq=False)
class File:
    """A file or a folder. `text` is what somebody reads in it; its bytes are made when they are asked for."""

    id: str
    title: str
    mime_type: str
    owner: str
    created: datetime
    modified: datetime
    parent_id: str | None
    text: str = ""
    company_id: int | None = None
    size: int = 0  # where it is not that of the text
    encoding: str = "utf-8"
    trashed: bool = False
    made: Callable[[], bytes] | None = None  # its bytes, where they are not those of the text


@dataclass
class Drive:
    """Everything that the admin of an organisation sees in Drive."""

    organization: Organization
    files: dict[str, File] = field(default_factory=dict)

    @classmethod
    def written(cls, seed: int, organization: Organization) -> "Drive":
        """The Drive on the first day: two in three clients have a folder, with one to three files in it."""
        rng = Random(f"{seed}:{organization.slug}:google_drive")  # noqa: S311 - a story, not a secret
        drive, author = cls(organization), Author(rng, organization)
        begun = min(company.created for company in organization.companies.values())
        clients = drive._add(rng, "Clients", FOLDER, begun, None)
        for company in organization.companies.values():
            if rng.random() < 0.66:
                called = rng.choice(FOLDERS_ARE_CALLED).format(name=company.name, upper=company.name.upper())
                folder = drive._add(rng, called, FOLDER, company.created, clients.id, company=company)
                for _ in range(rng.randint(1, 3)):
                    drive._write(author, folder, company, company.updated)
        drive._plant_awkward(rng, clients, begun)
        return drive

    def living(self) -> list[File]:
        """What is not in the trash, in no order that means anything."""
        return [file for file in self.files.values() if not file.trashed]

    def path(self, file: File) -> list[str]:
        """The folders above a file, nearest first."""
        path, parent = [], self.files.get(file.parent_id or "")
        while parent is not None:
            path.append(parent.title)
            parent = self.files.get(parent.parent_id or "")
        return path

    def day(self, start: datetime, rng: Random) -> dict[str, list[str]]:
        """What is written, changed, opened, renamed, moved and thrown away on a day; and a folder gets a new name."""
        author, end = Author(rng, self.organization), start + timedelta(hours=24)
        folders = [file for file in self.living() if file.mime_type == FOLDER and file.company_id]
        pool = [file for file in self.living() if file.company_id and file.mime_type != FOLDER]
        rng.shuffle(pool)
        changed, bumped, renamed, moved, gone = pool[:2], pool[2:4], pool[4:5], pool[5:6], pool[6:7]
        for file in changed:
            company = self.organization.companies.get(file.company_id or 0)
            file.text += f"\n{author.fill(rng.choice(words.REVISIONS), company)}"
        for file in renamed:
            file.title = f"Final {file.title}"
        for file in (*changed, *bumped, *renamed):
            file.modified = moment(rng, start, end)
        for file in moved:
            file.parent_id = rng.choice(folders).id  # its date stays: only a complete listing sees it
        for file in gone:
            file.trashed = True
        rng.choice(folders).title += " (old)"
        created = []
        for folder in rng.sample(folders, min(2, len(folders))):
            company = self.organization.companies.get(folder.company_id or 0)
            created.append(self._write(author, folder, company, moment(rng, start, end)))
        days = {
            "created": created, "changed": changed, "bumped": bumped, "renamed": renamed, "moved": moved,
            "archived": gone,
        }  # fmt: skip
        return {change: [file.id for file in files] for change, files in days.items()}

    def _write(self, author: Author, folder: File, company: Company | None, when: datetime) -> File:
        rng, work = author.rng, author.work(company)
        kind = rng.choice(KINDS)
        title = f"{rng.choice(('Proposal', 'Minutes', 'Offer', 'Survey'))}: {work}{ENDINGS.get(kind, '')}"
        sentences = [
            author.fill(rng.choice(group), company, work) for group in (words.BRIEFS, words.PLANS, words.NOTES)
        ]
        return self._add(rng, title, kind, when, folder.id, "\n".join(sentences), company=company)

    def _add(
        self, rng: Random, title: str, kind: str, when: datetime, parent_id: str | None, text: str = "",
        company: Company | None = None,
    ) -> File:  # fmt: skip
        file = File(
            f"1{rng.randrange(62**20):020x}"[:28], title, kind, self.organization.admin.email, when, when, parent_id,
            text, company.id if company else None,
        )  # fmt: skip
        self.files[file.id] = file
        return file

    def _plant_awkward(self, rng: Random, clients: File, when: datetime) -> None:
        """Valid files that have broken somebody's import once."""
        everything = clients.id
        for title, kind, text in (
            ("A way to the proposal", SHORTCUT, ""),
            ("floor plan.dwg", "application/acad", ""),
            ("photo.jpg", "image/jpeg", ""),
            ("empty.txt", "text/plain", ""),
            ("page.html", "text/html", "<html><head><style>x</style></head><body><p>Opening hours</p></body></html>"),
            ("rates.csv", "text/csv", "item;rate\r\noak;48\r\n"),
            ("export.json", "application/json", '{"rates": [48, 52]}'),
            ("prices.xlsx", EXCEL, "Oak | 48\nAsh | 52"),
            ("talk.pptx", SLIDES, "Why oak\nWhat it costs"),
            ("zeroed.txt", "text/plain", "From an old system:\x00 the rest was lost."),
            (f"in{ZERO_WIDTH}visible.txt", "text/plain", f"Pass{ZERO_WIDTH}word is not one."),
            ("instructions.txt", "text/plain", INJECTION),
        ):
            self._add(rng, title, kind, when, everything, text)
        for title, kind, text, made in (
            ("half an emoji.txt", "text/plain", "Cut in the middle: \ufffd", lambda: awkward_files.HALF_AN_EMOJI),
            ("two charsets.txt", "text/plain", "Türen: \ufffdhlmark \ufffd", lambda: awkward_files.TWO_CHARSETS),
            ("wrong charset.html", "text/html", "Türen für Öhlmark", lambda: awkward_files.WRONG_CHARSET),
            ("utf-7.html", "text/html", "", lambda: awkward_files.UTF_7),
            ("bomb.xlsx", EXCEL, "", awkward_files.bomb),
            ("a million rows.xlsx", EXCEL, "", awkward_files.endless_sheet),
            ("invoice.pdf", "application/pdf", "", lambda: awkward_files.PROGRAM),
            ("payroll.pdf", "application/pdf", "", awkward_files.encrypted_pdf),
            ("liar.docx", WORD, "", lambda: awkward_files.NO_WORD_FILE),
            ("blank.txt", "text/plain", "", lambda: b" \n\t\n"),
        ):
            self._add(rng, title, kind, when, everything, text).made = made
        last = datetime.max.replace(tzinfo=UTC)
        self._add(rng, "for ever.txt", "text/plain", last, everything, "It changes on the last day there is.")
        self._add(rng, "At the root.txt", "text/plain", when, None, "It lies in no folder.")
        self._add(rng, "Shared with us.txt", "text/plain", when, "0FolderOfSomebodyElse", "Its folder is not ours.")
        self._add(rng, "film.txt", "text/plain", when, everything, "Too large.").size = 34_000_000
        self._add(rng, "umlaute.txt", "text/plain", when, everything, "Türen für Öhlmark").encoding = "cp1252"
        composed = self._add(rng, unicodedata.normalize("NFC", NFD_NAME), FOLDER, when, everything)
        self._add(rng, "One name, spelled twice.txt", "text/plain", when, composed.id, "HubSpot has it in NFD.")
        self._add(rng, "thrown away.txt", "text/plain", when, everything, "Gone.").trashed = True


def content_of(file: File) -> bytes:
    """The bytes of a file, of the type that it says it is of."""
    if file.made is not None:
        return file.made()
    match file.mime_type:
        case "application/pdf":
            return _pdf(file.text)
        case kind if kind in OFFICE:
            return _office(kind, file.text)
    return file.text.encode(file.encoding, "replace")


def _office(kind: str, text: str) -> bytes:
    import docx  # a third of the sandbox's start, and most of its visitors open no such file
    import openpyxl
    import pptx

    made = io.BytesIO()
    lines = text.split("\n")
    if kind == WORD:
        document = docx.Document()
        for line in lines:
            document.add_paragraph(line)
        document.save(made)
    elif kind == EXCEL:
        workbook = openpyxl.Workbook()
        for line in lines:
            workbook.worksheets[0].append(line.split(" | "))
        workbook.save(made)
    else:
        slides = pptx.Presentation()
        slide = slides.slides.add_slide(slides.slide_layouts[1])
        for shape, line in zip(slide.placeholders, lines, strict=False):
            shape.text = line
        slides.save(made)
    return made.getvalue()


def _pdf(text: str) -> bytes:
    """One page, as simple as a PDF can be."""
    shown = "\n".join(f"({_escaped(line)}) Tj T*" for line in text.split("\n"))
    stream = f"BT /F1 11 Tf 14 TL 40 800 Td\n{shown}\nET".encode("cp1252", "replace")
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    made, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(made))
        made += b"%d 0 obj%s endobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return made + b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        len(parts) + 1, table, len(parts) + 1, len(made)
    )  # fmt: skip


def _escaped(line: str) -> str:
    return line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
