"""How a document is cut into passages, each short enough that one vector can say what it is about.

Pure and deterministic: what was cut yesterday is cut the same today, so that a passage can be named by its
position.
"""

import hashlib
import re

SIZE = 1200  # characters: about 300 tokens, which every model takes
OVERLAP = 150
LONGEST = SIZE + SIZE // 4  # what is only a little longer stays in one piece
_LONGEST_TITLE = 200

# Where a cut reads best, best first: a paragraph, a line, a sentence, a word.
_BOUNDARIES = tuple(re.compile(pattern) for pattern in (r"\n\s*\n", r"\n", r"(?<=[.!?…])[\"')\]]*\s", r"\s"))


def cut(title: str, content: str) -> list[str]:
    """The opening passage (title and text), then the further ones (text only). Short text gives exactly one."""
    heading = title.strip()[:_LONGEST_TITLE]
    text = content.strip()
    opening = f"{heading}\n{text}" if heading and text else heading or text
    if len(opening) <= LONGEST:
        return [opening]
    end = _end(text, 0, max(SIZE - len(heading), SIZE // 2))
    passages = [f"{heading}\n{text[:end]}".strip()]
    while end < len(text):
        start = _overlap_start(text, end)
        end = _end(text, start, SIZE)
        passages.append(text[start:end].strip())
    return passages


def text_hash(title: str, content: str) -> bytes:
    """Names a text: the same hash, the same passages and vectors."""
    return hashlib.sha256(f"{title}\0{content}".encode()).digest()


def with_title(title: str, passage: str) -> str:
    """A further passage as it is embedded: under its title, without which it may not say whom it is about."""
    return f"{title.strip()[:_LONGEST_TITLE]}\n{passage}".strip()


def _end(text: str, start: int, size: int) -> int:
    """Where a passage that starts at `start` ends: at the last good boundary of its latter half."""
    if len(text) - start <= size + size // 4:
        return len(text)
    earliest, latest = start + size // 2, start + size
    for boundary in _BOUNDARIES:
        ends = [found.end() for found in boundary.finditer(text, earliest, latest)]
        if ends:
            return ends[-1]
    return latest


def _overlap_start(text: str, end: int) -> int:
    """Where the next passage starts: a little before `end`, at a line, a sentence or a word, else at `end`."""
    window = end - OVERLAP
    for boundary in _BOUNDARIES[1:]:
        # Not at the very end of the window: the boundary that was cut at would leave no overlap.
        found = boundary.search(text, window, end - OVERLAP // 5)
        if found is not None:
            return found.end()
    return end
