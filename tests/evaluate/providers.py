"""A server on this machine that speaks as OpenAI, Cohere and Voyage do, errors and rate limits included."""

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests import http_server
from tests.http_server import Handler

KEY = "the-right-key"
DIMENSION = 24


@dataclass(frozen=True)
class Refusal:
    """A refusal that comes before the next answer."""

    status: int
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class State:
    """What the server does, and what was asked of it; the victim is killed before that many requests are answered."""

    url: str = ""
    refusals: list[Refusal] = field(default_factory=list)
    dimension: int = DIMENSION
    usage: bool = True
    base64: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)
    chats: list[dict[str, Any]] = field(default_factory=list)
    kill_after: int | None = None
    victim: subprocess.Popen[bytes] | None = None

    @property
    def texts(self) -> list[str]:
        """Every text that was answered, in order."""
        return [text for body in self.asked for text in body.get("input", body.get("texts"))]


def vector(text: str, role: str = "", dimension: int = DIMENSION) -> np.ndarray:
    """The vector that the server gives: a function of the text's words, so that like texts are alike."""
    total = np.zeros(dimension)
    for word in [role, *text.lower().split()]:
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "little")
        total += np.random.default_rng(seed).normal(size=dimension)
    return total.astype(np.float32)


def _rows(state: State, texts: list[str], role: str, encoded: bool) -> list[Any]:
    vectors = [vector(text, role, state.dimension) for text in texts]
    if encoded and state.base64:
        return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    return [row.tolist() for row in vectors]


def _openai(state: State, body: dict[str, Any]) -> dict[str, Any]:
    rows = _rows(state, body["input"], "", body.get("encoding_format") == "base64")
    data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
    tokens = sum(len(text.split()) + 2 for text in body["input"])
    answer = {"object": "list", "data": data[::-1], "model": body["model"]}  # nobody promises the order
    return answer | ({"usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if state.usage else {})


def _voyage(state: State, body: dict[str, Any]) -> dict[str, Any]:
    rows = _rows(state, body["input"], body["input_type"], body.get("encoding_format") == "base64")
    data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
    tokens = sum(len(text.split()) + 2 for text in body["input"])
    return {"object": "list", "data": data, "model": body["model"], "usage": {"total_tokens": tokens}}


def _cohere(state: State, body: dict[str, Any]) -> dict[str, Any]:
    rows = _rows(state, body["texts"], body["input_type"].removeprefix("search_"), encoded=False)
    return {
        "id": "da6e531f-54c5-4a73-bf92-f60566d8d753",
        "embeddings": {"float": rows},
        "texts": body["texts"],
        "response_type": "embeddings_by_type",
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"input_tokens": sum(len(text.split()) + 2 for text in body["texts"])},
        },
    }


def _chat(state: State, body: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": ' "What turns the wheel?"\n'}
    return {"object": "chat.completion", "model": body["model"], "choices": [{"index": 0, "message": message}]}


def _openai_error(said: str) -> dict[str, Any]:
    return {"error": {"message": said, "type": "invalid_request_error", "param": None, "code": None}}


_SHAPES = {
    "/v1/chat/completions": (_chat, _openai_error),
    "/v1/embeddings": (_openai, _openai_error),
    "/v2/embed": (_cohere, lambda said: {"id": "x", "message": said}),
    "/voyage/embeddings": (_voyage, lambda said: {"detail": said}),
}


class _Handler(Handler):
    state: State

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer, error = _SHAPES[self.path]
        if self.state.refusals:
            refusal = self.state.refusals.pop(0)
            said = error(refusal.body) if isinstance(refusal.body, str) else refusal.body
            return self._json(refusal.status, said, refusal.headers)
        if self.headers["authorization"] != f"Bearer {KEY}":
            return self._json(401, error("Incorrect API key provided"))
        if "messages" in body:
            self.state.chats.append(body)
            return self._json(200, answer(self.state, body))
        self.state.asked.append(body)
        if self.state.kill_after == len(self.state.asked) and self.state.victim is not None:
            self.state.victim.kill()
        return self._json(200, answer(self.state, body))

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send(status, content, {"content-type": "application/json", **(headers or {})})


@contextmanager
def serving() -> Iterator[State]:
    """The server's state while it runs."""
    state = State()
    with http_server.serving(_Handler, state=state) as state.url:
        yield state
