"""The offline writer states what the facts say: no half of a sentence, no past for a plan, no gap for a fact."""

from datetime import datetime

import pytest

from boots_pipeline.agents.offline_writer import _SENTENCES
from boots_pipeline.agents.stages import Knowledge
from boots_pipeline.agents.strategist import plan
from boots_pipeline.agents.writer import write
from tests.agents.test_reviewer import FOUND


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


def written(**changes: object) -> dict[str, str]:
    """The sections, by their headings."""
    found = FOUND.model_copy(update=changes)
    draft = write(None, found, plan(None, found))
    return {section.heading: "\n".join(claim.text for claim in section.claims) for section in draft.sections}


def test_only_a_deal_that_is_open_is_offered_as_a_plan() -> None:
    deals = {
        "Shelves": "stage closed won, closes 2027-01-05",
        "Counter": "stage contract sent, closes 2024-12-12",
        "Doors": "stage 90210, closes 2027-02-01",
        "Stair": "stage contract sent, closes 2026-11-25",
    }
    pieces = tuple(
        Knowledge(id=f"K{n}", kind="deal", title=name, text=f"{name}, a deal\ndeal: {name}, {told}", relevance=1 / n)
        for n, (name, told) in enumerate(deals.items(), start=1)
    )
    sections = written(knowledge=pieces)
    assert sections["Where we stand together"].splitlines() == [
        "Open between us: Stair, stage contract sent, closes 2026-11-25.",
        "Earlier between us: Shelves, stage closed won, closes 2027-01-05.",
        "On record between us, and we do not know whether it is open: Counter, stage contract sent, closes 2024-12-12.",
        "On record between us, and we do not know whether it is open: Doors, stage 90210, closes 2027-02-01.",
    ]
    offered = sections["Next steps"].splitlines()[0]
    assert offered == "Confirm that this still stands: Stair, stage contract sent, closes 2026-11-25."
    assert "still stands" not in written(knowledge=pieces[:3])["Next steps"]


def test_who_is_not_known_may_be_no_stranger() -> None:
    told = written(client=None, knowledge=())["Our understanding of you"]
    assert "We found nothing about you in what we keep, so we start from your brief alone." in told
    assert "before" not in told


@pytest.mark.parametrize(("as_of", "is_said"), [("2026-11-02", True), ("2025-11-02", False), (None, False)])
def test_next_year_is_no_plan_a_year_later(as_of: str | None, is_said: bool) -> None:
    day = datetime.fromisoformat(f"{as_of}T09:00Z") if as_of else None
    text = "Bay View Hotel is one.\nIt has a barn.\nThey decide in pairs. A stair is planned for next year."
    piece = Knowledge(id="K1", kind="client", title="Bay View Hotel", text=text, relevance=1, as_of=day)
    told = written(knowledge=(piece,))["What you need"]
    assert "They decide in pairs." in told
    assert ("next year" in told) is is_said
