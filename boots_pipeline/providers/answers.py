"""What a tool answered, before a profile has read it: text, structure, or an error; and what most servers mean by
them."""

import json
import re
from dataclasses import dataclass
from typing import Any

from boots_pipeline.errors import BadPage
from boots_pipeline.mending import mended

# Where an error states an HTTP status: at its beginning ("403 Forbidden"), or called one. Any other number is an id, a
# limit or somebody's data.
_STATUS = re.compile(
    r"""^\s*(?:error:?\s*)?([1-5]\d\d)(?=\s*$|\s*:|\s+-|\s+(?-i:[A-Z]))
      | \bstatus(?:[ _]?code)?\\?["']?[ :=]+["']?([1-5]\d\d)\b
      | \bHTTP(?:/[\d.]+)?[ :]+([1-5]\d\d)\b""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A tool's result: its blocks of text, its structured content (None: none), and whether it calls itself an
    error."""

    texts: tuple[str, ...]
    structured: Any | None = None
    is_error: bool = False

    @property
    def text(self) -> str:
        """All of its text."""
        return " ".join(self.texts)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an error amounts to: an HTTP status (0: it states none), and the seconds that the provider wants to be left
    alone (None: it does not say)."""

    status: int
    wait: float | None = None


def stated_status(text: str) -> int:
    """The HTTP status that an error states; 0 when it states none."""
    found = _STATUS.search(text)
    return int(next(number for number in found.groups() if number)) if found else 0


def json_of(answer: Answer) -> Any:
    """The structured content, or the JSON of the only block of text. Raises BadPage."""
    if answer.structured is not None:
        return answer.structured
    if len(answer.texts) != 1:
        raise BadPage(f"The server answered with {len(answer.texts)} blocks of text where one of JSON was due.")
    return json_in(answer.texts[0])


def json_in(text: str) -> Any:
    """The JSON of a text. Raises BadPage."""
    # The standard parser takes what others do not: NaN, halves of a surrogate pair and whole numbers beyond 64 bits,
    # which the sanitiser then sees to.
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(mended(text))
    except (ValueError, RecursionError):
        raise BadPage("The server answered with something that is no JSON.") from None
