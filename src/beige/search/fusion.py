"""How several legs' opinions of the same candidates become one score.

Each formula is a pure function over the legs' evidence, chosen by its name in `FUSIONS`. Fusion knows nothing of
stores, models or texts.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beige.errors import UsageError
from beige.values import Floats, Ints, Output


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one leg says of n candidates.

    Attributes:
        scores: the leg's score of every candidate, (n,); NaN where a multi leg was not asked.
        ranks: places in the leg's own results, from 1; 0 where the leg did not find the candidate, (n,).
        floor: the leg's score of a candidate that has nothing to do with the query.
        kind: of the leg; it decides the leg's usual weight.
        trust: what part of its usual weight the leg has; see `strangers`.
        beside: of what is no leg of the index, its weight as a part of what the legs weigh together; 0 of a leg.
    """

    scores: Floats
    ranks: Ints
    floor: float
    kind: Output
    trust: float = 1.0
    beside: float = 0.0


def standings(scores: Floats) -> Ints:
    """The place of each score among all, from 1 for the highest; equal ones share the best of their places, (n,)."""
    return (np.searchsorted(np.sort(-scores), -scores) + 1).astype(np.int32)


def convex(legs: Sequence[Evidence], weights: Sequence[float]) -> Floats:
    """The weighted mean of the legs' scores, each scaled so that what is not above its floor is 0 and its best is 1.

    Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval" (2023),
    https://arxiv.org/abs/2210.11934, with the theoretical minimum replaced by the leg's floor for dense legs, whose
    scores of unrelated texts lie far above -1. It depends on neither the depth nor the scale of a leg.

    Args:
        legs: what each leg says of the same n candidates.
        weights: one a leg, not all 0.

    Returns:
        The candidates' scores, from 0 to 1, (n,).
    """
    scaled = np.stack([_scaled(leg) for leg in legs])  # (legs, n)
    return (np.asarray(weights, np.float32) @ scaled / sum(weights)).astype(np.float32)


def _scaled(leg: Evidence) -> Floats:
    best = np.fmax.reduce(leg.scores, initial=leg.floor)  # fmax and fmin pass NaN over
    if best <= leg.floor:  # the leg sees nothing related at all: it has no say
        return np.zeros_like(leg.scores)
    scaled: Floats = np.fmax((leg.scores - leg.floor) / (best - leg.floor), 0).astype(np.float32)
    return scaled


def reciprocal(legs: Sequence[Evidence], weights: Sequence[float], k: int = 60) -> Floats:
    """The weighted sum over the legs of `1 / (k + rank)`; a leg that did not find a candidate adds nothing.

    Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods"
    (2009), https://doi.org/10.1145/1571941.1572114.

    Args:
        legs: what each leg says of the same n candidates.
        weights: one a leg.
        k: how little the first places count more than the next.

    Returns:
        The candidates' scores, (n,).
    """
    found = np.stack([np.where(leg.ranks > 0, 1 / (k + leg.ranks), 0) for leg in legs])  # (legs, n)
    fused: Floats = np.matmul(np.asarray(weights), found).astype(np.float32)
    return fused


@dataclass(frozen=True)
class Fusion:
    """A formula and what the legs of each kind together weigh in it unless told otherwise.

    Legs of one kind say much the same and share its weight equally, so that a second one does not drown the others.
    """

    formula: Callable[[Sequence[Evidence], Sequence[float]], Floats]
    weights: Mapping[Output, float]

    def usual(self, legs: Mapping[str, Evidence]) -> dict[str, float]:
        """The weight of each leg, by name; of what is no leg, 0."""
        kinds = Counter(leg.kind for leg in legs.values() if not leg.beside)
        return {
            name: 0.0 if leg.beside else leg.trust * self.weights[leg.kind] / kinds[leg.kind]
            for name, leg in legs.items()
        }


FUSIONS: Mapping[str, Fusion] = {
    "convex": Fusion(convex, {"dense": 0.6, "sparse": 0.4, "multi": 0.6}),
    "reciprocal": Fusion(reciprocal, {"dense": 1.0, "sparse": 1.0, "multi": 1.0}),
}


HEAVIEST = 1e6
"""The largest weight of a leg; all of them together weigh at least as much less than 1."""


def weigh(name: str, legs: Mapping[str, Evidence], weights: Mapping[str, float] | None = None) -> dict[str, float]:
    """What each leg weighs, by name and in the legs' order; the sum is above 0.

    Args:
        name: one of `FUSIONS`.
        legs: what each says.
        weights: by leg, 0 or more, in place of the fusion's own.

    Raises:
        UsageError: no such fusion, a weight for a leg that is not searched, or weights that are negative or all 0.
    """
    if name not in FUSIONS:
        raise UsageError(f"no fusion {name!r}; there are: {', '.join(FUSIONS)}")
    fusion = FUSIONS[name]
    if unknown := set(weights or ()) - set(legs):
        raise UsageError(f"a weight for {', '.join(sorted(unknown))}, which is not among the legs {', '.join(legs)}")
    chosen = {leg: float(weight) for leg, weight in (fusion.usual(legs) | dict(weights or {})).items()}
    if not all(0 <= weight <= HEAVIEST for weight in chosen.values()) or sum(chosen.values()) < 1 / HEAVIEST:
        raise UsageError(
            f"the legs' weights must be 0 or more, at most {HEAVIEST:g}, and not all 0, not {list(chosen.values())}"
        )
    together = sum(chosen.values())
    return {leg: chosen[leg] or one.beside * together for leg, one in legs.items()}


def fuse(name: str, legs: Mapping[str, Evidence], weights: Mapping[str, float] | None = None) -> Floats:
    """The candidates' scores, (n,); a single leg keeps its own scores.

    Args:
        name: one of `FUSIONS`.
        legs: each leg's evidence for the same n candidates.
        weights: as for `weigh`.

    Raises:
        UsageError: as for `weigh`.
    """
    chosen = weigh(name, legs, weights)
    if len(legs) == 1:
        return next(iter(legs.values())).scores
    return FUSIONS[name].formula(list(legs.values()), list(chosen.values()))
