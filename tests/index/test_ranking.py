import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beige.index.ranking import rank
from beige.index.store import Ids


@given(scores=st.lists(st.integers(0, 4), max_size=30), k=st.integers(1, 35))
def test_ranking_equals_sorting(scores: list[int], k: int) -> None:
    ids = np.arange(len(scores)) + 100
    places = {int(chunk): (f"{int(chunk) * 7 % 5}".encode(), int(chunk)) for chunk in ids}

    def asked(chunks: Ids) -> dict[int, tuple[bytes, int]]:
        return {chunk: places[chunk] for chunk in chunks.tolist()}

    ranking = rank(ids, np.array(scores, np.float32), k, asked)
    expected = sorted(zip(ids.tolist(), scores, strict=True), key=lambda hit: (-hit[1], places[hit[0]]))[:k]
    assert list(zip(ranking.ids.tolist(), ranking.scores.tolist(), strict=True)) == expected


def test_places_are_asked_only_where_scores_are_equal() -> None:
    def never(_: Ids) -> dict[int, tuple[bytes, int]]:
        raise AssertionError

    assert rank(np.arange(5), np.array([3, 1, 4, 2, 5], np.float32), 3, never).ids.tolist() == [4, 2, 0]
