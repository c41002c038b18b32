"""Review without a model: a citation holds when its knowledge was retrieved, its quote stands there, and the numbers,
dates and names of the claim stand in what is quoted. A claim without citations may say no more than the brief does, and
nothing of the client. What fails is dropped or marked, and the verdict kept. Pure.

What is true of the words and false of their meaning ("does not pay", from a quote that says "pays") needs a reader.
"""

from boots_pipeline.agents.evidence import (
    is_quoted,
    links,
    names,
    normalised,
    number_words_missing,
    numbers_missing,
    stands_in,
)
from boots_pipeline.agents.stages import (
    Citation,
    Claim,
    Draft,
    DraftSection,
    Knowledge,
    Research,
    ReviewedClaim,
    ReviewedDraft,
    ReviewedSection,
    Verdict,
)
from boots_pipeline.agents.untrusted import visible

_THE_CLIENT = ("the client", "the customer")


def review(draft: Draft, research: Research) -> ReviewedDraft:
    """Check every claim; sections that keep none are left out."""
    knowledge = {piece.id: piece for piece in research.knowledge}
    verdicts: list[Verdict] = []
    sections: list[ReviewedSection] = []
    for section in draft.sections:
        heading = _heading(section, [each.heading for each in sections])
        kept = []
        for claim in section.claims:
            reviewed, verdict = _check(claim, heading, knowledge, research)
            if verdict is not None:
                verdicts.append(verdict)
            if reviewed is not None:
                kept.append(reviewed)
        if kept:
            sections.append(ReviewedSection(heading=heading, claims=tuple(kept)))
    return ReviewedDraft(
        sections=tuple(sections),
        written_by=draft.written_by,
        checked=sum(len(section.claims) for section in draft.sections),
        verdicts=tuple(verdicts),
    )


def _heading(section: DraftSection, taken: list[str]) -> str:
    """Attributions name their section by its heading, so no two may share one."""
    heading = " ".join(visible(section.heading).split())[:120] or "Untitled"
    return heading if heading not in taken else f"{heading} ({sum(each.startswith(heading) for each in taken) + 1})"


def _check(
    claim: Claim, heading: str, knowledge: dict[str, Knowledge], research: Research
) -> tuple[ReviewedClaim | None, Verdict | None]:
    text = visible(claim.text).strip()
    held = tuple(each for each in claim.citations if _holds(each, knowledge))

    def dropped(reason: str) -> tuple[None, Verdict]:
        return None, Verdict(heading=heading, text=text, outcome="dropped", reason=reason)

    if not text:
        return dropped("It says nothing.")
    if claim.citations and not held:
        return dropped("None of its quotes stands in the knowledge that it names.")
    support = _support(held, knowledge, research)
    plain = normalised(support)
    if missing := [link for link in links(text) if normalised(link) not in plain]:
        return dropped(f"It holds {len(missing)} link{'s' if len(missing) > 1 else ''} or markup that no source holds.")
    if absent := numbers_missing(text, support):
        return dropped(f"No source says {', '.join(absent)}.")
    unknown = [name for name in names(text) if not stands_in(normalised(name), plain)]
    unknown += number_words_missing(text, support)
    notes = [f"{', '.join(unknown)}: not in the source."] if unknown else []
    if not held and _speaks_of_client(text, research):
        notes.append("It speaks of the client and cites nothing.")
    if len(held) < len(claim.citations):
        notes.append("Some of its quotes could not be found.")
    if not notes:
        return ReviewedClaim(text=text, citations=held), None
    note = " ".join(notes)
    verdict = Verdict(heading=heading, text=text, outcome="marked", reason=note)
    return ReviewedClaim(text=text, citations=held, note=f"Not verified: {note}"), verdict


def _holds(citation: Citation, knowledge: dict[str, Knowledge]) -> bool:
    piece = knowledge.get(citation.knowledge_id)
    return piece is not None and is_quoted(citation.quote, piece.text)


def _support(held: tuple[Citation, ...], knowledge: dict[str, Knowledge], research: Research) -> str:
    """All that a claim may draw on, beside our own name: its quotes, the titles of their sources and the client's name;
    without a citation the brief and our own notes."""
    told = [research.organisation]
    if held:
        told += _client_names(research)
        told += [part for each in held for part in (each.quote, knowledge[each.knowledge_id].title)]
    else:
        told += [research.title, research.brief, *research.notes]
    return " \n ".join(told)


def _client_names(research: Research) -> list[str]:
    return [research.client.name, *research.client.aliases] if research.client else []


def _speaks_of_client(text: str, research: Research) -> bool:
    """Whether it does so in words that are not simply repeated from the brief or our notes."""
    own = normalised(text)
    for told in (research.brief, *research.notes):
        if repeated := normalised(told):
            own = own.replace(repeated, " ; ")
    spoken_of = [*map(normalised, _client_names(research)), *_THE_CLIENT]
    return any(stands_in(name, own) for name in spoken_of)
