import numpy as np
import pytest

from beige.search.explanation import matched
from beige.values import Sparse


def sparse(weights: dict[int, float]) -> Sparse:
    return Sparse(np.array(sorted(weights), np.uint32), np.array([weights[n] for n in sorted(weights)], np.float32))


@pytest.mark.parametrize("seed", range(10))
def test_shares_sum_to_one_and_are_those_of_the_score(seed: int) -> None:
    rng = np.random.default_rng(seed)
    query = sparse(
        {int(n): float(w) for n, w in zip(rng.choice(50, 10, replace=False), rng.random(10) + 0.1, strict=True)}
    )
    passage = sparse(
        {int(n): float(w) for n, w in zip(rng.choice(50, 25, replace=False), rng.random(25) + 0.1, strict=True)}
    )
    idf = rng.random(10).astype(np.float32) + 0.1
    found = matched(query, idf, passage, {n: f"w{n}" for n in range(50)})
    parts = {
        f"w{n}": float(q * i * passage.weights[passage.ids == n][0])
        for n, q, i in zip(query.ids, query.weights, idf, strict=True)
        if n in passage.ids
    }
    assert {one.word for one in found} == set(parts)
    assert sum(one.share for one in found) == pytest.approx(1)
    for one in found:
        assert one.share == pytest.approx(parts[one.word] / sum(parts.values()), rel=1e-5)
    assert [one.share for one in found] == sorted((one.share for one in found), reverse=True)


def test_what_shares_nothing_has_no_words() -> None:
    assert matched(sparse({1: 1.0}), np.ones(1, np.float32), sparse({2: 1.0}), {1: "one"}) == ()
