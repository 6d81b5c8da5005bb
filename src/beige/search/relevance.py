"""How likely a candidate has to do with the query, from 0 to 1: a number that can be compared and cut at.

A fused score cannot: the best candidate of a query that the index knows nothing of has a high one too, and so has its
cosine, for BGE's bunch between 0.6 and 1. So each leg's score is first put as a strength, in units that the index
itself gives:

- of a dense leg, the mean of two standard scores of the cosine: among the query's cosines with all chunks, of which
  almost none has to do with it, and among the cosines of random pairs of chunks. The first alone does not see that a
  query is far from everything, the second not that it is near to everything;
- of BM25, the score's share of what the query's words could give: the sum of their weights times their IDF, which is
  what a chunk of average length gets that says each of them once.

The relevance is the logistic function of a bias and the weighted strengths. Where the two kinds of pairs, related and
not, have strengths that are normal with the same spread, that is exactly the probability of the first kind (Fisher's
discriminant; Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 4.3). Weights and bias are fitted
on judgements where the index has some, else they are those of `GENERAL`; docs/decisions/relevance.md says how those
were found and how far they hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beige.errors import InputError
from beige.index.manifest import Calibration, Leg
from beige.index.store import Store
from beige.search.retrieval import Candidates
from beige.search.strangers import SAMPLE, spread_of
from beige.values import Floats, Sparse

GENERAL: Mapping[frozenset[str], tuple[float, Mapping[str, float]]] = {
    frozenset({"dense", "words"}): (-9.3, {"dense": 1.55, "words": 11.5}),
    frozenset({"dense"}): (-3.9, {"dense": 1.4}),
    frozenset({"words"}): (-4.9, {"words": 11.6}),
}
"""Bias and weights by what speaks: dense vectors, BM25's words, or both. `python -m bench.relevance` fits them."""


@dataclass(frozen=True, eq=False, slots=True)
class _Background:
    """Random pairs of an index's chunks.

    Attributes:
        sample: vectors of chunks, (n, d).
        mean: of the cosines of each with each other one.
        spread: their standard deviation.
    """

    sample: Floats
    mean: float
    spread: float


