"""What in a sentence can be checked against a source without understanding it: numbers, dates, names, links. Pure."""

import re
from decimal import Decimal, InvalidOperation

from boots_pipeline.agents.untrusted import visible

_NUMBER = re.compile(r"\d(?:[\d.,:/-]*\d)?")
_PART = re.compile(r"\d+")
_WORD = r"[^\W\d_][\w&'.-]*"
_CAPITAL = rf"(?=[A-ZÀ-ÖØ-ÞĀ-Ž]){_WORD}"
_NAME = re.compile(rf"{_CAPITAL}(?:\s+(?:(?:of|and|the|de|van|von|&)\s+)?{_CAPITAL})+")
_LINK = re.compile(r"https?://[^\s)>\]]+|www\.[^\s)>\]]+|!\[[^\]]*\]\([^)]*\)|<[a-zA-Z/][^>]*>", re.IGNORECASE)
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
# They begin a sentence, and no name.
_OPENERS = frozenset({
    "a", "an", "and", "as", "at", "but", "by", "confirm", "for", "from", "if", "in", "it", "its", "no", "of",
    "on", "or", "our", "since", "so", "that", "the", "their", "then", "these", "this", "to", "we", "what",
    "when", "while", "with", "you", "your"
})  # fmt: skip
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"})


def normalised(text: str) -> str:
    """Text for comparing: case, white space, curly quotes and dashes do not matter."""
    return " ".join(visible(text).translate(_QUOTES).casefold().split())


def numbers_missing(text: str, support: str) -> list[str]:
    """The numbers and months of a text that its support does not hold. `support` is normalised."""
    held = _numbers(support)
    missing = [number for number in _NUMBER.findall(text) if not _value(number) & held]
    months = {
        month for month in _MONTHS if re.search(rf"\d\s*(?:st|nd|rd|th)?\s+{month}|{month}\s+\d", text.casefold())
    }
    missing += [month for month in sorted(months) if month not in support and not _month_number(month) & held]
    return list(dict.fromkeys(missing))


def names(text: str) -> list[str]:
    """The capitalised names of several words, without the word that only begins a sentence."""
    found = []
    for match in _NAME.finditer(text):
        name = match.group().rstrip(".'-")
        begins = re.search(r"(?:^|[.!?:;_*#>-]\s*|[“\"(]\s*)$", text[: match.start()]) is not None
        words = name.split()
        if begins and len(words) > 1 and words[0].casefold() in _OPENERS:
            words = words[1:]
        if len(words) > 1:
            found.append(re.sub(r"['\u2019]s$", "", " ".join(words)))
    return found


def links(text: str) -> list[str]:
    """Addresses, images and HTML: what could carry something away when it is shown."""
    return _LINK.findall(text)


def _numbers(support: str) -> set[str]:
    held: set[str] = set()
    for number in _NUMBER.findall(support):
        held |= _value(number)
        held |= {part.lstrip("0") or "0" for part in _PART.findall(number)}
    return held


def _value(number: str) -> set[str]:
    """A number as written, and as what it is worth: 12,500 and 12500.00 are one."""
    values = {number}
    try:
        worth = Decimal(number.replace(",", "")).normalize()
        values.add(f"{worth:f}")
    except InvalidOperation:
        pass
    return values


def _month_number(month: str) -> set[str]:
    return {str(_MONTHS.index(month) + 1)}
