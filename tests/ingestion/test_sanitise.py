"""Whatever JSON a provider sends is made storable or refused in words; nothing else comes out."""

import json
import math
import time
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from boots_pipeline.errors import BadItem, BadPage
from boots_pipeline.ingestion.sanitise import clean, text
from boots_pipeline.mending import mended
from boots_pipeline.providers.answers import json_in

# Strings of any code point at all, lone surrogates and U+0000 among them.
STRINGS = st.text(st.characters(codec=None, categories=None), max_size=20) | st.sampled_from(
    ["\0", "\ud800", "a\udfffb"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | STRINGS | st.sampled_from([2**64, -(2**63) - 1, 10**400]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=15,
)
PAYLOADS = st.dictionaries(STRINGS, VALUES, max_size=5)


def values(value: Any) -> Any:
    yield value
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    for each in inner:
        yield from values(each)


@settings(max_examples=300)
@given(STRINGS, PAYLOADS)
def test_any_json_is_storable_or_refused(external_id: str, payload: dict[str, Any]) -> None:
    try:
        kept = clean(external_id, payload)
    except BadItem:
        return
    assert kept.external_id
    assert json.loads(kept.json) == kept.payload
    for value in values(kept.payload):
        if isinstance(value, str):
            value.encode()
            assert "\0" not in value
        if isinstance(value, float):
            assert math.isfinite(value)
    assert clean(kept.external_id, kept.payload) == kept  # once is enough


def test_what_comes_out_goes_into_postgres(owner: psycopg.Connection) -> None:
    @settings(max_examples=150)
    @given(STRINGS, PAYLOADS)
    def into_postgres(external_id: str, payload: dict[str, Any]) -> None:
        try:
            kept = clean(external_id, payload)
        except BadItem:
            return
        row = owner.execute("select %s::text as id, %s::jsonb as payload", [kept.external_id, Jsonb(kept.payload)])
        assert row.fetchone()["id"] == kept.external_id

    into_postgres()


@given(st.text(st.characters(codec=None, categories=None)))
def test_text_loses_what_is_no_character_and_nothing_else(value: str) -> None:
    scrubbed = text(value)
    joined = value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    expected = "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in joined if each != "\0")
    assert scrubbed == expected or "\0" in value  # a pair that U+0000 parted may meet


def deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("external_id", "payload", "reason"),
    [
        ("1", {"a": deep(100_000)}, "nested"),
        ("1", {"a": deep(61)}, "nested"),
        ("1", {"a": 10**5000}, "whole number"),
        ("1", {"k" * 501: 1}, "key"),
        ("1", {"a": "x" * 5_000_001}, "larger than 5 MB"),
        ("x" * 4096, {}, "id"),
        ("", {}, "id"),
        ("\0", {}, "id"),
        ("1", [], "not an object"),
        ("1", None, "not an object"),
    ],
    ids=lambda value: str(value)[:12] if isinstance(value, str) else "",
)
def test_what_cannot_be_kept_is_refused_in_words(external_id: str, payload: Any, reason: str) -> None:
    with pytest.raises(BadItem, match=reason):
        clean(external_id, payload)


def test_json_that_parsers_refuse_whole_is_mended_where_it_is_wrong() -> None:
    digits, deep_text = "9" * 5_000, "[" * 100_000 + "]" * 100_000
    odd = rf'{{"a": "\ud83e \\ud83e \ud83e\udd41", "n": [NaN, {digits}], "d": {deep_text}, "s": "[{{\"]"}}'
    read = json_in(odd)
    assert read == json.loads(mended(odd)) | {"n": [pytest.approx(math.nan, nan_ok=True), digits]}
    assert (read["a"], read["s"]) == ("\ufffd \\ud83e \U0001f941", '[{"]')
    with pytest.raises(BadItem, match="nested"):
        clean("1", read)
    sane = json.dumps({"a": [{"b": ["[", "\\", '"', 2**70, -1.5e3]}], "c\n": "\U0001f941"})
    assert mended(sane) == sane
    decimals = f"1.{digits}"
    assert json_in(rf'{{"a": -{digits}, "b": -{decimals}e-5, "h": "\ud83e"}}') == {
        "a": f"-{digits}", "b": f"-{decimals}e-5", "h": "\ufffd"
    }  # fmt: skip
    with pytest.raises(BadPage):
        json_in('{"a": ')


@pytest.mark.parametrize(
    "text",
    [
        r'{"html": "' + r"<a href=\"x\">" * 8_000,
        "[NaN, " + "1" * 3_999 + f", {'1' * 3_999}" * 200,
        '{"a": "' + "\\" * 400_001,
    ],
    ids=["text", "numbers", "escapes"],
)
def test_an_answer_that_was_cut_off_takes_no_time(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(BadPage):
        json_in(text)
    assert time.process_time() - begun < 2


def test_what_can_be_mended_is() -> None:
    mended = clean(
        "a\0b", {"nul\0": "x\0y", "half": "\ud83e", "nan": math.nan, "inf": -math.inf, "big": 2**70, "ok": True}
    )
    assert mended.external_id == "ab"
    assert mended.payload == {
        "nul": "xy", "half": "\ufffd", "nan": None, "inf": None, "big": str(2**70), "ok": True
    }  # fmt: skip
    assert clean("x" * 500, {"deep": deep(58)}).payload["deep"] == deep(58)
