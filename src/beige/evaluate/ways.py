"""The ways of searching that `beige tune` tries, and what each would have found."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from beige.index.manifest import FEEDBACK, Choice, Leg
from beige.search.fusion import FUSIONS, Evidence, fuse, standings
from beige.search.retrieval import Candidates
from beige.values import Floats

DEPTHS = (50, 100, 200)
"""Candidates of each leg that are tried."""

WITH_FEEDBACK = (0.0, 0.3)
"""What likeness to the best candidates weighs, as it is tried."""

STEPS: Mapping[int, int] = {1: 1, 2: 10, 3: 8, 4: 6}
"""Into how many parts the weights of so many legs are divided; of more legs, into one more than their number."""

READ = (20, 50)
"""Candidates that a reranker reads, as they are tried."""


def choices(legs: Sequence[Leg]) -> Iterator[Choice]:
    """The ways of searching that are compared first: legs, fusions, weights and feedback.

    A leg of token vectors finds nothing, so that another one is always beside it. Feedback is heard of the best that
    all legs find together, so that it is tried with all of them. Few and coarse: the more ways are compared, the more
    often the best of them is so by chance.
    """
    names = [leg.name for leg in legs]
    alone = {leg.name for leg in legs if leg.kind != "multi"}
    dense = {leg.name for leg in legs if leg.kind == "dense"}
    for count in range(1, len(names) + 1):
        for chosen in itertools.combinations(names, count):
            if not alone & set(chosen):
                continue
            weights = [{}, *(dict(zip(chosen, shares, strict=True)) for shares in _weights(count) if count > 1)]
            fusions = list(FUSIONS) if count > 1 else ["convex"]
            feedback = WITH_FEEDBACK if dense & set(chosen) and alone <= set(chosen) else WITH_FEEDBACK[:1]
            for fusion, shares, back in itertools.product(fusions, weights, feedback):
                yield Choice(chosen, fusion, shares, feedback=back)


def depths(way: Choice) -> list[Choice]:
    """A way with other depths."""
    return [replace(way, depth=depth) for depth in DEPTHS if depth != way.depth]


def reranked(way: Choice, model: str) -> list[Choice]:
    """A way with a reranker that reads some or many of its candidates."""
    return [replace(way, rerank=model, read=read) for read in READ]


def _weights(count: int) -> Iterator[tuple[float, ...]]:
    """Every way to share 1 among so many legs in equal steps, none of them with nothing."""
    steps = STEPS.get(count, count + 1)
    for cuts in itertools.combinations(range(1, steps), count - 1):
        bounds = (0, *cuts, steps)
        yield tuple(round((after - before) / steps, 6) for before, after in itertools.pairwise(bounds))


def fused(found: Candidates, way: Choice) -> tuple[NDArray[np.int64], Floats]:
    """The candidates that a way of searching has, as places among those found, and their fused scores.

    Args:
        found: by every leg, at a depth that is at least the way's.
        way: of searching.
    """
    evidence = {leg: _within(found.evidence[leg], way.depth) for leg in way.legs}
    finders = [one for one in evidence.values() if one.kind != "multi"]
    kept = np.flatnonzero(np.any([one.ranks > 0 for one in finders], axis=0)) if finders else np.empty(0, np.int64)
    some = {leg: replace(one, scores=one.scores[kept], ranks=one.ranks[kept]) for leg, one in evidence.items()}
    if way.feedback and (like := found.evidence.get(FEEDBACK)):
        said = like.scores[kept]
        some[FEEDBACK] = replace(like, scores=said, ranks=standings(said), beside=way.feedback)
    scores = fuse(way.fusion, some, way.weights or None)
    return kept, np.nan_to_num(scores, nan=-np.inf)


def _within(evidence: Evidence, depth: int) -> Evidence:
    """What a leg would have said had it been asked for so many candidates."""
    if evidence.kind == "multi":
        return evidence
    return replace(evidence, ranks=np.where(evidence.ranks <= depth, evidence.ranks, 0))
