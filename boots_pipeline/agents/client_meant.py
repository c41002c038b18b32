"""Which client a brief means: the one that it names, else the one whose profile is closest by far. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from rapidfuzz import fuzz

from boots_pipeline.knowledge.alike import plain_name

_NAMED = 100.0
_NAMED_ALMOST = 92.0  # rapidfuzz.fuzz.partial_ratio: a slip of the pen in a name
_SHORTEST_ALMOST = 8  # characters: a short name is almost in every text
_CLOSE = 0.55  # similarity
_CLOSER_THAN_NEXT = 0.05


@dataclass(frozen=True, slots=True)
class Candidate:
    """A client that may be meant."""

    client_id: UUID
    name: str
    aliases: Sequence[str]
    domains: Sequence[str]


@dataclass(frozen=True, slots=True)
class Meant:
    """The client, and what a reader should know of how it was chosen."""

    client_id: UUID
    note: str | None


def client_meant(text: str, candidates: Sequence[Candidate], similarity: Mapping[UUID, float]) -> Meant | None:
    """None when the text names nobody that is known and no profile is close."""
    words = f" {plain_name(text)} "
    scored = [(*_named(text.casefold(), words, each), each) for each in candidates]
    named = sorted(
        (each for each in scored if each[0]),
        key=lambda each: (-each[0], -each[1], -similarity.get(each[2].client_id, 0.0), each[2].client_id),
    )
    if named:
        best = named[0][2]
        same = [each for each in named[1:] if each[:2] == named[0][:2]]
        note = f"{len(same) + 1} clients have this name; {best.name} was taken as the closest." if same else None
        return Meant(best.client_id, note)
    return _closest(candidates, similarity)


def _named(folded: str, words: str, candidate: Candidate) -> tuple[float, int]:
    """How surely the text names it, and with how long a name: "Bay Hotel Whitby" says more than "Bay"."""
    hosts = {host.strip(".-") for host in re.findall(r"[\w.-]+", folded)}
    if any(host == domain or host.endswith(f".{domain}") for host in hosts for domain in candidate.domains):
        return _NAMED, 1000
    best = (0.0, 0)
    for name in (candidate.name.rpartition(" (")[0] or candidate.name, candidate.name, *candidate.aliases):
        plain = plain_name(name)
        if not plain:
            continue
        if f" {plain} " in words:
            best = max(best, (_NAMED, len(plain)))
        elif len(plain) >= _SHORTEST_ALMOST:
            score = fuzz.partial_ratio(plain, words, score_cutoff=_NAMED_ALMOST)
            best = max(best, (min(score, _NAMED - 1), len(plain)) if score else best)
    return best


def _closest(candidates: Sequence[Candidate], similarity: Mapping[UUID, float]) -> Meant | None:
    by_likeness = sorted(candidates, key=lambda each: (-similarity.get(each.client_id, 0.0), each.client_id))
    scores = [similarity.get(each.client_id, 0.0) for each in by_likeness[:2]]
    if not scores or scores[0] < _CLOSE or (len(scores) > 1 and scores[0] - scores[1] < _CLOSER_THAN_NEXT):
        return None
    best = by_likeness[0]
    return Meant(best.client_id, f"The brief names no client; {best.name} is the one whose profile is closest to it.")
