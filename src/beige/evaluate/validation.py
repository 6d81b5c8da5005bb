"""Choosing among ways by judged queries, and what such a choice gains on queries that had no say in it.

What is counted are documents that queries are about: queries about one document are no two witnesses. All figures here
are gains over one way, one for each such group of queries.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from beige.evaluate.data import Judgements

Gains = NDArray[np.float64]

FOLDS = 5

REPEATS = 10
"""How often the groups are divided into folds anew, so that the gain is not the luck of one division."""

ROUNDS = REPEATS * FOLDS
"""How many choices `held_out` makes."""

SURE = 1.64
"""Standard errors that are taken off a mean gain: the true one is above what is left with a confidence of 95 %."""


def topics(judgements: Judgements) -> NDArray[np.int64]:
    """The number of the document that each query is most about, (queries,), from 0.

    It is the best judged document, the first by name of several; a query without a relevant one has a number of its
    own. Not every document that two queries share brings them together: of rich judgements one number would remain.
    """
    names = []
    for query, grades in judgements.items():
        best = max(grades.values(), default=0)
        names.append((0, query) if best <= 0 else (1, min(name for name, grade in grades.items() if grade == best)))
    known = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([known[name] for name in names])


def gathered(rows: Gains, groups: NDArray[np.int64]) -> Gains:
    """Figures of groups whose mean is the mean of the queries' figures, (..., groups).

    Args:
        rows: one figure a query, (..., queries).
        groups: of each query, (queries,), as `topics` numbers them.
    """
    count = int(groups.max()) + 1
    sums: Gains = np.zeros((*rows.shape[:-1], count))
    np.add.at(sums.T, groups, rows.T)
    return sums * (count / len(groups))


def worth(gains: Gains) -> Gains:
    """What ways are compared by, (ways,): the mean gain less `SURE` of its standard errors.

    The largest mean of many is often large by chance, most of all that of a way that changes much; the largest lower
    bound belongs to a way whose gain is seen all over.

    Args:
        gains: (ways, groups).
    """
    errors = gains.std(axis=1, ddof=1) / np.sqrt(gains.shape[1])
    lower: Gains = gains.mean(axis=1) - SURE * errors
    return lower


def held_out(
    choose: Callable[[NDArray[np.bool_]], Gains], count: int, tell: Callable[[int], None] = lambda _: None
) -> Gains:
    """The gain of each group, (groups,), by what is chosen by others: repeated cross-validation.

    Args:
        choose: given which groups have a say, (groups,), the gains of what is best by these, (groups,).
        count: of groups.
        tell: told how many more of `ROUNDS` choices have been made.
    """
    chance = np.random.default_rng(0)
    gains = np.zeros(count)
    for _ in range(REPEATS):
        fold = chance.permutation(count) % FOLDS
        for number in range(FOLDS):
            out = fold == number
            gains[out] += choose(~out)[out] / REPEATS
            tell(1)
    return gains
