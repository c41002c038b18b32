"""A server that speaks as much of OpenAI's API as the tests need: the outside world, over HTTP."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.http_server import Handler, serving

Reply = tuple[int, dict[str, Any]]
Answer = Callable[[str, dict[str, Any]], Reply]


@contextmanager
def openai_server(answer: Answer) -> Iterator[str]:
    """Serve `answer(path, body)`; gives the base URL."""

    class Answering(Handler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, told = answer(self.path, body)
            sent = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.send_header("x-should-retry", "false")
            self.send_header("retry-after", "7")
            self.end_headers()
            self.wfile.write(sent)

    with serving(Answering) as address:
        yield f"{address}/v1"


def vectors(body: dict[str, Any], dimensions: int = 4) -> Reply:
    """A vector a text: its length, then ones; sent in reverse, since only the index counts."""
    texts = body["input"]
    data = [
        {"object": "embedding", "index": i, "embedding": [float(len(text)), *([1.0] * (dimensions - 1))]}
        for i, text in enumerate(texts)
    ]
    return 200, {
        "object": "list",
        "data": data[::-1],
        "model": body["model"],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


def refusal(status: int, code: str | None = None) -> Reply:
    return status, {"error": {"message": "SECRET words of the server", "type": "x", "code": code}}


def chat(content: str | None, refused: str | None = None) -> Reply:
    message = {"role": "assistant", "content": content, "refusal": refused}
    return 200, {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
    }
