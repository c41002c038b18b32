"""OpenAI-compatible servers: right answers in any order are used, wrong ones are refused, errors have our classes."""

from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from boots_pipeline.errors import BadItem, BootsError, ConfigError, RateLimited, Transient
from boots_pipeline.resources.embedder import wordless
from boots_pipeline.resources.openai_models import OpenAIEmbedder, OpenAILanguageModel
from tests.openai_server import Answer, Reply, chat, openai_server, refusal, vectors


def embed(answer: Answer, texts: list[str]) -> Any:
    with openai_server(answer) as url:
        embedder = OpenAIEmbedder("key", url, "m")
        try:
            return embedder.embed(texts)
        finally:
            embedder.close()


def test_vectors_come_in_the_order_of_the_texts_whatever_the_server_does() -> None:
    got = embed(lambda _, body: vectors(body), ["a", "", "aaa"])
    assert got.shape == (3, 4)
    assert got.dtype == np.float32
    assert np.allclose(np.linalg.norm(got, axis=1), 1)
    assert np.array_equal(got[1], wordless(4))
    assert got[2][0] > got[0][0]


def test_many_texts_go_in_batches() -> None:
    sizes: list[int] = []

    def answer(_: str, body: dict[str, Any]) -> Reply:
        sizes.append(len(body["input"]))
        return vectors(body)

    assert embed(answer, ["a"] * 5000).shape == (5000, 4)
    assert sizes == [1, 2048, 2048, 904]  # the first asks for the dimensions


def test_a_text_that_is_too_long_is_shortened_alone() -> None:
    def answer(_: str, body: dict[str, Any]) -> Reply:
        return refusal(400) if any(len(text) > 1000 for text in body["input"]) else vectors(body)

    got = embed(answer, ["a", "b" * 1500, "ccc"])
    raw = np.array([[1, 1, 1, 1], [750, 1, 1, 1], [3, 1, 1, 1]])
    assert np.allclose(got, raw / np.linalg.norm(raw, axis=1, keepdims=True))


def spoiled(change: Any) -> Answer:
    """An answer that is right for the question of dimensions, and then spoiled."""

    def answer(_: str, body: dict[str, Any]) -> Reply:
        status, told = vectors(body)
        if body["input"] != ["dimensions"]:
            change(told["data"])
        return status, told

    return answer


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop(),
        lambda data: data.append(dict(data[0])),
        lambda data: data[0].update(index=data[1]["index"]),
        lambda data: data[0].update(embedding=[1.0]),
        lambda data: [each.update(embedding=[1.0]) for each in data],
        lambda data: data[0].update(embedding=[float("nan")] * 4),
        lambda data: data[0].update(embedding=[0.0] * 4),
    ],
)
def test_a_wrong_answer_is_refused(change: Any) -> None:
    with pytest.raises(Transient):
        embed(spoiled(change), ["a", "bb"])


def test_a_model_whose_vectors_are_too_long_is_refused() -> None:
    with pytest.raises(ConfigError, match="2000 dimensions"):
        embed(lambda _, body: vectors(body, 2000), ["a"])


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (401, None, ConfigError),
        (403, None, ConfigError),
        (404, None, ConfigError),
        (429, None, RateLimited),
        (429, "insufficient_quota", ConfigError),
        (500, None, Transient),
        (400, None, BadItem),
    ],
)
def test_errors_have_our_classes_and_not_the_servers_words(
    status: int, code: str | None, error: type[BootsError]
) -> None:
    with pytest.raises(error) as caught:
        embed(lambda *_: refusal(status, code), ["a"])
    assert "SECRET" not in str(caught.value)
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after == 7


def test_a_server_that_is_not_there_is_transient() -> None:
    with openai_server(lambda _, body: vectors(body)) as url:
        pass
    embedder = OpenAIEmbedder("key", url, "m", retries=0)
    with pytest.raises(Transient, match="cannot be reached"):
        embedder.embed(["a"])
    embedder.close()


class Plan(BaseModel):
    sections: list[str]


def complete(*answers: Reply) -> Plan:
    following = iter(answers)
    with openai_server(lambda *_: next(following)) as url:
        model = OpenAILanguageModel("key", url, "m")
        try:
            return model.complete("s", "u", Plan)
        finally:
            model.close()


def test_an_answer_has_the_shape_that_was_asked_for() -> None:
    assert complete(chat('{"sections": ["Scope"]}')) == Plan(sections=["Scope"])


def test_another_shape_is_asked_for_again_once() -> None:
    assert complete(chat("Sure! Here is"), chat('{"sections": []}')) == Plan(sections=[])
    with pytest.raises(BadItem, match="shape"):
        complete(chat("Sure! Here is"), chat('{"other": 1}'))


def test_a_refusal_is_said_to_be_one() -> None:
    with pytest.raises(BadItem, match="refused"):
        complete(chat(None, refused="SECRET no"))
