"""JSON that parsers refuse whole for a single value: one record that none takes must not cost the page that it is in.

For all who read what a provider sent, the bridge too: it imports nothing.
"""

import re

_DEEPEST = 150  # levels: parsers give up at 200 and more, the sanitiser at 60
# A text that never ends is one, too, and a number begins where no other does: else an answer that was cut off in a text
# of a megabyte is looked through again from every quote in it.
_TOKEN = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]|(?<![\d.eE+-])-?\d[\d.eE+-]{3999,}',
    re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def mended(text: str) -> str:
    """JSON as every parser takes it, of JSON that most refuse whole for a single value: what is nested too deep is
    emptied, and the sanitiser refuses its record; half a surrogate pair is U+FFFD; a number of thousands of digits is
    a text. In one pass, whatever the text."""
    kept, place, depth = [], 0, 0
    for found in _TOKEN.finditer(text):
        part = found[0]
        if part in "[{":
            depth += 1
            if depth == _DEEPEST:
                kept.append(text[place : found.end()])
        elif part in "]}":
            if depth == _DEEPEST:
                place = found.start()
            depth -= 1
        elif depth < _DEEPEST:
            whole = _ESCAPE.sub(_character, part) if part[0] == '"' else f'"{part}"'
            if whole != part:
                kept += text[place : found.start()], whole
                place = found.end()
    return "".join([*kept, text[place:] if depth < _DEEPEST else ""])


def _character(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape["half"] else escape[0]
