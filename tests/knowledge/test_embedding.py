"""What waits is embedded, in batches, by one model, and never with the vector of an older text."""

from collections.abc import Sequence

import numpy as np
import psycopg
import pytest

from boots_pipeline.errors import ConfigError, Transient
from boots_pipeline.knowledge.embedding import embed_pending
from boots_pipeline.knowledge.passages import cut, with_title
from boots_pipeline.providers.base import Document
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import Vectors, WordllamaEmbedder
from tests.knowledge.library import Library

LONG = Document("Minutes", " ".join(f"Point {n}: the oak stair of the north wing was discussed." for n in range(200)))


def note(number: int) -> tuple[str, str, str, Document]:
    return ("drive", "files", str(number), Document(f"Note {number}", f"What was said on day {number}."))


class Interrupted(WordllamaEmbedder):
    """An embedder of the same model, before whose answer something happens."""

    def __init__(self, happens: object) -> None:
        super().__init__()
        self._happens = happens

    def embed(self, texts: Sequence[str]) -> Vectors:
        assert callable(self._happens)
        self._happens()
        return super().embed(texts)


class Foreign(WordllamaEmbedder):
    model = "openai/another"


def test_documents_and_passages_get_their_vectors(
    database: Database, embedder: WordllamaEmbedder, library: Library, owner: psycopg.Connection
) -> None:
    long = library.keep("drive", "files", "long", LONG)
    library.keep_all(note(n) for n in range(3))
    seen: list[tuple[int, int]] = []

    report = embed_pending(database, embedder, library.org_id, lambda done, total: seen.append((done, total)))

    expected = cut(LONG.title, LONG.content)
    assert (report.documents, report.passages, report.changed_meanwhile) == (4, len(expected) - 1, 0)
    assert seen == [(4, 4)]
    row = owner.execute("select * from source_documents where id = %s", [long]).fetchone()
    assert row is not None
    assert row["embedding_model"] == embedder.model
    assert row["passage_count"] == len(expected)
    passages = owner.execute(
        "select position, content, embedding::text as embedding from source_document_passages order by position"
    ).fetchall()
    assert [each["content"] for each in passages] == expected[1:]
    vector = np.array(passages[-1]["embedding"].strip("[]").split(","), dtype=np.float32)
    assert np.allclose(vector, embedder.embed([with_title(LONG.title, expected[-1])])[0], atol=1e-5)


def test_a_second_time_there_is_nothing_to_do(
    database: Database, embedder: WordllamaEmbedder, library: Library, owner: psycopg.Connection
) -> None:
    library.keep("drive", "files", "long", LONG)
    library.keep_all(note(n) for n in range(3))
    embed_pending(database, embedder, library.org_id)
    before = owner.execute("select id, xmin::text from source_documents order by id").fetchall()

    report = embed_pending(database, embedder, library.org_id)

    assert (report.documents, report.passages) == (0, 0)
    assert owner.execute("select id, xmin::text from source_documents order by id").fetchall() == before


def test_only_the_missing_passages_are_made_when_the_engine_embedded_the_opening(
    database: Database, embedder: WordllamaEmbedder, library: Library, owner: psycopg.Connection
) -> None:
    library.keep("drive", "files", "long", LONG)
    embed_pending(database, embedder, library.org_id)
    owner.execute("delete from source_document_passages where position = 2")
    opening = owner.execute("select embedding::text from source_documents").fetchone()

    report = embed_pending(database, embedder, library.org_id)

    assert report.passages == len(cut(LONG.title, LONG.content)) - 1
    assert owner.execute("select embedding::text from source_documents").fetchone() == opening


def test_a_wrong_count_of_passages_is_set_right_and_costs_no_vector(
    database: Database, embedder: WordllamaEmbedder, library: Library, owner: psycopg.Connection
) -> None:
    library.keep(*note(1))
    embed_pending(database, embedder, library.org_id)
    before = owner.execute("select embedding::text, passage_count from source_documents").fetchone()
    owner.execute("update source_documents set passage_count = 9")
    embed_pending(database, embedder, library.org_id)
    assert owner.execute("select embedding::text, passage_count from source_documents").fetchone() == before


def test_a_text_that_changes_meanwhile_gets_no_stale_vector(
    database: Database, embedder: WordllamaEmbedder, library: Library, owner: psycopg.Connection
) -> None:
    library.keep_all(note(n) for n in range(3))
    long = library.keep("drive", "files", "long", LONG)
    interrupted = Interrupted(lambda: library.keep("drive", "files", "long", Document("Minutes", "Nothing.")))

    report = embed_pending(database, interrupted, library.org_id)

    assert (report.documents, report.passages, report.changed_meanwhile) == (3, 0, 1)
    row = owner.execute("select embedding from source_documents where id = %s", [long]).fetchone()
    assert row == {"embedding": None}
    assert embed_pending(database, embedder, library.org_id).documents == 1


def test_buried_documents_are_left_alone(database: Database, embedder: WordllamaEmbedder, library: Library) -> None:
    library.bury(library.keep(*note(1)))
    assert embed_pending(database, embedder, library.org_id).documents == 0


def test_another_model_is_refused_with_what_to_do(
    database: Database, embedder: WordllamaEmbedder, library: Library
) -> None:
    library.keep(*note(1))
    embed_pending(database, embedder, library.org_id)
    with pytest.raises(ConfigError, match="EMBEDDING_MODEL must be set back to wordllama/l2_supercat_256"):
        embed_pending(database, Foreign(), library.org_id)


def test_what_was_embedded_before_a_failure_stays(
    database: Database, embedder: WordllamaEmbedder, library: Library
) -> None:
    library.keep_all(note(n) for n in range(700))
    calls: list[None] = []

    def fail_the_second_time() -> None:
        calls.append(None)
        if len(calls) == 2:
            raise Transient("The embedding server cannot be reached.")

    with pytest.raises(Transient):
        embed_pending(database, Interrupted(fail_the_second_time), library.org_id)
    assert embed_pending(database, embedder, library.org_id).documents == 200
