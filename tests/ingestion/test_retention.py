"""What a deleted document said is dropped after its days, and comes back with the record."""

from boots_pipeline.ingestion.retention import Retention
from boots_pipeline.resources.database import Database
from tests.conftest import Connected

SAID = ("raw_payload", "content", "embedding", "facts")


def test_what_was_deleted_long_ago_is_dropped_and_nothing_else(connected: Connected, database: Database) -> None:
    connected.sync()
    old, recent, *_ = sorted(connected.kept()["companies"])
    tombstone = (
        "update source_documents set deleted_at = clock_timestamp() - make_interval(days => %s) where external_id = %s"
    )
    connected.owner.execute(tombstone, [31, old])
    connected.owner.execute(tombstone, [29, recent])
    connected.owner.execute(
        """insert into source_document_passages (org_id, document_id, position, content)
           select org_id, id, 1, 'more' from source_documents where external_id = any(%s)""",
        [[old, recent]],
    )
    before = rows(connected)
    assert Retention(database, 30).drop_deleted() == 1
    after = rows(connected)
    assert {key for key in before if before[key] != after[key]} == {("companies", old)}
    dropped = after["companies", old]
    assert (dropped["raw_payload"], dropped["content"], dropped["embedding"], dropped["facts"]) == (None, "", None, [])
    assert dropped["title"] == before["companies", old]["title"]
    assert dropped["passages"] == 0
    assert after["companies", recent]["passages"] == 1
    assert Retention(database, 30).drop_deleted() == 0


def test_a_record_that_comes_back_says_everything_again(connected: Connected, database: Database) -> None:
    connected.sync()
    before = rows(connected)
    connected.owner.execute("update source_documents set deleted_at = '-infinity' where document_type = 'deals'")
    assert Retention(database, 30).drop_deleted() == len(connected.truth()["deals"])
    assert connected.sync("full").status == "completed"
    assert connected.kept() == connected.truth()
    after = rows(connected)
    assert {key: [row[name] for name in SAID] for key, row in before.items()} == {
        key: [row[name] for name in SAID] for key, row in after.items()
    }


def rows(connected: Connected) -> dict[tuple[str, str], dict[str, object]]:
    found = connected.owner.execute(
        """select d.*, (select count(*) from source_document_passages p where p.document_id = d.id) as passages
             from source_documents d"""
    )
    return {(row["document_type"], row["external_id"]): row for row in found}
