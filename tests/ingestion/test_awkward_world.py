"""The awkward cases of content, each as a provider can send it, synced over HTTP: one bad record costs itself
at most, and never the source.

The scene is one organisation with all four providers. Each is synced as it is, then with records in which the wire
itself is broken, then as it is again.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unicodedata import normalize

import psycopg
import pytest

from boots_pipeline.agents.untrusted import visible
from boots_pipeline.ingestion.outcome import Outcome
from boots_pipeline.ingestion.sync import SyncEngine
from boots_pipeline.knowledge.rollup import roll_up
from boots_pipeline.providers import PROVIDERS
from boots_pipeline.providers.base import Provider
from boots_pipeline.providers.drive_text import MOST_CHARACTERS
from boots_pipeline.providers.gmail import GMAIL
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.providers.quickbooks import QUICKBOOKS
from boots_pipeline.resources import mcp_line
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from boots_pipeline.resources.envelope_vault import EnvelopeVault, KeyRing
from boots_pipeline.resources.mcp_gateway import McpGateway
from boots_pipeline.resources.queue import SyncQueue
from boots_pipeline.resources.tokens import TokenService
from sandbox.awkward import BIDI, NFD_NAME, ORG_ID, SECRETS, ZERO_WIDTH
from sandbox.mailbox import NO_DAYS
from tests.conftest import Connected, as_new, consented, make_organisation, store_grant
from tests.databases import Databases
from tests.outside import Outside

VAULT_KEYS = "test:" + "A" * 43 + "="
# Where a record is broken on its way: in JSON inside a block of text, in structured content, in what the bridge reads.
BROKEN: dict[str, tuple[Provider, dict[str, Any]]] = {
    "hubspot": (HUBSPOT, {"tool": "search_crm_objects", "match": {"objectType": "companies"}}),
    "gmail": (GMAIL, {"tool": "get_thread", "times": None}),  # of one thread, however often it is asked for
    "quickbooks": (QUICKBOOKS, {"tool": "query", "after": 1}),
}
ODD = (
    r'"half": "a \ud83e", "whole": "\ud83e\udd41", "nothing": [NaN, Infinity, -Infinity], "huge": 1e200000, '
    rf'"wide": {2**70}, "twice": "first", "twice": "last", "org_id": "{ORG_ID}", '
    r'"__proto__": {"isAdmin": true}, "sql": "'"'; DROP TABLE source_documents;--"'"'
)  # fmt: skip
DEEP = f'"deep": {"[" * 100_000}{"]" * 100_000}'
DIGITS = f'"digits": {"9" * 5_000}'


class Heard(logging.Handler):
    """Every line that anything logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@dataclass
class Scene:
    """What the syncs left behind."""

    outside: Outside
    database: Database
    owner: psycopg.Connection
    connected: dict[str, Connected]
    heard: Heard = field(default_factory=Heard)
    reports: list[str] = field(default_factory=list)
    first: dict[str, Outcome] = field(default_factory=dict)

    def sync(self, provider: str, kind: str | None = None) -> Outcome:
        """One sync, with all that it says written down."""
        connected, root = self.connected[provider], logging.getLogger()
        level = root.level
        root.addHandler(self.heard)
        root.setLevel(logging.DEBUG)
        try:
            connected.wake()
            outcome = connected.sync(kind)
        finally:
            root.removeHandler(self.heard)
            root.setLevel(level)
        self.reports.append(repr(outcome))
        return outcome

    def broken(self, provider: str, raw: str) -> Outcome:
        """A sync in which one record comes with these members, and which reads everything again."""
        order = dict(BROKEN[provider][1])
        if provider == "gmail":
            order["match"] = {"threadId": self.titled("gmail", "Rota")["external_id"]}
        self.outside.fault(provider=provider, kind="raw", raw=raw, **order)
        try:
            return self.sync(provider, "reconcile")
        finally:
            self.outside.control("DELETE", "faults")

    def titled(self, provider: str, title: str) -> dict[str, Any]:
        """The only living document of that title."""
        (found,) = [row for row in self.connected[provider].documents().values() if row["title"] == title]
        return found

    def set_aside(self, provider: str) -> list[str]:
        rows = self.owner.execute(
            "select reason from quarantined_items where source_id = %s", [self.connected[provider].id]
        )
        return [row["reason"] for row in rows]


