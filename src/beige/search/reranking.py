"""A reranker over the best candidates, as far as it comes in the time that it has."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from beige.values import Floats

FIRST = 2
"""Passages that are read before anything is known of the reranker's speed."""

LARGEST = 16
"""The most passages of a slice where there is a deadline: it cannot be broken off."""


class Reads(Protocol):
    """What is needed of a `beige.reranker.Reranker`."""

    def score(self, query: str, passages: Sequence[str]) -> Floats:
        """How well each passage answers the query, (n,); (n, e) where the model gives several, the last one decides."""


def read_in_time(
    reranker: Reads,
    query: str,
    passages: Sequence[str],
    within: float | None,
    clock: Callable[[], float] = time.monotonic,
) -> Floats:
    """The reranker's scores of as many passages, from the first on, as it reads in time.

    Passages are read in slices. A slice is only begun if, at the speed seen so far (characters a second), it ends
    before the deadline; the first one always is, so that a slow reranker reads two passages and no more.

    Args:
        reranker: what reads.
        query: one question.
        passages: n texts, the most promising first.
        within: seconds from now; None for no deadline.
        clock: seconds from some moment.

    Returns:
        Raw scores of the first m passages, (m,), m <= n.
    """
    if within is None:
        return _scores(reranker, query, passages)
    started = clock()
    scores: list[Floats] = []
    done, characters, spent = 0, 0, 0.0
    while done < len(passages):
        size = FIRST if not done else _fitting(passages[done:], within - spent, characters / max(spent, 1e-9))
        if size == 0:
            break
        part = passages[done : done + size]
        scores.append(_scores(reranker, query, part))
        done += len(part)
        characters += sum(map(_cost, part))
        spent = clock() - started
    return np.concatenate([np.zeros(0, np.float32), *scores])


def _scores(reranker: Reads, query: str, passages: Sequence[str]) -> Floats:
    if not passages:
        return np.zeros(0, np.float32)
    scores: Floats = np.asarray(reranker.score(query, passages), np.float32).reshape(len(passages), -1)[:, -1]
    return scores


def _cost(passage: str) -> int:
    return 100 + len(passage)  # the query is read anew with each passage


def _fitting(passages: Sequence[str], left: float, speed: float) -> int:
    """How many of the passages are read in the seconds that are left."""
    room = left * speed
    for size, passage in enumerate(passages[:LARGEST]):
        room -= _cost(passage)
        if room < 0:
            return size
    return min(len(passages), LARGEST)
