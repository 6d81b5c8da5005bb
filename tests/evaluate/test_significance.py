"""Intervals and tests, against scipy and by enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from beige.errors import InputError
from beige.evaluate import measures
from beige.evaluate.significance import bootstrap, compare, holm, randomisation, shares

CHANCE = np.random.default_rng(5)


def mean_difference(x, y, axis):
    return (x - y).mean(axis=axis)


def test_the_interval_agrees_with_scipys():
    figures = CHANCE.beta(2, 3, size=180)
    theirs = stats.bootstrap((figures,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    (ours,) = bootstrap(figures[None])
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.04 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.04 * width)


@pytest.mark.parametrize("n", [3, 8, 13])
def test_few_differences_are_swapped_in_every_way_as_scipy_does(n: int):
    differences = CHANCE.normal(0.3, 1, size=n)
    theirs = stats.permutation_test(
        (differences, np.zeros(n)),
        mean_difference,
        permutation_type="samples",
    )
    assert randomisation(differences[None]) == pytest.approx([theirs.pvalue], abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.08, 0.2])
def test_many_differences_are_sampled_near_scipys_p(shift: float):
    differences = CHANCE.normal(shift, 1, size=300)
    theirs = stats.permutation_test(
        (differences, np.zeros(300)),
        mean_difference,
        permutation_type="samples",
        n_resamples=20_000,
        rng=2,
    )
    assert randomisation(differences[None]) == pytest.approx([theirs.pvalue], abs=0.02)


def test_equal_systems_are_no_surprise():
    assert randomisation(np.zeros((1, 40))) == [1.0]
    assert randomisation(np.r_[np.zeros(500), 0.5][None]) == [1.0]  # one query can go either way


def test_a_hundred_wins_are_a_surprise():
    assert randomisation(np.full((1, 100), 0.1)) == pytest.approx([1 / 10_001])


def test_rows_together_have_what_each_has_alone():
    rows = CHANCE.normal(0.1, 1, size=(4, 60))
    rows[1, 10:] = 0  # few enough for every swap
    rows[2] = 0
    assert randomisation(rows) == [randomisation(row[None])[0] for row in rows]
    for interval, row in zip(bootstrap(rows), rows, strict=True):
        (alone,) = bootstrap(row[None])
        assert (interval.low, interval.high) == pytest.approx((alone.low, alone.high), abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction(values: list[float]):
    adjusted = holm(values)
    m = len(values)
    for place, p in enumerate(values):
        # By the definition: the highest of (m - k + 1) p_(k) over all p that are not larger.
        order = sorted(range(m), key=values.__getitem__)
        until = order.index(place) + 1
        assert adjusted[place] == pytest.approx(min(1, max((m - k) * values[order[k]] for k in range(until))))
        assert adjusted[place] >= p


def test_holms_own_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_shares_average_to_the_correlation(seed: int):
    chance = np.random.default_rng(seed)
    x = chance.normal(size=50)
    y = x + chance.normal(size=50)
    assert shares(x, y).mean() == pytest.approx(measures.pearson(x, y), abs=1e-12)
    ranks = [stats.rankdata(row) for row in (x, y)]
    assert shares(*ranks).mean() == pytest.approx(measures.spearman(x, y), abs=1e-12)


def test_the_interval_of_shares_is_the_correlations():
    x = CHANCE.normal(size=400)
    y = 2 * x + CHANCE.normal(size=400)
    theirs = stats.bootstrap(
        (x, y), lambda a, b: stats.pearsonr(a, b).statistic, paired=True, vectorized=False, n_resamples=2000,
        method="percentile", rng=3,
    ).confidence_interval  # fmt: skip
    (ours,) = bootstrap(shares(x, y)[None])
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.15 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.15 * width)


def test_a_comparison_counts_and_corrects():
    figures = {
        "a": {"q1": 1.0, "q2": 0.5, "q3": 0.2, "q4": 0.9},
        "b": {"q1": 0.5, "q2": 0.5, "q3": 0.3, "q4": 0.1},
        "c": {"q1": 0.0, "q2": 0.0, "q3": 0.0, "q4": 0.0},
    }
    found = compare("nDCG@10", figures)
    assert [(row.first, row.second) for row in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    first = found[0]
    assert (first.wins, first.ties, first.losses) == (2, 1, 1)
    assert first.difference == pytest.approx((2.6 - 1.4) / 4)
    assert first.interval.low <= first.difference <= first.interval.high
    assert [row.adjusted for row in found] == pytest.approx(holm([row.p for row in found]))
    assert found == compare("nDCG@10", figures)  # the same figures, the same answer


def test_rounding_is_a_tie():
    (found,) = compare("AP", {"a": {"q": 0.1 + 0.2}, "b": {"q": 0.3}})
    assert (found.wins, found.ties, found.losses) == (0, 1, 0)


def test_systems_of_different_queries_are_not_compared():
    with pytest.raises(InputError, match="a and b were measured on different queries"):
        compare("AP", {"a": {"q1": 0.1}, "b": {"q2": 0.1}})


def test_no_queries_are_no_comparison():
    with pytest.raises(InputError, match="at least one query"):
        compare("AP", {"a": {}, "b": {}})
