"""A client in one readable paragraph: what a person would want to be told first, and what its vector is made of. Pure.

Only stated facts are said, in the source's words; a fact of a name that is not known here is said as it is.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

_DEALS = 5
_PEOPLE = 5
_OTHERS = 3
_LONGEST_ABOUT = 500
# Said in a sentence of their own, or not worth a sentence.
_SAID = frozenset({"industry", "city", "country", "about", "employees", "annual_revenue", "deal", "contact", "website"})


def summarise(name: str, aliases: Sequence[str], facts: Sequence[Mapping[str, Any]], as_of: datetime | None) -> str:
    """The paragraph. `facts` are those of the profile, newest first."""
    values: dict[str, list[str]] = defaultdict(list)
    for fact in facts:
        values[fact["name"]].append(fact["value"])
    sentences = [_who(name, values)]
    if aliases:
        sentences.append(f"Also known as {_listed(aliases[:_OTHERS])}.")
    if values["about"]:
        sentences.append(_sentence(values["about"][0][:_LONGEST_ABOUT]))
    sentences += _size(values)
    open_deals = [deal for deal in values["deal"] if not is_closed(deal)]
    closed_deals = [deal for deal in values["deal"] if is_closed(deal)]
    sentences += _several("Open deals", open_deals, _DEALS)
    sentences += _several("Past deals", closed_deals, _OTHERS)
    sentences += _several("People", values["contact"], _PEOPLE)
    for other in sorted(values.keys() - _SAID):
        sentences += _several(readable(other).capitalize(), [readable(each) for each in values[other]], _OTHERS)
    if as_of:
        sentences.append(f"Last change: {as_of:%Y-%m-%d}.")
    return " ".join(sentences)


def is_closed(deal: str) -> bool:
    """Whether a deal's stage says that it was won or lost."""
    return "stage closed" in deal.casefold()


def is_open(deal: str, today: date) -> bool:
    """Whether a deal is known to be open. A stage that is only a number, or a day to close on that has gone by, says
    nothing."""
    closes = re.search(r", closes (\d{4}-\d\d-\d\d)", deal)
    passed = closes is not None and closes[1] < today.isoformat()
    return not (is_closed(deal) or passed or re.search(r", stage \d+\b", deal))


def readable(told: str) -> str:
    """An enumeration's constant (`HOSPITAL_HEALTH_CARE`, `annual_revenue`) as words; anything else as it is."""
    is_constant = " " not in told and "_" in told and (told.isupper() or told.islower())
    return told.replace("_", " ").lower() if is_constant or (told.isupper() and len(told) > 4) else told


def _who(name: str, values: Mapping[str, Sequence[str]]) -> str:
    industry = f", in {readable(values['industry'][0])}" if values["industry"] else ""
    place = ", ".join(values[part][0] for part in ("city", "country") if values[part])
    return f"{name}{industry}{f', based in {place}' if place else ''}."


def _size(values: Mapping[str, Sequence[str]]) -> list[str]:
    size = [f"{values['employees'][0]} employees"] if values["employees"] else []
    size += [f"annual revenue {values['annual_revenue'][0]}"] if values["annual_revenue"] else []
    return [_sentence(_listed(size))] if size else []


def _several(what: str, told: Sequence[str], most: int) -> list[str]:
    if not told:
        return []
    more = f"; and {len(told) - most} more" if len(told) > most else ""
    return [f"{what}: {'; '.join(told[:most])}{more}."]


def _listed(told: Sequence[str]) -> str:
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def _sentence(told: str) -> str:
    told = " ".join(told.split())
    return told if told.endswith((".", "!", "?")) else f"{told}."
