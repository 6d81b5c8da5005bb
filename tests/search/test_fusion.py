import numpy as np
import pytest

from beige.errors import UsageError
from beige.search.fusion import FUSIONS, Evidence, convex, fuse, reciprocal


def evidence(scores, ranks=None, floor=0.0, kind="dense") -> Evidence:
    scores = np.array(scores, np.float32)
    if ranks is None:
        ranks = 1 + np.argsort(np.argsort(-scores, kind="stable"), kind="stable")
    return Evidence(scores, np.array(ranks, np.int32), floor, kind)


def test_convex_is_the_weighted_mean_of_scores_between_floor_and_best() -> None:
    dense = evidence([0.9, 0.7, 0.5, 0.1], floor=0.5)
    bm25 = evidence([0.0, 10.0, 5.0, 0.0])
    assert convex([dense, bm25], [0.6, 0.4]) == pytest.approx([0.6, 0.6 * 0.5 + 0.4, 0.2, 0.0], abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_convex_depends_on_neither_scale_nor_shift_nor_other_candidates(seed: int) -> None:
    random = np.random.default_rng(seed)
    dense, bm25 = random.uniform(0.4, 0.9, 20), random.uniform(0, 30, 20)
    whole = convex([evidence(dense, floor=0.4), evidence(bm25)], [0.6, 0.4])
    assert 0 <= whole.min() <= whole.max() <= 1
    other = convex([evidence(2 * dense + 1, floor=1.8), evidence(bm25 * 7)], [3, 2])
    assert whole == pytest.approx(other, abs=1e-5)
    keep = np.unique([dense.argmax(), bm25.argmax(), *random.choice(20, 5)])  # the legs' best are always candidates
    part = convex([evidence(dense[keep], floor=0.4), evidence(bm25[keep])], [0.6, 0.4])
    assert part == pytest.approx(whole[keep], abs=1e-6)


def test_a_leg_that_sees_nothing_has_no_say() -> None:
    dense = evidence([0.8, 0.6], floor=0.4)
    assert convex([dense, evidence([0, 0], ranks=[0, 0])], [0.6, 0.4]) == pytest.approx([0.6, 0.3])
    assert convex([evidence([0.3, 0.2], floor=0.4), evidence([1, 2])], [0.6, 0.4]) == pytest.approx([0.2, 0.4])


def test_reciprocal_is_the_weighted_sum_of_inverse_ranks() -> None:
    found = reciprocal([evidence([3, 2, 1], [1, 2, 0]), evidence([0, 5, 9], [0, 2, 1])], [1.0, 2.0])
    assert found == pytest.approx([1 / 61, 1 / 62 + 2 / 62, 2 / 61])


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_of_nothing_is_nothing(name: str) -> None:
    assert fuse(name, {"dense": evidence([], []), "bm25": evidence([], [])}).shape == (0,)


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_prefers_what_is_better_in_every_leg(name: str) -> None:
    scores = fuse(name, {"dense": evidence([0.9, 0.5, 0.1]), "bm25": evidence([9, 5, 1])})
    assert scores.dtype == np.float32
    assert np.all(np.diff(scores) < 0)


def test_legs_of_one_kind_share_its_weight() -> None:
    legs = {
        "dense": evidence([1, 0, 0]),
        "bm25": evidence([0, 1, 0], kind="sparse"),
        "splade": evidence([0, 0, 1], kind="sparse"),
    }
    assert fuse("convex", legs) == pytest.approx([0.6, 0.2, 0.2])
    assert fuse("convex", legs, {"splade": 0.4}) == pytest.approx([0.5, 1 / 6, 1 / 3])
    two = {"bge": evidence([1, 0]), "e5": evidence([1, 0]), "bm25": evidence([0, 1], kind="sparse")}
    assert fuse("convex", two) == pytest.approx([0.6, 0.4])
    late = {"dense": evidence([1, 0]), "bm25": evidence([0, 1], kind="sparse"), "multi": evidence([0, 1], kind="multi")}
    assert fuse("convex", late) == pytest.approx([0.6 / 1.6, 1.0 / 1.6])


def test_a_candidate_that_was_not_rescored_gets_nothing_for_it() -> None:
    multi = evidence([0.9, 0.5, np.nan], [1, 2, 0], floor=0.5, kind="multi")
    for name, expected in (("convex", [0.5, 0, 0.5]), ("reciprocal", [1 / 61 + 1 / 63, 2 / 62, 1 / 61])):
        fused = fuse(name, {"dense": evidence([0, 0.5, 1]), "multi": multi}, {"dense": 1, "multi": 1})
        assert fused[[0, 2]] == pytest.approx([expected[0], expected[2]])


def test_a_single_leg_keeps_its_scores() -> None:
    assert fuse("convex", {"bm25": evidence([7.5, 3])}).tolist() == [7.5, 3]


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("sum", None, "no fusion 'sum'; there are: convex, reciprocal"),
        ("convex", {"sparse": 1}, "a weight for sparse"),
        ("convex", {"dense": -1}, "0 or more"),
        ("convex", {"dense": 0, "bm25": 0}, "not all 0"),
        ("convex", {"dense": float("nan")}, "0 or more"),
        ("convex", {"dense": 1e308, "bm25": 1e308}, "at most 1e"),
        ("convex", {"dense": 1e-300, "bm25": 0}, "not all 0"),
    ],
)
def test_what_cannot_be_is_refused(name: str, weights: dict[str, float] | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        fuse(name, {"dense": evidence([1, 2]), "bm25": evidence([1, 2])}, weights)
