import itertools
import random

import numpy as np
import pytest

from beige.search.reranking import FIRST, LARGEST, read_in_time


class Slow:
    """A reranker that takes a second for each hundred characters of its own clock; a passage's score is its number."""

    def __init__(self, wide: bool = False) -> None:
        self.now = 100.0
        self.calls: list[list[str]] = []
        self.wide = wide

    def clock(self) -> float:
        return self.now

    def score(self, query: str, passages: list[str]) -> np.ndarray:
        assert query == "q"
        self.calls.append(list(passages))
        self.now += sum(1 + len(passage) / 100 for passage in passages)
        scores = np.array([float(passage.split()[0]) for passage in passages], np.float32)
        return np.stack([-scores, scores], axis=1) if self.wide else scores


def passages(lengths: list[int]) -> list[str]:
    return [f"{number} ".ljust(length, "x") for number, length in enumerate(lengths)]


def test_without_a_deadline_all_are_read_at_once() -> None:
    slow = Slow()
    texts = passages([100] * 40)
    assert read_in_time(slow, "q", texts, None, slow.clock).tolist() == list(range(40))
    assert slow.calls == [texts]


@pytest.mark.parametrize("seed", range(20))
def test_the_best_are_read_first_and_no_slice_begins_that_would_end_late(seed: int) -> None:
    chance = random.Random(seed)
    texts = passages([chance.randrange(10, 1500) for _ in range(30)])
    within = chance.uniform(0.1, 250)
    slow = Slow()
    scores = read_in_time(slow, "q", texts, within, slow.clock)
    assert scores.tolist() == list(range(len(scores)))
    assert list(itertools.chain.from_iterable(slow.calls)) == texts[: len(scores)]
    assert [len(call) for call in slow.calls[:1]] == [FIRST]
    assert all(1 <= len(call) <= LARGEST for call in slow.calls)
    spent = slow.now - 100
    if len(slow.calls) > 1:
        assert spent <= within + 1e-6  # its speed is constant, so that every estimate is right
    if len(scores) < len(texts):
        assert spent + 1 + len(texts[len(scores)]) / 100 > within  # not one more would have been in time


def test_a_deadline_that_is_too_short_still_reads_the_first() -> None:
    slow = Slow()
    assert len(read_in_time(slow, "q", passages([500] * 10), 1e-6, slow.clock)) == FIRST


def test_with_several_scores_the_last_decides() -> None:
    slow = Slow(wide=True)
    assert read_in_time(slow, "q", passages([50] * 5), 1e9, slow.clock).tolist() == list(range(5))


@pytest.mark.parametrize("within", [None, 1.0])
def test_nothing_to_read(within: float | None) -> None:
    slow = Slow()
    assert read_in_time(slow, "q", [], within, slow.clock).shape == (0,)
    assert slow.calls == []
