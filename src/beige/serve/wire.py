"""Numbers as bytes of JSON, without a step of Python for each number."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pydantic_core
from starlette.responses import Response

from beige.serve.service import Embedded, Scored
from beige.values import Embedding, Floats, Sparse

Writer = Callable[[Floats], bytes]
"""One vector (d,) as JSON."""

TRUNCATED = "Beige-Truncated"
"""The header that says how many inputs were cut."""


def json_bytes(value: Any) -> bytes:
    """Any JSON value, compactly."""
    return pydantic_core.to_json(value)


def as_base64(vector: Floats) -> bytes:
    """Little-endian float32, in base64, as OpenAI has it."""
    return b'"' + base64.b64encode(np.ascontiguousarray(vector, "<f4").data) + b'"'


def as_floats(vector: Floats) -> bytes:
    """A list of nine significant digits each, which give the same float32 again."""
    return ("[" + ",".join(["%.9g"] * len(vector)) % tuple(vector.tolist()) + "]").encode()


def _scaled(vector: Floats) -> Floats:
    return vector * np.float32(127 / max(float(np.abs(vector).max()), 1e-30))


def _integers(vector: np.ndarray[Any, Any]) -> bytes:
    return json_bytes(vector.tolist())


WRITERS: Mapping[str, Writer] = {
    "float": as_floats,
    "base64": as_base64,
    "int8": lambda vector: _integers(np.rint(_scaled(vector)).astype(np.int8)),
    "uint8": lambda vector: _integers(np.rint(_scaled(vector) + 128).astype(np.uint8)),
    "binary": lambda vector: _integers((np.packbits(vector > 0).astype(np.int16) - 128).astype(np.int8)),
    "ubinary": lambda vector: _integers(np.packbits(vector > 0)),
}
"""By the name that Cohere and OpenAI call a form of vectors by.

Integers are scaled by each vector's own largest number, to 127, which leaves cosines as they are but for rounding;
uint8 is int8 + 128. Binary is a bit for each number, 1 above 0, eight in a byte, the first highest; binary is
ubinary - 128.
"""


def joined(parts: Iterable[bytes]) -> bytes:
    """A JSON list of values that are JSON already."""
    return b"[" + b",".join(parts) + b"]"


def dense(embeddings: Sequence[Embedding], dimensions: int | None = None) -> list[Floats]:
    """The dense vectors, cut to their first numbers and scaled to unit length again where that is asked for."""
    vectors = [embedding.dense for embedding in embeddings]
    if dimensions is None:
        return [vector for vector in vectors if vector is not None]
    cut = [vector[:dimensions] for vector in vectors if vector is not None]
    return [vector / np.float32(max(float(np.linalg.norm(vector)), 1e-30)) for vector in cut]


def sparse_object(sparse: Sparse) -> bytes:
    """`{"ids": […], "weights": […]}`."""
    return b'{"ids":' + _integers(sparse.ids) + b',"weights":' + as_floats(sparse.weights) + b"}"


def answer(body: bytes, done: Embedded | Scored | None = None) -> Response:
    """A response, with the number of inputs that were cut where there are such."""
    headers = {TRUNCATED: str(done.truncated)} if done is not None and done.truncated else None
    return Response(body, media_type="application/json", headers=headers)
