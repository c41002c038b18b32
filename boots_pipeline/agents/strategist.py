"""Strategy: which sections a proposal has, what each is for, and which knowledge it may rest on."""

from boots_pipeline.agents.stages import Knowledge, PlannedSection, Research, Strategy
from boots_pipeline.agents.untrusted import Fence
from boots_pipeline.errors import BadItem
from boots_pipeline.knowledge.summary import is_open
from boots_pipeline.resources.language_model import LanguageModel

_MOST_SECTIONS = 8
_MOST_DEALS = 5
_MOST_PEOPLE = 4
_MOST_DOCUMENTS = 4
_SYSTEM = """You plan business proposals. Plan five or six sections: understanding of the client, what they need, the
approach, shared history and open work where there is any, people where they are known, and next steps. For each section
give a short heading, its purpose in one sentence, and the ids of the knowledge that it rests on. Use no id that you
were not given, and plan nothing that the knowledge does not support."""


def plan(model: LanguageModel | None, research: Research) -> Strategy:
    """The model's plan; without a model, or when it has no usable one, the plan that fits any proposal."""
    if model is None:
        return standard_plan(research)
    fence = Fence()
    user = "\n\n".join(
        [
            f"Proposal: {fence.around(research.title)}",
            f"Brief: {fence.around(research.brief)}",
            f"Client: {fence.around(research.client.summary if research.client else 'not known')}",
            f"Knowledge:\n{fence.knowledge(research.knowledge)}",
        ]
    )
    try:
        planned = model.complete(f"{_SYSTEM}\n{fence.rule}", user, Strategy)
    except BadItem:
        return standard_plan(research)
    return _sound(planned, research) or standard_plan(research)


def standard_plan(research: Research) -> Strategy:
    """Five or six sections; those for which nothing is known are left out."""
    kinds = {kind: [k for k in research.knowledge if k.kind == kind] for kind in ("client", "deal", "person")}
    documents = _best([k for k in research.knowledge if k.kind == "document"], _MOST_DOCUMENTS)
    own = _best([k for k in research.knowledge if k.kind == "organisation"], _MOST_DOCUMENTS)
    opened = [deal for deal in kinds["deal"] if is_open(deal.text, research.today)]
    deals = [*opened, *(deal for deal in kinds["deal"] if deal not in opened)][:_MOST_DEALS]
    people = kinds["person"][:_MOST_PEOPLE]
    planned = [
        ("Our understanding of you", "who the client is, in its own words", kinds["client"], True),
        ("What you need", "the brief, and what is known that bears on it", [*kinds["client"], *documents], True),
        ("Our approach", "how the organisation would go about it", own, True),
        ("Where we stand together", "open work and history", deals, bool(deals)),
        ("The people involved", "whom to talk to", people, bool(people)),
        ("Next steps", "what to confirm before anything is promised", [*opened[:1], *people[:1]], True),
    ]
    return Strategy(
        sections=tuple(
            PlannedSection(heading=heading, purpose=purpose, knowledge_ids=tuple(k.id for k in knowledge))
            for heading, purpose, knowledge, wanted in planned
            if wanted
        )
    )


def _best(knowledge: list[Knowledge], most: int) -> list[Knowledge]:
    return sorted(knowledge, key=lambda k: -k.relevance)[:most]


def _sound(planned: Strategy, research: Research) -> Strategy | None:
    """The plan without ids that were never given and headings that say nothing; None when little is left."""
    known = {k.id for k in research.knowledge}
    sections = tuple(
        PlannedSection(
            heading=section.heading.strip()[:120],
            purpose=section.purpose,
            knowledge_ids=tuple(dict.fromkeys(each for each in section.knowledge_ids if each in known)),
        )
        for section in planned.sections[:_MOST_SECTIONS]
        if section.heading.strip()
    )
    return Strategy(sections=sections) if len(sections) >= 2 else None
