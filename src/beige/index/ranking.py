"""The order of hits: best first, ties by source and position."""

from collections.abc import Callable, Mapping

import numpy as np

from beige.index.store import Ids, Ranking
from beige.values import Floats


def rank(ids: Ids, scores: Floats, k: int, places: Callable[[Ids], Mapping[int, tuple[bytes, int]]]) -> Ranking:
    """The k best.

    Args:
        ids: candidates, (n,), among them all that tie with the k-th.
        scores: theirs, (n,).
        k: how many, from 1.
        places: gives the source and position of chunks; asked only for those that tie.
    """
    if k < len(ids):
        kept = scores >= np.partition(scores, -k)[-k]
        ids, scores = ids[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")
    ids, scores = ids[order], scores[order]
    equal = scores[1:] == scores[:-1]
    if equal.any():
        tied = np.concatenate([[False], equal]) | np.concatenate([equal, [False]])
        known = places(ids[tied])
        keys = [
            (-score, *known.get(chunk, (b"", 0))) for chunk, score in zip(ids.tolist(), scores.tolist(), strict=True)
        ]
        order = np.array(sorted(range(len(ids)), key=keys.__getitem__))
        ids, scores = ids[order], scores[order]
    return Ranking(ids[:k], scores[:k])
