"""Rolling up: rows follow the living documents, nothing is written twice, no client is lost or named like another."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid5

import psycopg
import pytest

from boots_pipeline.errors import ConfigError
from boots_pipeline.knowledge.rollup import roll_up
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import Vectors, WordllamaEmbedder
from tests.knowledge.library import Library
from tests.knowledge.records import company, contact, deal


class Counting(WordllamaEmbedder):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return super().embed(texts)


def clients(owner: psycopg.Connection, columns: str = "client_name, retired_at is not null as retired") -> list[Any]:
    return owner.execute(f"select {columns} from client_intelligence order by client_name").fetchall()


def names(owner: psycopg.Connection) -> list[str]:
    return [row["client_name"] for row in clients(owner) if not row["retired"]]


def row_versions(owner: psycopg.Connection) -> list[Any]:
    return [
        owner.execute(f"select xmin::text, * from {table} order by 1, 2, 3").fetchall()
        for table in ("client_intelligence", "client_documents", "client_keys")
    ]


def test_a_client_is_what_its_documents_say(
    database: Database, embedder: WordllamaEmbedder, library: Library, owner: psycopg.Connection
) -> None:
    bay = library.keep("hubspot", "companies", "1", company(1, "Bay Hotel", "domain:bay.example"))
    library.keep("hubspot", "deals", "5", deal("Oak stair", 1, "GBP 12500.00", "contractsent", day=2))
    library.keep("hubspot", "deals", "6", deal("Bar", 1, "GBP 900.00", "closedwon"))
    library.keep("hubspot", "contacts", "8", contact("Jane Doe", "jane@bay.example", "Owner", 1))

    report = roll_up(database, embedder, library.org_id)

    assert (report.clients, report.changed, report.retired, report.facts) == (1, 1, 0, 6)
    row = clients(owner, "*")[0]
    assert row["client_id"] == uuid5(library.org_id, "hubspot.company:1")
    assert row["client_name"] == "Bay Hotel"
    assert row["summary"] == (
        "Bay Hotel, in hospitality, based in Whitby, England. "
        "Open deals: Oak stair, GBP 12500.00, stage contractsent, closes 2026-12-24. "
        "Past deals: Bar, GBP 900.00, stage closedwon, closes 2026-12-24. "
        "People: Jane Doe, Owner, jane@bay.example. Last change: 2026-11-18."
    )
    assert (row["external_id"], row["source_document_id"], row["document_count"]) == ("1", bay, 4)
    assert (row["domains"], row["provider_ids"]) == (["bay.example"], {"hubspot": ["1"]})
    assert row["as_of"].isoformat() == "2026-11-18T09:00:00+00:00"
    newest = row["profile"]["facts"][0]
    assert newest["name"] == "deal"
    assert newest["provider"] == "hubspot"
    assert set(newest) == {"name", "value", "as_of", "document_id", "provider", "title"}
    assert row["embedding_model"] == embedder.model
    assert owner.execute("select count(*) as n from client_documents").fetchone() == {"n": 4}


def test_the_second_time_nothing_is_written_or_embedded(
    database: Database, library: Library, owner: psycopg.Connection
) -> None:
    library.keep_all(("hubspot", "companies", str(n), company(n, f"Inn number {n}")) for n in range(5))
    counting = Counting()
    first = roll_up(database, counting, library.org_id)
    before = row_versions(owner)
    counting.texts.clear()

    second = roll_up(database, counting, library.org_id)

    assert (second.changed, second.retired, second.version) == (0, 0, first.version)
    assert counting.texts == []
    assert row_versions(owner) == before


def test_only_what_changed_is_embedded_and_written(
    database: Database, library: Library, owner: psycopg.Connection
) -> None:
    library.keep_all(("hubspot", "companies", str(n), company(n, f"Inn number {n}")) for n in range(5))
    counting = Counting()
    first = roll_up(database, counting, library.org_id)
    counting.texts.clear()
    library.keep("hubspot", "deals", "6", deal("Bar", 3, "GBP 900.00", "open", day=1))

    second = roll_up(database, counting, library.org_id)

    assert second.changed == 1
    assert len(counting.texts) == 1
    assert second.version != first.version


def test_names_may_swap_and_go_round(
    database: Database, embedder: WordllamaEmbedder, library: Library, owner: psycopg.Connection
) -> None:
    def name_them(*given: str) -> None:
        library.keep_all(
            ("hubspot", "companies", str(n), company(n, name, f"domain:{n}.example")) for n, name in enumerate(given)
        )
        roll_up(database, embedder, library.org_id)

    name_them("Bay", "Moor", "Cliff")
    name_them("Moor", "Cliff", "Bay")
    assert [row["client_name"] for row in clients(owner, "client_name, external_id")] == ["Bay", "Cliff", "Moor"]
    name_them("Bay", "Bay", "bay")
    assert names(owner) == ["Bay (0.example)", "Bay (1.example)", "bay (2.example)"]


def test_clients_without_domains_are_told_apart_by_their_ids(
    database: Database, embedder: WordllamaEmbedder, library: Library, owner: psycopg.Connection
) -> None:
    library.keep_all(("hubspot", "companies", str(n), company(n, "Bay")) for n in (1, 2))
    roll_up(database, embedder, library.org_id)
    assert names(owner) == ["Bay (hubspot company 1)", "Bay (hubspot company 2)"]


def test_a_client_is_retired_with_its_documents_and_comes_back_with_them(
    database: Database, embedder: WordllamaEmbedder, library: Library, owner: psycopg.Connection
) -> None:
    bay = library.keep("hubspot", "companies", "1", company(1, "Bay"))
    library.keep("hubspot", "companies", "2", company(2, "Moor"))
    roll_up(database, embedder, library.org_id)
    before = clients(owner, "id, client_id")

    library.bury(bay)
    assert roll_up(database, embedder, library.org_id).retired == 1
    assert names(owner) == ["Moor"]
    assert owner.execute("select count(*) as n from client_documents").fetchone() == {"n": 1}
    assert roll_up(database, embedder, library.org_id).retired == 0

    library.keep("hubspot", "companies", "3", company(3, "Bay"))  # another client takes the name meanwhile
    roll_up(database, embedder, library.org_id)
    library.keep("hubspot", "companies", "1", company(1, "Bay"))
    roll_up(database, embedder, library.org_id)
    assert names(owner) == ["Bay (hubspot company 1)", "Bay (hubspot company 3)", "Moor"]
    assert [row for row in clients(owner, "id, client_id") if row in before] == [
        row for row in clients(owner, "id, client_id") if row["client_id"] in {each["client_id"] for each in before}
    ]


def test_a_retired_client_that_loses_its_name_can_still_be_read(
    database: Database, embedder: WordllamaEmbedder, library: Library, owner: psycopg.Connection
) -> None:
    for number in (1, 2, 3):  # each takes the name of the one before, which is gone
        kept = library.keep("hubspot", "companies", str(number), company(number, "Bay"))
        roll_up(database, embedder, library.org_id)
        assert names(owner) == ["Bay"]
        library.bury(kept)
        roll_up(database, embedder, library.org_id)
    told = {row["client_name"] for row in clients(owner)}
    second = str(uuid5(library.org_id, "hubspot.company:2"))[:8]
    assert told == {"Bay", "Bay (retired)", f"Bay (retired {second})"}


def test_computing_everything_again_gives_the_same_rows(
    database: Database, embedder: WordllamaEmbedder, library: Library, owner: psycopg.Connection
) -> None:
    library.keep_all(("hubspot", "companies", str(n), company(n, "Inn", f"domain:{n % 3}.example")) for n in range(6))
    library.keep("quickbooks", "customers", "9", company(9, "Hall", "domain:x.example", provider="quickbooks"))
    first = roll_up(database, embedder, library.org_id)
    columns = "client_id, client_name, summary, profile, content_hash, document_count"
    before = clients(owner, columns)
    owner.execute("delete from client_documents")
    owner.execute("delete from client_intelligence")

    assert roll_up(database, embedder, library.org_id).version == first.version
    assert clients(owner, columns) == before


def test_documents_that_change_meanwhile_start_it_again(
    database: Database, library: Library, owner: psycopg.Connection
) -> None:
    library.keep("hubspot", "companies", "1", company(1, "Bay"))

    class ChangesOnce(Counting):
        def embed(self, texts: Sequence[str]) -> Vectors:
            if not self.texts:
                library.keep("hubspot", "companies", "1", company(1, "Bay and Moor"))
            return super().embed(texts)

    roll_up(database, ChangesOnce(), library.org_id)
    assert names(owner) == ["Bay and Moor"]


def test_documents_that_never_rest_do_not_keep_it_from_ending(
    database: Database, library: Library, owner: psycopg.Connection
) -> None:
    library.keep("hubspot", "companies", "1", company(1, "Bay"))

    class Restless(Counting):
        def embed(self, texts: Sequence[str]) -> Vectors:
            library.keep("hubspot", "companies", "1", company(1, f"Bay {len(self.texts)}"))
            return super().embed(texts)

    roll_up(database, Restless(), library.org_id)
    assert names(owner) == ["Bay 1"]
    # It was overtaken: without a hash it is due, and whoever looks for what is due finds it.
    assert clients(owner, "content_hash") == [{"content_hash": None}]
    roll_up(database, Counting(), library.org_id)
    assert names(owner) == ["Bay 2"]
    assert clients(owner, "content_hash")[0]["content_hash"] is not None


def test_documents_that_are_deleted_meanwhile_do_not_keep_it_from_ending(
    database: Database, library: Library, owner: psycopg.Connection
) -> None:
    """It ends with what it had read, and refers to no document that is gone: the next one writes what stands."""
    library.keep("hubspot", "companies", "1", company(1, "Bay"))

    class Overtaken(Counting):
        rounds = 0

        def embed(self, texts: Sequence[str]) -> Vectors:
            self.rounds += 1
            if self.rounds < 3:
                library.keep("hubspot", "companies", "1", company(1, f"Bay {self.rounds}"))
            else:
                owner.execute("delete from source_documents")
            return super().embed(texts)

    roll_up(database, Overtaken(), library.org_id)
    assert clients(owner, "content_hash, source_document_id") == [{"content_hash": None, "source_document_id": None}]
    assert owner.execute("select 1 from client_documents").fetchall() == []
    assert owner.execute("select key from client_keys").fetchall() == []
    roll_up(database, Counting(), library.org_id)
    assert names(owner) == []


def test_an_organisation_with_nothing_has_no_clients(
    database: Database, embedder: WordllamaEmbedder, library: Library
) -> None:
    assert roll_up(database, embedder, library.org_id).clients == 0


def test_another_model_is_refused(database: Database, embedder: WordllamaEmbedder, library: Library) -> None:
    class Foreign(WordllamaEmbedder):
        model = "openai/another"

    roll_up(database, embedder, library.org_id)
    with pytest.raises(ConfigError, match="EMBEDDING_MODEL must be set back to wordllama/l2_supercat_256"):
        roll_up(database, Foreign(), library.org_id)
