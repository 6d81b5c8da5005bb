import numpy as np
import pytest

from beige.search.diversity import likeness, marginal, scaled


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.standard_normal((count, 8)) + 0.5
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def plain(worth: np.ndarray, like: np.ndarray, weight: float) -> list[int]:
    """The definition, word for word."""
    taken: list[int] = []
    while len(taken) < len(worth):
        left = [n for n in range(len(worth)) if n not in taken]
        taken.append(
            max(
                left,
                key=lambda n: (weight * worth[n] - (1 - weight) * max([like[n, m] for m in taken], default=0), -n),
            )
        )
    return taken


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.7, 1.0])
def test_the_order_is_the_definitions(seed: int, weight: float) -> None:
    rng = np.random.default_rng(seed)
    worth = rng.random(25)
    like = likeness(unit(rng, 25), 0.2).astype(np.float64)
    assert marginal(worth.astype(np.float64), like, weight).tolist() == plain(worth, like, weight)


def test_lambda_one_is_the_plain_order_with_ties() -> None:
    worth = scaled(np.array([0.9, 0.7, 0.7, 0.7, 0.1], np.float32))
    assert marginal(worth, np.ones((5, 5), np.float32), 1.0).tolist() == [0, 1, 2, 3, 4]


def test_a_copy_of_a_better_one_is_put_back() -> None:
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    order = marginal(np.array([1.0, 0.9, 0.6], np.float32), likeness(vectors, 0.0), 0.5)
    assert order.tolist() == [0, 2, 1]


def test_likeness_is_from_the_background_to_one() -> None:
    vectors = unit(np.random.default_rng(0), 10)
    found = likeness(vectors, 0.4)
    cosines = vectors @ vectors.T
    assert found == pytest.approx(np.clip((cosines - 0.4) / 0.6, 0, 1), abs=1e-6)
    assert np.isfinite(likeness(vectors, 1.0)).all()


def test_scaled_keeps_the_order_between_zero_and_one() -> None:
    assert scaled(np.array([-3, 1, -1], np.float32)).tolist() == [0, 1, 0.5]
    assert scaled(np.array([2, 2], np.float32)).tolist() == [1, 1]
    assert scaled(np.zeros(0, np.float32)).shape == (0,)