@pytest.fixture(scope="module")
def scene(databases: Databases, sandbox: Outside, embedder: WordllamaEmbedder) -> Iterator[Scene]:
    """Four providers, synced once as they are."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        as_new(sandbox, monkeypatch),
        databases.lend() as urls,
        psycopg.connect(urls.owner, autocommit=True, row_factory=psycopg.rows.dict_row) as owner,
        closing(Database(urls.worker, application="test-worker")) as database,
        closing(Database(urls.web, application="test-web")) as web,
    ):
        vault, queue = EnvelopeVault(KeyRing.parse(VAULT_KEYS)), SyncQueue(database)
        engine = SyncEngine(database, queue, McpGateway(database, TokenService(database, vault)), embedder)
        organisation = make_organisation(owner)
        scene = Scene(sandbox, database, owner, {})
        for name, provider in PROVIDERS.items():
            source_id = store_grant(web, vault, organisation, provider, consented(sandbox, organisation, provider))
            scene.connected[name] = Connected(organisation, provider, source_id, owner, sandbox, queue, engine)
            scene.first[name] = scene.sync(name)
        yield scene


def whole(scene: Scene) -> None:
    """Everything is kept that there is, and nothing set aside."""
    for name, connected in scene.connected.items():
        assert connected.kept() == connected.truth(), name
        assert scene.set_aside(name) == [], name


def test_every_provider_is_kept_whole(scene: Scene) -> None:
    ended = {name: (outcome.status, outcome.message) for name, outcome in scene.first.items()}
    assert ended == dict.fromkeys(PROVIDERS, ("completed", None))
    whole(scene)


def test_c01_what_postgres_cannot_hold_is_left_out_and_counted(scene: Scene) -> None:
    for name, connected in scene.connected.items():
        held = connected.outside.truth(connected.organisation.slug, name)
        # Of a file the truth is its text, and a reader has decoded that.
        marks = ("\\u0000",) if name == "google_drive" else ("\\u0000", "\\ud83e")
        awkward = {
            (stream, external_id)
            for stream, records in held.items()
            for external_id, record in records.items()
            if any(mark in json.dumps(record) for mark in marks)
        }
        assert awkward, name
        assert scene.first[name].kept.mended == len(awkward), name
        (job,) = scene.owner.execute(
            "select items_mended from ingestion_jobs where source_id = %s and kind = 'full'", [connected.id]
        ).fetchall()
        assert job["items_mended"] == len(awkward)
        documents = connected.documents()
        for key in awkward:
            told = f"{documents[key]['content']} {json.dumps(documents[key]['raw_payload'], ensure_ascii=False)}"
            assert "old system: the rest" in told or "\ufffd" in told, (name, key)


def test_c02_half_an_emoji_is_u_fffd(scene: Scene) -> None:
    kept = [row["content"] for row in scene.connected["hubspot"].documents().values()]
    assert [content for content in kept if content.endswith("Thanked us for the tour of the workshop \ufffd")]
    assert "Cut in the middle: \ufffd" in scene.titled("google_drive", "half an emoji.txt")["content"]


def test_c03_charsets_that_lie_are_read_with_replacement_and_always_the_same(scene: Scene) -> None:
    for title, said in {
        "umlaute.txt": "Türen für Öhlmark",
        "two charsets.txt": "Türen: \ufffdhlmark \ufffd",
        "wrong charset.html": "Türen für Öhlmark",
        "utf-7.html": "+ADw-script+AD4-alert(7)",  # as it is written: who decodes it makes a script of it
    }.items():
        assert said in scene.titled("google_drive", title)["content"], title
    drive = scene.connected["google_drive"]
    before = {key: row["payload_hash"] for key, row in drive.documents().items()}
    scene.owner.execute("update source_documents set version = null where source_id = %s", [drive.id])
    outcome = scene.sync("google_drive", "reconcile")  # every file is read again
    assert (outcome.status, outcome.kept.changed, outcome.kept.unchanged) == ("completed", 0, len(before)), outcome
    assert {key: row["payload_hash"] for key, row in drive.documents().items()} == before


@pytest.mark.parametrize("name", BROKEN)
def test_c02_c04_c06_c16_what_json_does_not_allow_costs_no_record(scene: Scene, name: str) -> None:
    outcome = scene.broken(name, ODD)
    assert (outcome.status, outcome.kept.quarantined) == ("completed", 0), outcome
    assert outcome.kept.mended == scene.first[name].kept.mended + 1
    (odd,) = [row for row in scene.connected[name].documents().values() if "twice" in row["raw_payload"]]
    told = odd["raw_payload"]
    assert (told["half"], told["whole"]) == ("a \ufffd", "\U0001f941")  # C2
    assert (told["nothing"], told["huge"]) == ([None, None, None], None)  # C4, and what is beyond a double
    assert (told["wide"], told["twice"]) == (str(2**70), "last")  # C6
    assert (told["org_id"], told["__proto__"]) == (ORG_ID, {"isAdmin": True})  # C16: data, and nothing else
    assert odd["org_id"] == scene.connected[name].organisation.id
    scene.sync(name, "reconcile")
    whole(scene)


def test_c04_no_number_is_null(scene: Scene) -> None:
    outcome = scene.broken("hubspot", '"only": NaN')
    (kept,) = [row for row in scene.connected["hubspot"].documents().values() if "only" in row["raw_payload"]]
    assert (outcome.status, kept["raw_payload"]["only"]) == ("completed", None)
    assert outcome.kept.mended == scene.first["hubspot"].kept.mended + 1


@pytest.mark.parametrize("name", ["hubspot", "gmail", "quickbooks"])
def test_c05_what_is_nested_without_end_is_set_aside_alone(scene: Scene, name: str) -> None:
    outcome = scene.broken(name, DEEP)
    assert (outcome.status, outcome.kept.quarantined) == ("partial", 1), outcome
    assert scene.set_aside(name) == ["it is nested more than 60 deep"]
    assert scene.connected[name].kept() == scene.connected[name].truth()  # as it was before
    assert scene.sync(name, "reconcile").status == "completed"
    whole(scene)


@pytest.mark.parametrize("name", ["hubspot", "gmail", "quickbooks"])
def test_c06_a_number_of_thousands_of_digits_is_a_text(scene: Scene, name: str) -> None:
    outcome = scene.broken(name, DIGITS)
    (kept,) = [row for row in scene.connected[name].documents().values() if "digits" in row["raw_payload"]]
    assert (outcome.status, kept["raw_payload"]["digits"]) == ("completed", "9" * 5_000)


def test_c07_a_bomb_is_not_unpacked_and_a_million_rows_are_not_read(scene: Scene) -> None:
    bomb, sheet = scene.titled("google_drive", "bomb.xlsx"), scene.titled("google_drive", "a million rows.xlsx")
    assert "Without its text: it unpacks to more than 200 MB." in bomb["content"]
    assert int(bomb["raw_payload"]["fileSize"]) < 300_000
    assert MOST_CHARACTERS < len(sheet["content"]) < MOST_CHARACTERS + 1_000
    assert "only its first 500,000 characters are read" in sheet["content"]


def test_c07_an_answer_that_is_too_large_costs_its_record(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    drive = scene.connected["google_drive"]
    scene.owner.execute("update source_documents set version = null where title = 'a million rows.xlsx'")
    monkeypatch.setattr(mcp_line, "_ANSWER_BYTES", 700_000)
    outcome = scene.sync("google_drive", "reconcile")
    assert (outcome.status, outcome.kept.quarantined) == ("partial", 1), outcome
    (reason,) = scene.set_aside("google_drive")
    assert "answer is larger than" in reason
    monkeypatch.undo()
    assert scene.sync("google_drive", "reconcile").status == "completed"
    assert drive.kept() == drive.truth()


def test_c08_a_text_of_a_megabyte_is_kept_whole_and_its_beginning_is_searched(scene: Scene) -> None:
    row = scene.titled("gmail", "Everything that the saw has logged")
    assert len(row["content"]) > 1_048_576
    found = scene.owner.execute(
        """select length(search_text::text) as size, search_text @@ to_tsquery('simple', '0000007') as begins,
                  search_text @@ to_tsquery('simple', '0023280') as ends from source_documents where id = %s""",
        [row["id"]],
    ).fetchone()
    assert found["begins"]
    assert not found["ends"]
    assert 10_000 < found["size"] < 1_000_000


def test_c09_an_id_that_no_index_takes_is_set_aside_alone(scene: Scene) -> None:
    outcome = scene.broken("gmail", f'"id": "{"x" * 4_096}"')
    assert outcome.status == "partial"
    reasons = scene.set_aside("gmail")
    assert "its id is empty or longer than 500 characters" in reasons
    assert len(reasons) <= 2  # and the message whose id that was, if the search had shown it
    assert scene.sync("gmail", "reconcile").status == "completed"
    whole(scene)


def test_c10_what_says_nothing_is_kept(scene: Scene) -> None:
    for title in ("empty.txt", "blank.txt"):
        row = scene.titled("google_drive", title)
        assert "Without its text: it holds no text." in row["content"]
        assert (row["raw_payload"]["text"], row["passage_count"]) == ("", 1)
    assert scene.titled("gmail", "(no subject)")["passage_count"] == 1


def test_c11_one_name_in_two_spellings_is_one_client_and_a_look_alike_is_another(
    scene: Scene, embedder: WordllamaEmbedder
) -> None:
    roll_up(scene.database, embedder, scene.connected["hubspot"].organisation.id)
    clients = {
        row["title"]: row["client_id"]
        for row in scene.owner.execute(
            """select d.title, c.client_id from source_documents d join client_documents c on c.document_id = d.id
                where d.deleted_at is null and (d.document_type in ('companies', 'files'))"""
        )
    }
    assert clients["One name, spelled twice.txt"] == clients[NFD_NAME]
    (row,) = scene.owner.execute(
        "select client_name from client_intelligence where client_id = %s", [clients[NFD_NAME]]
    ).fetchall()
    assert row["client_name"] == normalize("NFC", NFD_NAME) != NFD_NAME
    look_alikes = [title for title in clients if title != title.translate(LATIN) and title.translate(LATIN) in clients]
    assert look_alikes
    assert all(clients[title] != clients[title.translate(LATIN)] for title in look_alikes)


LATIN = str.maketrans("аеорс", "aeopc")  # noqa: RUF001 - Cyrillic letters that look like ours


def test_c11_what_cannot_be_seen_is_kept_and_no_model_reads_it(scene: Scene) -> None:
    for name in PROVIDERS:
        kept = [row["content"] for row in scene.connected[name].documents().values() if ZERO_WIDTH in row["content"]]
        assert kept, name
        for content in kept:
            assert "Password" in visible(content).replace("Pass word", "Password")
            assert not set(ZERO_WIDTH + BIDI[0]) & set(visible(content))


def test_c12_a_day_that_no_calendar_has_is_no_date_and_says_so(scene: Scene) -> None:
    for day in NO_DAYS:
        row = scene.titled("gmail", f"Dated {day}")
        assert row["source_updated_at"] is None
        assert f"Date: {day} (no date)" in row["content"]
    deals = [row["content"] for row in scene.connected["hubspot"].documents().values()]
    assert [told for told in deals if "closes +010000-01-01T00:00:00.000Z (no date)" in told]
    assert [told for told in deals if "closes 9999-12-31" in told]
    # A file from the last day there is does not say when the provider's clock stands.
    assert scene.titled("google_drive", "for ever.txt")["source_updated_at"].year == 9999
    row = scene.owner.execute("select watermark from sync_streams where stream = 'files'").fetchone()
    assert row["watermark"] <= datetime(2026, 11, 20, 18, tzinfo=UTC)


def test_c13_ten_thousand_recipients_mail_in_mail_and_a_long_thread(scene: Scene) -> None:
    everybody = scene.titled("gmail", "To all")
    assert len(everybody["raw_payload"]["toRecipients"]) == 10_000
    assert len(everybody["content"]) < 2_000
    assert everybody["client_keys"] == []
    inside = scene.titled("gmail", "Fwd: Fwd: Fwd:")["content"]
    assert "Level 60" in inside
    assert "Level 1\n" in inside
    gate = [row["content"] for row in scene.connected["gmail"].documents().values() if row["title"] == "About the gate"]
    assert {f"Line {number} about the gate." for number in range(14)} == {told.split("\n")[-1] for told in gate}


def test_c14_a_program_called_pdf_and_an_encrypted_one_are_named_without_a_text(scene: Scene) -> None:
    for title in ("invoice.pdf", "payroll.pdf", "liar.docx"):
        row = scene.titled("google_drive", title)
        assert "it does not open: broken, encrypted, or of another type than it says" in row["content"]
        assert row["raw_payload"]["text"] == ""


def test_c15_secrets_in_what_is_kept_are_in_no_log_and_no_report(scene: Scene) -> None:
    content = scene.titled("gmail", "What you need to get in")["content"]
    assert all(secret in content for secret in SECRETS)
    jobs = scene.owner.execute("select to_jsonb(j)::text as told from ingestion_jobs j").fetchall()
    queued = scene.owner.execute("select message::text as told from pgmq.a_ingestion_queue").fetchall()
    said = [*scene.heard.lines, *scene.reports, *(row["told"] for row in (*jobs, *queued))]
    assert len(scene.heard.lines) > 20
    assert not [line for line in said if any(secret in line for secret in SECRETS)]


def test_c16_what_a_record_claims_about_itself_is_data(scene: Scene) -> None:
    books = scene.connected["quickbooks"]
    (claimed,) = [row for row in books.documents().values() if "CustomField" in row["raw_payload"]]
    assert [each["Name"] for each in claimed["raw_payload"]["CustomField"]] == [
        "org_id", "__proto__", "'; DROP TABLE invoices;--"
    ]  # fmt: skip
    assert claimed["org_id"] == books.organisation.id
    orgs = scene.owner.execute("select distinct org_id::text as id from source_documents").fetchall()
    assert [row["id"] for row in orgs] == [str(books.organisation.id)]
    notes = [
        row["content"] for row in scene.connected["hubspot"].documents().values() if "DROP TABLE" in row["content"]
    ]
    assert notes
    assert all("<script>" in told for told in notes)
