"""What token vectors say of the best fused candidates: as they are stored, or computed within a deadline."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from beige.scores import multi_score
from beige.search.fusion import Evidence, fuse, standings
from beige.search.request import FUSION, Request
from beige.values import Floats

if TYPE_CHECKING:
    from beige.embedder import Embedder

_SLICE = 4
"""Texts that are embedded between two looks at the clock."""


def standing(request: Request, evidence: Mapping[str, Evidence]) -> Floats:
    """The fused scores by which candidates are chosen to be rescored, (n,).

    Args:
        request: how legs are fused.
        evidence: of the legs that find candidates.
    """
    weights = {leg: weight for leg, weight in (request.weights or {}).items() if leg in evidence}
    if len(weights) == sum(not one.beside for one in evidence.values()) and not any(weights.values()):
        weights = {}  # token vectors alone are to decide, but not which candidates there are
    return fuse(request.fusion or FUSION, evidence, weights)


def best(scores: Floats, count: int) -> NDArray[np.bool_]:
    """Which are among so many best, ties with the last included: (n,)."""
    if count >= len(scores):
        return np.ones(len(scores), bool)
    kept: NDArray[np.bool_] = scores >= np.partition(scores, -count)[-count]
    return kept


def opinion(scores: Floats) -> Evidence:
    """The evidence of a multi leg.

    Its floor is the lowest score that it gave: a candidate of which it was not asked counts as the last of the others.

    Args:
        scores: (n,), NaN where it was not asked.
    """
    asked = ~np.isnan(scores)
    given = scores[asked]
    ranks = np.zeros(len(scores), np.int32)
    ranks[asked] = standings(given)
    return Evidence(scores, ranks, float(given.min()) if len(given) else 0.0, "multi")


def computed(embedder: "Embedder", query: Floats, texts: Sequence[str], seconds: float) -> Floats:
    """The scores of texts whose token vectors are not stored, (n,), NaN for those that the time did not suffice for.

    Args:
        embedder: that gives the output "multi".
        query: its token vectors, (q, d).
        texts: the best candidates, best first.
        seconds: no slice of texts is begun that would probably end later; the first one is begun in any case.
    """
    scores = np.full(len(texts), np.nan, np.float32)
    started = time.monotonic()
    longest = 0.0
    for start in range(0, len(texts), _SLICE):
        begun = time.monotonic()
        if start and begun - started + longest > seconds:
            break
        found = embedder.encode_document(list(texts[start : start + _SLICE]), ("multi",))
        assert found.multi is not None
        scores[start : start + _SLICE] = [multi_score(query, vectors) for vectors in found.multi]
        longest = max(longest, time.monotonic() - begun)
    return scores
