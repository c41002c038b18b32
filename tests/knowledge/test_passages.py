"""Cutting: nothing is lost, nothing is too long, short text stays whole."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from boots_pipeline.knowledge.passages import LONGEST, OVERLAP, SIZE, cut, with_title

words = st.text(alphabet="abcdefghij .!?\n\t", max_size=40)
texts = st.lists(words, max_size=300).map(" ".join)


def test_short_text_is_one_passage_under_its_title() -> None:
    assert cut("Harbour Joinery", "Joiners in Whitby.") == ["Harbour Joinery\nJoiners in Whitby."]


def test_a_document_of_nothing_is_one_empty_passage() -> None:
    assert cut("", " \n ") == [""]


def test_a_cut_falls_between_sentences_and_overlaps() -> None:
    sentences = [f"Sentence number {n} is here to be kept whole." for n in range(80)]
    passages = cut("Minutes", " ".join(sentences))

    assert len(passages) > 2
    assert all(passage.endswith(".") for passage in passages)
    assert all(passage.startswith("Sentence number") for passage in passages[1:])
    for before, after in pairwise(passages):
        repeated = after.split(".")[0]
        assert repeated in before


def test_paragraphs_are_preferred_to_sentences() -> None:
    paragraphs = ["One. Two. Three. " * 40, "Four. Five. Six. " * 60]
    passages = cut("", "\n\n".join(paragraphs))
    assert passages[0] == paragraphs[0].strip()


def test_text_without_any_boundary_is_still_cut() -> None:
    passages = cut("", "x" * 10_000)
    assert "".join(passages) == "x" * 10_000
    assert max(map(len, passages)) <= LONGEST


def test_a_further_passage_is_embedded_under_its_title() -> None:
    assert with_title(" Minutes ", "We agreed.") == "Minutes\nWe agreed."


@given(title=words, content=texts)
def test_nothing_is_lost_and_nothing_is_too_long(title: str, content: str) -> None:
    passages = cut(title, content)

    assert passages == cut(title, content)
    assert all(len(passage) <= LONGEST for passage in passages)
    if len(passages) > 1:
        assert all(passages)
        assert min(map(len, passages)) > SIZE // 4 - OVERLAP
    whole = content.strip()
    position = 0  # up to where the text is covered by the passages so far
    for number, passage in enumerate(passages):
        piece = passage.removeprefix(title.strip()).strip() if number == 0 else passage
        start = whole.find(piece, max(0, position - OVERLAP - 5))
        assert start >= 0
        assert whole[position:start].strip() == ""
        position = start + len(piece)
    assert whole[position:].strip() == ""