class Relevance:
    """How far the candidates of an index's queries have to do with them; safe to use from several threads.

    Args:
        store: of the index.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._backgrounds: dict[str, _Background] = {}

    def strengths(self, found: Candidates) -> dict[str, Floats]:
        """By leg, how strongly it speaks for each of n candidates, (n,); 0 is what an unrelated chunk has on average.

        Args:
            found: what the legs say.
        """
        said = {}
        for leg, evidence in found.evidence.items():
            if evidence.kind == "multi" or evidence.beside:
                continue  # it speaks of the best alone, or for them: nothing tells what an unrelated chunk would get
            query = found.queries[leg]
            if isinstance(query, Sparse):
                said[leg] = _standard(evidence.scores, 0.0, float(query.weights @ self._store.idf(leg, query)))
            else:
                background = self._background(leg)
                own = spread_of(background.sample, query, evidence.floor)
                said[leg] = (
                    _standard(evidence.scores, evidence.floor, own)
                    + _standard(evidence.scores, background.mean, background.spread)
                ) / np.float32(2)
        return said

    def _background(self, leg: str) -> _Background:
        sample = self._store.sample(leg, SAMPLE)
        known = self._backgrounds.get(leg)
        if known is None or known.sample is not sample:  # the store gives the same one until something changes
            known = self._backgrounds[leg] = _pairs(sample)
        return known


def _pairs(sample: Floats) -> _Background:
    cosines = sample @ sample.T
    others = cosines[~np.eye(len(sample), dtype=bool)]
    if not len(others):
        return _Background(sample, 0.0, 0.0)
    return _Background(sample, float(others.mean()), float(others.std()))


def _standard(scores: Floats, mean: float, spread: float) -> Floats:
    """Scores less their mean, in units of their spread; where there is none, nothing stands out."""
    if spread < 1e-6:
        return np.zeros_like(scores)
    standard: Floats = ((scores - np.float32(mean)) / np.float32(spread)).astype(np.float32)
    return standard


def relevance(
    said: Mapping[str, Floats], legs: Sequence[Leg], fitted: Sequence[Calibration] = ()
) -> NDArray[np.float64] | None:
    """How likely each candidate has to do with the query, from 0 to 1, (n,); it rises with every leg's strength.

    Args:
        said: strengths by leg, (n,) each.
        legs: of the index.
        fitted: the index's own calibrations: the one for just these legs is taken, else `GENERAL`'s, in which several
            dense legs count as their mean.

    Returns:
        None where neither knows what these legs mean: no dense leg and no words are among them.
    """
    for calibration in fitted:
        if set(calibration.weights) == set(said):
            return _of(calibration.bias, calibration.weights, said)
    kinds = {leg.name: _kind(leg) for leg in legs}
    means = {
        kind: np.mean([said[leg] for leg in members], axis=0)
        for kind in ("dense", "words")
        if (members := [leg for leg in said if kinds.get(leg) == kind])
    }
    if not means:
        return None
    return _of(*GENERAL[frozenset(means)], means)


def _kind(leg: Leg) -> str:
    return "words" if leg.kind == "sparse" and leg.idf else leg.kind


def _of(bias: float, weights: Mapping[str, float], said: Mapping[str, Floats]) -> NDArray[np.float64]:
    logits = bias + sum(weight * said[name].astype(np.float64) for name, weight in weights.items())
    return _logistic(np.asarray(logits))


def fit(said: Mapping[str, Floats], relevant: NDArray[np.bool_]) -> Calibration:
    """The calibration under which n judged pairs are likeliest: a logistic regression with weights of 0 or more.

    A leg whose weight would be negative has none. Targets are Platt's, drawn in a little from 0 and 1, so that pairs
    that can be told apart without an error give finite weights: "Probabilistic Outputs for Support Vector Machines"
    (1999).

    Args:
        said: strengths by leg, (n,) each, of pairs of a query and a candidate that it found.
        relevant: whether each pair was judged relevant, (n,).

    Raises:
        InputError: there is no relevant pair, or no other.
    """
    positive = int(np.count_nonzero(relevant))
    negative = len(relevant) - positive
    if not positive or not negative:
        raise InputError(
            f"a calibration needs judged pairs of both kinds, not {positive} relevant and {negative} others: judge more"
        )
    target = np.where(relevant, (positive + 1) / (positive + 2), 1 / (negative + 2))
    legs = list(said)
    while True:
        columns = np.column_stack([np.ones(len(relevant)), *(said[leg] for leg in legs)]).astype(np.float64)
        bias, *weights = _regression(columns, target).tolist()
        if not legs or min(weights) >= 0:
            break
        del legs[weights.index(min(weights))]
    found = dict(zip(legs, weights, strict=True))
    return Calibration({leg: found.get(leg, 0.0) for leg in said}, bias, len(relevant), positive)


def _regression(columns: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logistic regression by Newton's method: the coefficients, (c,), of columns (n, c) for targets in (0, 1), (n,)."""
    coefficients = np.zeros(columns.shape[1])
    ridge = 1e-6 * np.eye(columns.shape[1])  # columns that depend on each other have no single answer without it

    def loss(tried: NDArray[np.float64]) -> float:
        logits = columns @ tried
        return float(np.sum(np.logaddexp(0, logits) - target * logits) + tried @ ridge @ tried / 2)

    for _ in range(100):
        chances = _logistic(columns @ coefficients)
        gradient = columns.T @ (chances - target) + ridge @ coefficients
        curvature = (columns * (chances * (1 - chances))[:, None]).T @ columns + ridge
        step, size = np.linalg.solve(curvature, gradient), 1.0
        while loss(coefficients - size * step) > loss(coefficients) and size > 1e-6:
            size /= 2
        coefficients = coefficients - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    return coefficients


def _logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * (1 + np.tanh(0.5 * logits))  # which does not overflow this way
