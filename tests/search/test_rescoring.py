"""Token vectors on top of what other legs find, from the store and computed."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from beige.errors import UsageError
from beige.index import Index
from beige.models.checkpoint import open_checkpoint
from beige.scores import multi_score
from beige.search import Searcher
from beige.search.fusion import fuse
from beige.search.rescoring import best, computed, opinion
from tests.search.conftest import filled
from tests.standin import StandIn

QUERIES = ("boundary layer", "the stone in the river", "of the mountain")


@pytest.fixture
def three(tiny_m3: Path) -> StandIn:
    return StandIn(open_checkpoint(tiny_m3))


@pytest.fixture
def stored(here: Path, three: StandIn) -> Iterator[Index]:
    with filled("../stored", three, legs=["dense", "bm25", "sparse", "multi"]) as index:
        yield index


@pytest.fixture
def unstored(here: Path, three: StandIn) -> Iterator[Index]:
    with filled("../unstored", three) as index:
        yield index


@pytest.mark.parametrize("query", QUERIES)
def test_only_the_best_are_rescored_by_the_mean_of_maxima(stored: Index, three: StandIn, query: str) -> None:
    with Searcher(stored) as searcher:
        hits = searcher.search(query, 100, rescore=10)
        before = searcher.search(query, 100, legs=["dense", "bm25", "sparse"])
    rescored = [hit for hit in hits if "multi" in hit.legs]
    tenth = before[9].score
    assert {hit.source for hit in rescored} == {hit.source for hit in before if hit.score >= tenth}
    tokens = three.encode_query(query, ("multi",)).multi
    for hit in rescored:
        expected = multi_score(tokens, three.encode_document([hit.text], ("multi",)).multi[0])
        assert hit.legs["multi"].score == pytest.approx(expected, abs=5e-3)
    scores = sorted((hit.legs["multi"].score for hit in rescored), reverse=True)
    assert all(hit.legs["multi"].rank == 1 + scores.index(hit.legs["multi"].score) for hit in rescored)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_all_are_rescored_as_brute_force_does_it(stored: Index) -> None:
    with Searcher(stored) as searcher:
        hits = searcher.search("stone river", 1000, rescore=1000, weights={"dense": 0, "bm25": 0, "sparse": 0})
    assert [hit.legs["multi"].rank for hit in hits[:1]] == [1]
    scores = [hit.legs["multi"].score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    scaled = (np.array(scores) - min(scores)) / (max(scores) - min(scores))
    assert [hit.score for hit in hits] == pytest.approx(scaled, abs=1e-6)


def test_reciprocal_counts_those_not_asked_as_not_found(stored: Index) -> None:
    with Searcher(stored) as searcher:
        hits = searcher.search("stone river", 20, rescore=5, fusion="reciprocal")
    for hit in hits:
        weights = {"dense": 1, "bm25": 0.5, "sparse": 0.5, "multi": 1}
        expected = sum(weights[leg] / (60 + score.rank) for leg, score in hit.legs.items() if score.rank)
        assert hit.score == pytest.approx(expected, abs=1e-6)


def test_token_vectors_find_nothing_alone(stored: Index) -> None:
    with Searcher(stored) as searcher:
        with pytest.raises(UsageError, match="'multi' finds nothing by itself"):
            searcher.search("stone", legs=["multi"])
        assert searcher.search("stone", legs=["bm25", "multi"])[0].legs.keys() == {"bm25", "multi"}


def test_a_chunk_that_is_removed_before_it_is_rescored_is_no_hit(stored: Index, monkeypatch) -> None:
    scores = stored.store.scores

    def gone(leg, query, ids):
        found = scores(leg, query, ids)
        if leg == "multi":
            found[:3] = np.nan
        return found

    monkeypatch.setattr(stored.store, "scores", gone)
    with Searcher(stored) as searcher:
        hits = searcher.search("stone river", 1000, rescore=1000)
        assert len(hits) == len(searcher.search("stone river", 1000, legs=["dense", "bm25"])) - 3


def test_an_empty_index_has_no_hits(tmp_path: Path, three: StandIn) -> None:
    with Index.open(tmp_path / "i", three, legs=["dense", "bm25", "multi"]) as index, Searcher(index) as searcher:
        assert searcher.search("anything") == []
    with Index.open(tmp_path / "j", three) as index, Searcher(index) as searcher:
        assert searcher.search("anything", multi_within=1) == []


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_computed_is_what_is_stored(stored: Index, unstored: Index, query: str) -> None:
    with Searcher(stored) as one, Searcher(unstored) as other:
        expected = one.search(query, 100, rescore=20)
        found = other.search(query, 100, rescore=20, multi_within=60)
    assert {hit.source for hit in found if "multi" in hit.legs} == {h.source for h in expected if "multi" in h.legs}
    scores = {hit.source: hit.score for hit in expected}
    assert {hit.source: hit.score for hit in found} == pytest.approx(scores, abs=0.02)


def test_it_is_computed_only_where_that_is_asked_for(unstored: Index, three: StandIn) -> None:
    three.texts.clear()
    with Searcher(unstored) as searcher:
        assert all("multi" not in hit.legs for hit in searcher.search("stone"))
        assert three.texts == []


def test_a_stored_leg_is_preferred(stored: Index, three: StandIn) -> None:
    three.texts.clear()
    with Searcher(stored) as searcher:
        assert "multi" in searcher.search("stone", legs=["bm25"], multi_within=1)[0].legs
    assert three.texts == []


def test_a_model_without_token_vectors_is_refused(index: Index) -> None:
    with Searcher(index) as searcher, pytest.raises(UsageError, match="token vectors cannot be computed"):
        searcher.search("stone", multi_within=1)


class Slow(StandIn):
    """Takes a hundredth of a second for each batch."""

    def encode_document(self, texts, outputs=("dense",)):
        time.sleep(0.01)
        return super().encode_document(texts, outputs)


def test_what_the_time_does_not_suffice_for_counts_as_the_last(
    unstored: Index, tiny_m3: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slow = Slow(open_checkpoint(tiny_m3))
    with Searcher(unstored, slow) as searcher:
        hits = searcher.search("stone river", 50, rescore=50, multi_within=0.045)
        before = [hit.source for hit in searcher.search("stone river", 50)]
    rescored = [hit.source for hit in hits if "multi" in hit.legs]
    assert 4 <= len(rescored) <= 20, "the first four in any case, and no more than there is time for"
    assert sorted(rescored) == sorted(before[: len(rescored)])
    assert re.search(rf"token vectors of {len(rescored)} of \d+ candidates were computed in 0.045 s", caplog.text)


def test_the_first_texts_are_computed_however_short_the_time(tiny_m3: Path) -> None:
    slow = Slow(open_checkpoint(tiny_m3))
    query = slow.encode_query("stone", ("multi",)).multi
    scores = computed(slow, query, [f"stone {n}" for n in range(9)], 1e-9)
    assert np.isnan(scores).tolist() == [False] * 4 + [True] * 5


def test_an_opinion_ranks_equals_equally_and_its_floor_is_its_lowest() -> None:
    found = opinion(np.array([0.5, np.nan, 0.9, 0.5, 0.7], np.float32))
    assert found.ranks.tolist() == [3, 0, 1, 3, 2]
    assert found.floor == 0.5
    assert opinion(np.full(3, np.nan, np.float32)).ranks.tolist() == [0, 0, 0]
    fused = fuse("convex", {"dense": opinion(np.array([1, 2, 3, 4, 5], np.float32)), "multi": found})
    assert np.isfinite(fused).all()


def test_ties_with_the_last_are_rescored_too() -> None:
    scores = np.array([1, 3, 2, 2, 0], np.float32)
    assert best(scores, 2).tolist() == [False, True, True, True, False]
    assert best(scores, 9).all()
