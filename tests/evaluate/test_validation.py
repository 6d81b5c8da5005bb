"""Choosing by judged queries: who counts as a witness, what ways are compared by, and how often chance wins."""

import numpy as np
import pytest

from beige.evaluate.significance import bootstrap
from beige.evaluate.validation import REPEATS, ROUNDS, gathered, held_out, topics, worth


def test_queries_about_one_document_are_one_witness() -> None:
    judgements = {
        "a": {"x": 1},
        "b": {"x": 2, "y": 1},
        "c": {"y": 1, "x": 1},
        "d": {"y": 2, "x": 1},
        "e": {"x": 0},
        "f": {},
        "g": {"x": -1, "y": 1},
    }
    numbers = dict(zip(judgements, topics(judgements).tolist(), strict=True))
    assert numbers["a"] == numbers["b"] == numbers["c"], "the best judged, the first by name of several"
    assert numbers["d"] == numbers["g"] != numbers["a"]
    assert len({numbers["e"], numbers["f"], numbers["a"], numbers["d"]}) == 4, "without a relevant one: on its own"
    assert sorted(set(numbers.values())) == list(range(4))
    back = dict(reversed(judgements.items()))
    assert dict(zip(back, topics(back).tolist(), strict=True)) == numbers, "whatever their order"


def test_gathered_figures_have_the_queries_mean() -> None:
    chance = np.random.default_rng(0)
    rows, groups = chance.normal(size=(3, 50)), chance.permutation(np.arange(50) % 17)
    found = gathered(rows, groups)
    assert found.shape == (3, 17)
    assert found.mean(axis=1) == pytest.approx(rows.mean(axis=1))
    assert gathered(rows[0], groups) == pytest.approx(found[0])
    assert gathered(np.repeat(rows, 2, axis=1), np.repeat(groups, 2)) == pytest.approx(found), (
        "a query that is asked twice is no more evidence"
    )


def test_a_sure_gain_is_worth_more_than_a_large_one_by_chance() -> None:
    chance = np.random.default_rng(0)
    none, sure, large, harm = np.zeros(100), chance.normal(0.02, 0.02, 100), chance.normal(0.05, 1, 100), -np.ones(100)
    large += 0.05 - large.mean()
    assert np.argsort(worth(np.stack([none, sure, large, harm]))).tolist() == [3, 2, 0, 1]


def test_no_group_has_a_say_in_its_own_gain() -> None:
    told: list[int] = []
    masks = []

    def choose(among: np.ndarray) -> np.ndarray:
        masks.append(among)
        return among.astype(np.float64)

    assert held_out(choose, 23, told.append).tolist() == [0.0] * 23
    assert sum(told) == len(masks) == ROUNDS
    assert np.sum(~np.array(masks), axis=0).tolist() == [REPEATS] * 23, "each is left out once in each division"
    assert len({mask.tobytes() for mask in masks}) == ROUNDS, "divisions differ"


def test_chance_rarely_wins() -> None:
    """Twenty ways in whose gains there is nothing: which of them is best, is by chance."""
    worlds, wins = 200, 0
    for seed in range(worlds):
        chance = np.random.default_rng(seed)
        gains = chance.normal(size=(20, 100)) + chance.normal(size=100)  # ways have much in common
        gains[0] = 0  # today's

        def choose(among: np.ndarray, gains: np.ndarray = gains) -> np.ndarray:
            return gains[worth(gains[:, among]).argmax()]

        found = held_out(choose, 100)
        wins += bool(bootstrap(found[None], samples=500)[0].low > 0)
    assert 0 < wins <= 0.06 * worlds
