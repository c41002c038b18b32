"""What the offline writer takes for a sentence: half of one is no knowledge of anybody."""

import pytest

from boots_pipeline.agents.offline_writer import _SENTENCES


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One thing. Another one! A third?", ["One thing.", "Another one!", "A third?"]),
        ("Eskelmoor Department Store No. 2, based in Tarnstead, sells oak.", None),
        ("Oak & Co. and sons of St. Ives. They build.", ["Oak & Co. and sons of St. Ives.", "They build."]),
        ("It costs 4.5 m. in all, they said. “Fine.” Good.", ["It costs 4.5 m. in all, they said.", "“Fine.” Good."]),
    ],
)
def test_sentences(text: str, sentences: list[str] | None) -> None:
    assert _SENTENCES.split(text) == (sentences or [text])
