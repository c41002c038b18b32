"""The honest offline writer: sections put together from retrieved facts, in the sources' own words. Pure.

It claims nothing that it cannot quote, and says that no language model was used.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta

from boots_pipeline.agents.evidence import says_enough
from boots_pipeline.agents.stages import Citation, Claim, Draft, DraftSection, Knowledge, Research, Strategy
from boots_pipeline.knowledge.summary import is_closed, is_open, readable

_LINE = re.compile(r"^([a-z][a-z ]{1,40}): (\S.*)$")
_LONGEST_EXCERPT = 400
# A record tells first who the client is, then what it cares about and plans: sentences of each.
_WHO_THEY_ARE = 2
_WHAT_MATTERS = 4
_STILL_MEANS_THE_SAME = timedelta(days=31)
_FROM_ITS_DAY_ON = re.compile(
    r"\b(?:next|this|coming)\s+(?:week|month|quarter|season|spring|summer|autumn|fall|winter|year)\b"
    r"|\b(?:tomorrow|tonight|today)\b",
    re.IGNORECASE,
)


def write_offline(research: Research, strategy: Strategy, told: str) -> Draft:
    """Write each planned section from the knowledge planned for it; `told` opens the proposal."""
    by_id = {piece.id: piece for piece in research.knowledge}
    sections = []
    for planned in strategy.sections:
        pieces = [by_id[each] for each in planned.knowledge_ids if each in by_id]
        claims = list(_WRITERS.get(planned.heading, _from_documents)(research, pieces))
        if claims:
            sections.append(DraftSection(heading=planned.heading, claims=tuple(claims)))
    opening = Claim(text=f"_{told}_", citations=())
    if sections:
        sections[0] = DraftSection(heading=sections[0].heading, claims=(opening, *sections[0].claims))
    return Draft(sections=tuple(sections), written_by=told)


def _understanding(research: Research, pieces: Sequence[Knowledge]) -> Iterator[Claim]:
    if research.client is None:
        yield _own("We found nothing about you in what we keep, so we start from your brief alone.")
        return
    for piece in pieces:
        stated = dict(_lines(piece.text))
        told = {name: readable(value) for name, (value, _) in stated.items()}
        place = ", ".join(told[part] for part in ("city", "country") if part in told)
        sentence = f"{research.client.name} works in {told['industry']}" if "industry" in told else ""
        if place:
            sentence = (
                f"{sentence} and is based in {place}" if sentence else f"{research.client.name} is based in {place}"
            )
        if sentence:
            quotes = [stated[part][1] for part in ("industry", "city", "country") if part in stated]
            yield Claim(text=f"{sentence}.", citations=_cite(piece, *quotes))
        if noted := _prose(piece)[:_WHO_THEY_ARE]:
            yield Claim(
                text=f"What we have noted about you: {_quoted(' '.join(noted))}", citations=_cite(piece, *noted)
            )


def _need(research: Research, pieces: Sequence[Knowledge]) -> Iterator[Claim]:
    yield _own(f"You asked us: {_quoted(' '.join(research.brief.split()))}")
    for piece in pieces:
        matters = _prose(piece)[_WHO_THEY_ARE : _WHO_THEY_ARE + _WHAT_MATTERS]
        if piece.kind == "client" and (noted := _lasting(matters, piece, research)):
            yield Claim(text=f"What we know matters to you: {_quoted(' '.join(noted))}", citations=_cite(piece, *noted))
    yield from _from_documents(research, [piece for piece in pieces if piece.kind != "client"])


def _approach(research: Research, pieces: Sequence[Knowledge]) -> Iterator[Claim]:
    yield _own(
        "We would begin by going through the scope with you, then put price, programme and responsibilities in writing "
        "before any work starts."
    )
    for piece in pieces:
        if excerpt := _excerpt(piece, research):
            yield Claim(text=f"What we stand for: {_quoted(excerpt)}", citations=_cite(piece, excerpt))


def _history(research: Research, pieces: Sequence[Knowledge]) -> Iterator[Claim]:
    for piece in pieces:
        for deal, line in _stated(piece, "deal"):
            state = _standing(deal, research.today)
            checked = " We read this from your record while writing." if piece.live else ""
            yield Claim(text=f"{state}: {deal}.{checked}", citations=_cite(piece, line))
        prose = _prose(piece)
        if excerpt := _excerpt(piece, research) if prose else None:
            yield Claim(text=f"What it says: {_quoted(excerpt)}", citations=_cite(piece, excerpt))


def _standing(deal: str, today: date) -> str:
    if is_closed(deal):
        return "Earlier between us"
    return "Open between us" if is_open(deal, today) else "On record between us, and we do not know whether it is open"


def _people(_: Research, pieces: Sequence[Knowledge]) -> Iterator[Claim]:
    for piece in pieces:
        for contact, line in _stated(piece, "contact"):
            yield Claim(text=f"{contact}.", citations=_cite(piece, line))


def _next_steps(research: Research, pieces: Sequence[Knowledge]) -> Iterator[Claim]:
    for piece in pieces:
        for deal, line in _stated(piece, "deal"):
            if is_open(deal, research.today):
                yield Claim(text=f"Confirm that this still stands: {deal}.", citations=_cite(piece, line))
        for contact, line in _stated(piece, "contact"):
            yield Claim(text=f"Agree the next conversation with {contact}.", citations=_cite(piece, line))
    yield _own("Confirm scope, budget and dates, and who decides.")
    for note in research.notes:
        yield _own(f"To be checked: {note}")


def _from_documents(research: Research, pieces: Sequence[Knowledge]) -> Iterator[Claim]:
    for piece in pieces:
        if excerpt := _excerpt(piece, research):
            yield Claim(text=f"From {piece.title}: {_quoted(excerpt)}", citations=_cite(piece, excerpt))


# By the headings of the strategist's standard plan; any other section is written from its documents.
_WRITERS: dict[str, Callable[[Research, Sequence[Knowledge]], Iterator[Claim]]] = {
    "Our understanding of you": _understanding,
    "What you need": _need,
    "Our approach": _approach,
    "Where we stand together": _history,
    "The people involved": _people,
    "Next steps": _next_steps,
}


def _own(text: str) -> Claim:
    return Claim(text=text, citations=())


def _cite(piece: Knowledge, *quotes: str) -> tuple[Citation, ...]:
    return tuple(Citation(knowledge_id=piece.id, quote=quote) for quote in quotes)


def _quoted(text: str) -> str:
    return f"“{text}”"


def _lines(text: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """What a record states, line by line: name → (value, the whole line)."""
    for line in text.splitlines():
        if found := _LINE.match(line.strip()):
            yield found.group(1), (found.group(2), line.strip())


# A capital begins a sentence: "Eskelmoor Department Store No. 2, based in Tarnstead" is one, as is "of St. Ives".
_SENTENCES = re.compile(
    r"""(?<=[.!?])(?<!\bNo\.)(?<!\bSt\.)(?<!\bMr\.)(?<!\bMrs\.)(?<!\bDr\.)\s+(?=["“'(]*[^\W\d_a-z])"""
)


def _stated(piece: Knowledge, name: str) -> list[tuple[str, str]]:
    return [told for stated, told in _lines(piece.text) if stated == name]


def _prose(piece: Knowledge) -> list[str]:
    """Whole sentences that can be cited: not the stated lines, not the heading that adapters put first
    ("Bay Hotel, a company")."""
    lines = [line.strip() for line in piece.text.splitlines() if line.strip() and not _LINE.match(line.strip())]
    sentences = [each for line in lines for each in _SENTENCES.split(line)]
    return [
        each
        for each in sentences
        if each.endswith((".", "!", "?")) and len(each) <= _LONGEST_EXCERPT and says_enough(each)
    ]


def _lasting(sentences: Sequence[str], piece: Knowledge, research: Research) -> list[str]:
    """Without what is told from the day it was written on ("next year"), once that day is long past, or not known."""
    if piece.as_of is not None and research.today - piece.as_of.date() <= _STILL_MEANS_THE_SAME:
        return list(sentences)
    return [each for each in sentences if not _FROM_ITS_DAY_ON.search(each)]


def _excerpt(piece: Knowledge, research: Research) -> str | None:
    """The sentence that shares most words with the brief, and the one after it when they stand together."""
    sentences = _lasting(_prose(piece), piece, research)
    if not sentences:
        return None
    asked = _telling(research.brief) | _telling(research.title)
    best = max(range(len(sentences)), key=lambda i: (len(asked & _telling(sentences[i])), -i))
    both = " ".join(sentences[best : best + 2])
    return both if len(both) <= _LONGEST_EXCERPT and both in " ".join(piece.text.split()) else sentences[best]


def _telling(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.casefold()) if len(word) > 3}
