"""Writing: sections of claims, each naming the knowledge that it rests on. By a model, or by the offline writer."""

from pydantic import BaseModel

from boots_pipeline.agents.offline_writer import write_offline
from boots_pipeline.agents.stages import Draft, DraftSection, Research, Strategy
from boots_pipeline.agents.strategist import standard_plan
from boots_pipeline.agents.untrusted import Fence
from boots_pipeline.errors import BadItem
from boots_pipeline.resources.language_model import LanguageModel

_SYSTEM = """You write business proposals in plain, warm, precise English, addressed to the client. Write every
section of the plan as claims: a claim is one paragraph or one point. For each claim cite the knowledge that it rests
on: its id and a quote, copied exactly, of the words that support it: a whole line or three words at least. Every
number, date and name of a claim must stand in its quotes or be the client's name. A claim that only says what we
propose to do needs no citation; then it states no fact, calls the client "you", and holds no number, date or name but
the brief's. What is closed, or dated before today, is history and never a plan. Invent nothing; leave out what is not
known: it may still be so. No links, no images, no HTML."""


class _Written(BaseModel):
    """What the model answers with."""

    sections: tuple[DraftSection, ...]


def write(model: LanguageModel | None, research: Research, strategy: Strategy) -> Draft:
    """The model's draft; without a model, or when it gives none, one put together from the facts, which says so."""
    if model is None:
        return write_offline(research, strategy, "Written offline from retrieved facts; no language model was used.")
    fence = Fence()
    plan = "\n".join(
        f"- {section.heading}: {section.purpose} (from {', '.join(section.knowledge_ids) or 'the brief'})"
        for section in strategy.sections
    )
    user = "\n\n".join(
        [
            f"Today: {research.today}",
            f"Our organisation: {fence.around(research.organisation)}",
            f"Client: {fence.around(research.client.name if research.client else 'not known')}",
            f"Proposal: {fence.around(research.title)}",
            f"Brief: {fence.around(research.brief)}",
            f"Plan:\n{fence.around(plan)}",
            f"Knowledge:\n{fence.knowledge(research.knowledge)}",
        ]
    )
    try:
        written = model.complete(f"{_SYSTEM}\n{fence.rule}", user, _Written)
    except BadItem:
        told = "The language model gave no usable answer; written offline from retrieved facts."
        return write_offline(research, standard_plan(research), told)
    return Draft(sections=written.sections, written_by=model.name)
