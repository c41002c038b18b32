"""What in a sentence can be checked against a source without understanding it: numbers, dates, names, links. Pure."""

import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal, InvalidOperation

from boots_pipeline.agents.untrusted import visible

_FEWEST_WORDS = 3
_FEWEST_CHARACTERS = 15
_FACT = re.compile(r"[a-z][a-z ]{1,40}: \S")

_WORD = r"[^\W\d_](?:[\w&'-]|\.(?=\w))*"
_CAPITAL = rf"(?=[A-ZÀ-ÖØ-ÞĀ-Ž]){_WORD}"
_NAME = re.compile(rf"(?<!\w){_CAPITAL}(?:\s+(?:(?:of|and|the|de|van|von|&)\s+)?{_CAPITAL})*")
_BEGINS = re.compile(r"(?:^|[.!?:;_*#>-]\s*|[\"(]\s*)$")
# After the first word of a sentence: what stands before it is who did it.
_DOES = re.compile(
    r"\s+(?:is|was|has|had|will|would|does|did|can|cannot|could|may|might|must|should|never|always|also|recently|"
    r"now|just|went|owes|owns|wants|needs|plans|pays|bought|sold|won|lost|told|said|says|and\s+[A-Z]|\w+ed)\b"
)
_LINK = re.compile(r"https?://[^\s)>\]]+|www\.[^\s)>\]]+|!\[[^\]]*\]\([^)]*\)|<[a-zA-Z/][^>]*>", re.IGNORECASE)

# They begin a sentence, and no name.
_OPENERS = frozenset({
    "a", "all", "an", "and", "any", "as", "at", "both", "but", "by", "confirm", "each", "every", "everybody",
    "everyone", "everything", "for", "from", "he", "here", "how", "if", "in", "it", "its", "no", "nobody", "nothing",
    "of", "on", "once", "or", "our", "she", "since", "so", "some", "that", "the", "their", "then", "there", "these",
    "they", "this", "those", "to", "we", "what", "when", "where", "which", "while", "who", "with", "you", "your"
})  # fmt: skip
# What a proposal is about: the subject of a sentence, and nobody.
_SUBJECTS = frozenset({
    "access", "agreement", "approval", "budget", "construction", "cost", "costs", "delivery", "design", "fitting",
    "installation", "invoicing", "material", "materials", "measuring", "nobody", "one", "payment", "planning", "price",
    "pricing", "production", "programme", "progress", "quality", "responsibility", "safety", "scope", "support",
    "surveying", "testing", "time", "timing", "training", "work"
})  # fmt: skip

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december|"
    r"(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?)(?!\w)"
)
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!\d)(?P<y>\d{4})-(?P<m>\d\d?)-(?P<d>\d\d?)(?!\d)"
        r"(?:[t ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:z|[+-]\d\d:?\d\d)?)?",
        r"(?<![\d./])(?P<d>\d\d?)[./](?P<m>\d\d?)[./](?P<y>\d{4})(?![\d/])",
        rf"(?<![\d.,])(?P<d>\d\d?)(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<name>{_MONTH})(?:,?\s+(?P<y>\d{{4}})(?!\d))?",
        rf"(?<!\w)(?P<name>{_MONTH})\s+(?P<d>\d\d?)(?:st|nd|rd|th)?(?![\d.,]*\d)(?:,?\s+(?P<y>\d{{4}})(?!\d))?",
        rf"(?<!\w)(?P<name>{_MONTH}),?\s+(?P<y>\d{{4}})(?!\d)",
    )
)
_MONTH_ALONE = re.compile(
    r"(?<=[a-z,] )(?P<name>January|February|March|April|May|June|July|August|September|October|November|December)\b"
)
_Date = tuple[int | None, int, int | None]

_SCALES = {"hundred": 10**2, "k": 10**3, "thousand": 10**3, "m": 10**6, "million": 10**6, "bn": 10**9, "billion": 10**9}
_NUMBER = re.compile(
    r"(?P<currency>[£$€]\s?)?(?P<number>\d(?:[\d.,:/-]*\d)?)"
    r"(?:(?P<letter>k|bn|(?(currency)m|(?!)))\b|\s+(?P<word>hundred|thousand|million|billion)\b)?",
    re.IGNORECASE,
)
_ONES = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "seventy": 70, "eighty": 80, "ninety": 90
}  # fmt: skip
_WORDED = "|".join([*_ONES, "hundred", "thousand", "million", "billion", "dozen"])
_WORDS = re.compile(
    rf"\b(?:{_WORDED})(?:(?:\s+and\s+|[\s-]+)(?:{_WORDED}))*\b|\b(?:dozens|hundreds|thousands|millions|billions)\b",
    re.IGNORECASE,
)
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"})


def normalised(text: str) -> str:
    """Text for comparing: case, white space, curly quotes and dashes do not matter."""
    return " ".join(_plain(text).casefold().split())


def stands_in(phrase: str, text: str) -> bool:
    """Whether the whole words of a phrase stand in a text, both normalised: "sta" is not in "stair"."""
    if not phrase:
        return False
    before = r"(?<!\w)" if re.match(r"\w", phrase[0]) else ""
    after = r"(?!\w)" if re.match(r"\w", phrase[-1]) else ""
    return re.search(f"{before}{re.escape(phrase)}{after}", text) is not None


def says_enough(quote: str) -> bool:
    """Whether a quote is long enough to be evidence of anything."""
    plain = normalised(quote)
    return len(re.findall(r"\w+", plain)) >= _FEWEST_WORDS or len(plain) >= _FEWEST_CHARACTERS


