"""Review without a model: a citation holds when its knowledge was retrieved, its quote stands there, and the numbers,
dates and names of the claim stand in what is quoted. What fails is dropped or marked, and the verdict kept. Pure."""

from boots_pipeline.agents.evidence import links, names, normalised, numbers_missing
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

_SHORTEST_QUOTE = 3


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
    if missing := [link for link in links(text) if normalised(link) not in support]:
        return dropped(f"It holds {len(missing)} link{'s' if len(missing) > 1 else ''} or markup that no source holds.")
    if absent := numbers_missing(text, support):
        return dropped(f"No source says {', '.join(absent)}.")
    unknown = [name for name in names(text) if normalised(name) not in support]
    notes = [f"{', '.join(unknown)}: not in the source."] if unknown else []
    if len(held) < len(claim.citations):
        notes.append("Some of its quotes could not be found.")
    if not notes:
        return ReviewedClaim(text=text, citations=held), None
    note = " ".join(notes)
    verdict = Verdict(heading=heading, text=text, outcome="marked", reason=note)
    return ReviewedClaim(text=text, citations=held, note=f"Not verified: {note}"), verdict


def _holds(citation: Citation, knowledge: dict[str, Knowledge]) -> bool:
    piece = knowledge.get(citation.knowledge_id)
    quote = normalised(citation.quote)
    return piece is not None and len(quote) >= _SHORTEST_QUOTE and quote in normalised(piece.text)


def _support(held: tuple[Citation, ...], knowledge: dict[str, Knowledge], research: Research) -> str:
    """All that a claim may draw on: its quotes and the titles of their sources, the brief, and who is who."""
    client = research.client
    told = [research.title, research.brief, research.organisation, *research.notes]
    told += [client.name, *client.aliases] if client else []
    for citation in held:
        told += [citation.quote, knowledge[citation.knowledge_id].title]
    return normalised(" \n ".join(told))
