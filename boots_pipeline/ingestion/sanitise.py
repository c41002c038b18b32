"""The storage boundary: what a provider sent, made into something that Postgres can hold, or refused with the reason.

One place, and every payload passes it: U+0000, lone surrogates, NaN and infinities, depth, long keys, size. Most of
them, left as they are, would cost the whole batch.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import orjson

from boots_pipeline.errors import BadItem

_DEPTH = 60
_KEY_CHARACTERS = 500
_BYTES = 5_000_000
_NUMBER_BITS = 1_024  # as far as a double reaches; Python itself refuses to print very long ones
_ID_CHARACTERS = 500  # the natural key is a btree key, whose rows end at 2,704 bytes


@dataclass(frozen=True, slots=True)
class Clean:
    """A payload that can be kept, as JSON: read into objects it is three times as large, and batches wait for their
    turn."""

    external_id: str
    json: bytes
    version: str | None = None
    mended: bool = field(default=False, compare=False)  # something of it could not be kept to the letter

    @property
    def payload(self) -> dict[str, Any]:
        """The payload, read anew each time."""
        read: dict[str, Any] = orjson.loads(self.json)
        return read


def clean(external_id: str, payload: Any, version: str | None = None) -> Clean:
    """Raises BadItem, in words that a person may read and that hold nothing of the item."""
    if not isinstance(payload, dict):
        raise BadItem("it is not an object")
    told, external_id = external_id, text(external_id)
    if not 0 < len(external_id) <= _ID_CHARACTERS:
        raise BadItem(f"its id is empty or longer than {_ID_CHARACTERS} characters")
    storable = _value(payload, 0)
    encoded = orjson.dumps(storable)
    if len(encoded) > _BYTES:
        raise BadItem(f"it is larger than {_BYTES // 1_000_000} MB")
    mended = storable != payload or external_id != told
    return Clean(external_id, encoded, text(version) if version is not None else None, mended)


def text(value: str) -> str:
    """Without U+0000, and with U+FFFD for what is no character."""
    if "\0" in value:
        value = value.replace("\0", "")
    try:
        value.encode()
    except UnicodeEncodeError:
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _value(value: Any, depth: int) -> Any:
    if depth > _DEPTH:
        raise BadItem(f"it is nested more than {_DEPTH} deep")
    match value:
        case str():
            return text(value)
        case dict():
            return {_key(key): _value(inner, depth + 1) for key, inner in value.items()}
        case list():
            return [_value(inner, depth + 1) for inner in value]
        case float() if not math.isfinite(value):
            return None
        case int() if value.bit_length() > _NUMBER_BITS:
            raise BadItem(f"it has a whole number of more than {_NUMBER_BITS} bits")
        case int() if not -(2**63) <= value < 2**64:
            return str(value)  # beyond what JSON libraries agree on
        case _:
            return value


def _key(key: str) -> str:
    if len(key) > _KEY_CHARACTERS:
        raise BadItem(f"it has a key of more than {_KEY_CHARACTERS} characters")
    return text(key)
