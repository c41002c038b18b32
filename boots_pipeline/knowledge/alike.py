"""Which names of firms are the same name, written differently."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from unicodedata import normalize

import numpy as np
from rapidfuzz import fuzz, process

ALIKE = 93  # rapidfuzz.fuzz.token_set_ratio, of 100
_ROWS_AT_ONCE = 500

# Legal forms and articles: written or left out without a meaning.
_WITHOUT_MEANING = frozenset({
    "ab", "ag", "and", "as", "asa", "bv", "co", "company", "corp", "corporation", "de", "gmbh", "group", "inc",
    "incorporated", "kg", "limited", "llc", "llp", "ltd", "nv", "oy", "oyj", "plc", "pty", "pvt", "sa", "sarl",
    "sas", "sl", "spa", "srl", "the", "und"
})  # fmt: skip


def plain_name(name: str) -> str:
    """A name without case, punctuation and legal form, in words. An accent may come as a letter of its own."""
    words = re.findall(r"\w+", re.sub("['\u2019]", "", normalize("NFC", name).casefold()))
    telling = [word for word in words if word not in _WITHOUT_MEANING]
    return " ".join(telling or words)


def same_names(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The places of names that are the same but for case, punctuation and legal form, in order."""
    places: dict[str, list[int]] = defaultdict(list)
    for j, name in enumerate(right):
        places[plain_name(name)].append(j)
    for i, name in enumerate(left):
        if plain := plain_name(name):
            yield from ((i, j) for j in places.get(plain, ()))


def alike_names(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The places of names that are alike, in order."""
    one, other = [plain_name(name) for name in left], [plain_name(name) for name in right]
    if not one or not other:
        return
    for start in range(0, len(one), _ROWS_AT_ONCE):
        rows = one[start : start + _ROWS_AT_ONCE]
        scores = process.cdist(rows, other, scorer=fuzz.token_set_ratio, score_cutoff=ALIKE, dtype=np.float32)
        for i, j in np.argwhere(scores >= ALIKE).tolist():
            if _same_measure(rows[i], other[j]):
                yield start + i, j


def _same_measure(one: str, other: str) -> bool:
    """Guards against what the ratio overlooks: one word within many ("Smith"), and "Store 12" beside "Store 13"."""
    mine, theirs = set(one.split()), set(other.split())
    if min(len(mine), len(theirs)) < 2 and len(mine) != len(theirs):
        return False
    return {word for word in mine if word.isdigit()} == {word for word in theirs if word.isdigit()}