def is_quoted(quote: str, source: str) -> bool:
    """Whether a quote stands in its source and says enough; a whole line that states a fact always does."""
    plain = normalised(quote)
    lines = {normalised(line) for line in source.splitlines() if _FACT.match(line.strip())}
    return plain in lines or (says_enough(quote) and stands_in(plain, normalised(source)))


def numbers_missing(text: str, support: str) -> list[str]:
    """The numbers in figures, and the dates, of a text that its support does not hold.

    A date is compared as one: the 12 of 2026-12-24 is no number of anything.
    """
    held_dates, rest = _take_dates(_plain(support))
    held = {worth for _, worths in _figures(rest) for worth in worths} | {worth for _, worth in _in_words(rest)}
    dates, rest = _take_dates(_plain(text))
    known = [reading for _, date in held_dates for reading in date]
    missing = [
        told
        for told, date in dates
        if not any(_agrees(mine, each) for mine in date for each in known)
        and not stands_in(normalised(told), normalised(support))  # May Smith is no date
    ]
    for told, worths in _figures(rest):
        if not worths & held and not (
            re.fullmatch(r"(?:19|20)\d\d", told) and int(told) in {year for year, _, _ in known}
        ):
            missing.append(told)
    return list(dict.fromkeys(missing))


def number_words_missing(text: str, support: str) -> list[str]:
    """The numbers in words of a text that its support holds neither in words nor in figures; "one" says nothing."""
    _, rest = _take_dates(_plain(support))
    held = {worth for _, worths in _figures(rest) for worth in worths} | {worth for _, worth in _in_words(rest)}
    _, rest = _take_dates(_plain(text))
    return list(dict.fromkeys(told for told, worth in _in_words(rest) if worth not in held | {"1"}))


def names(text: str) -> list[str]:
    """The capitalised names, without the word that only begins a sentence.

    A single word at the beginning is taken for a name only where it does something ("Globex is about to").
    """
    plain = _plain(text)
    found = []
    for match in _NAME.finditer(plain):
        words = match.group().rstrip(".'-").split()
        begins = _BEGINS.search(plain[: match.start()]) is not None
        first = words[0].casefold()
        if begins and first in _OPENERS:
            words = words[1:]
        elif begins and len(words) == 1 and (first in _SUBJECTS or not _DOES.match(plain, match.end())):
            continue
        name = re.sub(r"'s$", "", " ".join(words))
        if name and name not in ("I", "VAT") and not re.fullmatch(_MONTH, name, re.IGNORECASE):
            found.append(name)
    return found


def links(text: str) -> list[str]:
    """Addresses, images and HTML: what could carry something away when it is shown."""
    return _LINK.findall(text)


def _plain(text: str) -> str:
    return visible(text).translate(_QUOTES)


def _take_dates(text: str) -> tuple[list[tuple[str, list[_Date]]], str]:
    """The dates of a text, each as it may be read, and the text without them."""
    found: list[tuple[str, list[_Date]]] = []
    for pattern in (*_DATES, _MONTH_ALONE):
        for match in pattern.finditer(text):
            if readings := list(_readings(match.groupdict())):
                found.append((match.group().strip(), readings))
        text = pattern.sub(lambda match: " ; " if any(_readings(match.groupdict())) else match.group(), text)
    return found, text


def _readings(parts: dict[str, str | None]) -> Iterator[_Date]:
    year, day, name = _int(parts.get("y")), _int(parts.get("d")), parts.get("name")
    month = _MONTHS.index(name[:3].casefold()) + 1 if name else _int(parts.get("m")) or 0
    if 1 <= month <= 12 and (day is None or day <= 31):
        yield year, month, day
    if name is None and day is not None and day != month and day <= 12 and month <= 31:
        yield year, day, month  # 3/4/2027 may be either


def _int(told: str | None) -> int | None:
    return int(told) if told else None


def _agrees(mine: _Date, held: _Date) -> bool:
    """What a date says is said by the other; it may say less."""
    return all(part is None or part == other for part, other in zip(mine, held, strict=True))


def _figures(text: str) -> Iterator[tuple[str, set[str]]]:
    """The numbers in figures: as written, and what each is worth."""
    for match in _NUMBER.finditer(text):
        scale = _SCALES[(match["letter"] or match["word"]).casefold()] if match["letter"] or match["word"] else 1
        yield match.group().strip() if scale > 1 else match["number"], _worth(match["number"], scale)


def _worth(number: str, scale: int) -> set[str]:
    """A number as written, and as what it is worth: 12,500 and 12500.00 are one."""
    values = {number} if scale == 1 else set()
    with suppress(InvalidOperation):
        values.add(f"{(Decimal(number.replace(',', '')) * scale).normalize():f}")
    return values


def _in_words(text: str) -> Iterator[tuple[str, str]]:
    """The numbers in words: as written, and what each is worth; "millions" is worth itself."""
    for match in _WORDS.finditer(_NUMBER.sub(" ; ", text)):
        told = match.group()
        words = [word for word in re.split(r"[\s-]+", told.casefold()) if word != "and"]
        yield told, words[0] if words[0].endswith("s") and words[0] not in _ONES else str(_count(words))


def _count(words: list[str]) -> int:
    total = current = 0
    for word in words:
        if word in _ONES:
            current += _ONES[word]
        elif word in ("hundred", "dozen"):
            current = max(current, 1) * (100 if word == "hundred" else 12)
        else:
            total += max(current, 1) * _SCALES[word]
            current = 0
    return total + current
