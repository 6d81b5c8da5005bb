"""Text in, vectors out, whoever computes them; what was computed or paid for once is taken from the cache.

Each runner of `beige.evaluate.systems` is an `Encoder`; `embed` sends it what the cache lacks, in batches.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beige.errors import InputError, RemoteError
from beige.evaluate.cache import Answer, Cache, key_of
from beige.values import Floats, Role

PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for the text in the name of a space: "a{text}b" and "ab{text}" are two maps."""

Tell = Callable[[int, int], None]
"""Told how many texts are done, and of how many."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What an encoder gives for n texts.

    Attributes:
        vectors: of any length, not normalised, (n, d).
        tokens: that were read of each text, or their sum's share where only that is known, (n,); None where nothing is.
        truncated: whether each text was cut, (n,); None where nobody says.
    """

    vectors: Floats
    tokens: NDArray[np.float64] | None = None
    truncated: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that one call takes: texts, and characters in all; a longer text goes alone."""

    texts: int
    characters: int


class Encoder(Protocol):
    """Whoever turns text into vectors."""

    @property
    def limit(self) -> Limit:
        """What one call takes."""

    @property
    def precision(self) -> str | None:
        """What it computes in, such as "bf16"; None where nobody says."""

    @property
    def alone(self) -> int:
        """How many queries are asked one by one, so that their latency is known; the others go in batches."""

    def space(self, role: Role) -> str:
        """Names the map from text to vector: equal names, equal vectors."""

    def encode(self, texts: Sequence[str], role: Role) -> Batch:
        """Vectors of the texts, in their order."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Texts' vectors, with what they cost when they were made, perhaps in an earlier run.

    Attributes:
        vectors: unit vectors, (n, d).
        tokens: that were read of all distinct texts; None where those of one are unknown.
        truncated: how many distinct texts were cut; None where nobody says.
        seconds: that all distinct texts took.
        latencies: seconds of each text that was asked alone, NaN for the others, (n,).
    """

    vectors: Floats
    tokens: float | None
    truncated: int | None
    seconds: float
    latencies: NDArray[np.float64]


def embed(
    encoder: Encoder, texts: Sequence[str], role: Role, cache: Cache, tell: Tell = lambda done, total: None
) -> Embedded:
    """The texts' vectors: from the cache where they are there, else from the encoder, and then kept.

    Args:
        encoder: computes what is missing.
        texts: n of them; equal ones are computed once.
        role: "query" or "document".
        cache: is written after every batch, so that a broken run goes on where it stopped.
        tell: is told of the progress.

    Raises:
        InputError: no texts.
        RemoteError: vectors of different lengths, or one that is zero, NaN or infinite.
    """
    if not texts:
        raise InputError("there is nothing to embed")
    space = encoder.space(role)
    keys = [key_of((space, text)) for text in texts]
    answers = cache.get(list(dict.fromkeys(keys)))
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in answers}
    done, total = len(answers), len(answers) + len(missing)
    tell(done, total)
    for part in batches(list(missing.items()), encoder.limit, encoder.alone if role == "query" else 0):
        started = time.perf_counter()
        batch = encoder.encode([text for _, text in part], role)
        seconds = time.perf_counter() - started
        new = _answers([key for key, _ in part], batch, seconds)
        _check(space, answers, new)
        cache.put(new)
        answers |= new
        done += len(part)
        tell(done, total)
    _check(space, {}, answers)  # those of the cache among themselves
    return _collected([answers[key] for key in keys], [answers[key] for key in dict.fromkeys(keys)])


def batches(rows: Sequence[tuple[bytes, str]], limit: Limit, alone: int) -> Iterator[list[tuple[bytes, str]]]:
    """The rows in calls of an encoder: the first of them alone, the others as many as a call takes."""
    for row in rows[:alone]:
        yield [row]
    part: list[tuple[bytes, str]] = []
    characters = 0
    for row in rows[alone:]:
        if part and (len(part) == limit.texts or characters + len(row[1]) > limit.characters):
            yield part
            part, characters = [], 0
        part.append(row)
        characters += len(row[1])
    if part:
        yield part


def _answers(keys: Sequence[bytes], batch: Batch, seconds: float) -> dict[bytes, Answer]:
    return {
        key: Answer(
            batch.vectors[place],
            None if batch.tokens is None else float(batch.tokens[place]),
            None if batch.truncated is None else bool(batch.truncated[place]),
            seconds / len(keys),
            alone=len(keys) == 1,
        )
        for place, key in enumerate(keys)
    }


def _check(space: str, known: dict[bytes, Answer], new: dict[bytes, Answer]) -> None:
    lengths = dict.fromkeys(len(answer.value) for answer in (*list(known.values())[:1], *new.values()))
    if len(lengths) > 1:
        first, second, *_ = lengths
        raise RemoteError(
            f"{space} gave vectors of {second} numbers after vectors of {first}: it changed its model midway, and both "
            "cannot be compared; name one exact model, and remove the cache of evaluations if it holds the other one"
        )
    for answer in new.values():
        norm = np.linalg.norm(answer.value.astype(np.float64))
        if not (np.isfinite(norm) and norm > 0):
            raise RemoteError(f"{space} gave a vector that is zero, NaN or infinite")


def _collected(answers: Sequence[Answer], distinct: Sequence[Answer]) -> Embedded:
    vectors = np.stack([answer.value for answer in answers]).astype(np.float32)  # (n, d)
    tokens = [answer.tokens for answer in distinct if answer.tokens is not None]
    cut = [answer.truncated for answer in distinct if answer.truncated is not None]
    return Embedded(
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        sum(tokens) if len(tokens) == len(distinct) else None,
        sum(cut) if len(cut) == len(distinct) else None,
        sum(answer.seconds for answer in distinct),
        np.array([answer.seconds if answer.alone else np.nan for answer in answers], np.float64),
    )
