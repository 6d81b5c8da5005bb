"""Likeness to the best candidates as an opinion beside the legs."""

import re
from pathlib import Path

import numpy as np
import pytest

from beige.errors import UsageError
from beige.index import Index
from beige.index.plan import wanted
from beige.search import Searcher
from beige.search.fusion import fuse
from beige.search.request import Request
from beige.search.retrieval import SEEDS, Retrieval
from tests.standin import StandIn

QUERY = "stone of the river"


def test_it_is_the_likeness_to_the_mean_of_the_two_best(index: Index) -> None:
    retrieval = Retrieval(index, None)
    plain = retrieval.candidates(Request(QUERY, depth=1000))
    found = retrieval.candidates(Request(QUERY, depth=1000, feedback=0.3))
    retrieval.close()
    assert found.ids.tolist() == plain.ids.tolist()
    seeds = plain.ids[np.argsort(-fuse("convex", plain.evidence))[:SEEDS]]
    vectors = index.store.vectors("dense", found.ids)
    mean = np.mean([vectors[chunk] for chunk in seeds.tolist()], axis=0)
    cosines = np.stack([vectors[chunk] for chunk in found.ids.tolist()]) @ (mean / np.linalg.norm(mean))
    assert found.evidence["feedback"].scores == pytest.approx(cosines, abs=1e-5)
    for leg, said in plain.evidence.items():
        assert found.evidence[leg].scores.tolist() == said.scores.tolist()


def test_it_weighs_its_part_of_what_the_legs_weigh_and_leaves_relevance_alone(index: Index) -> None:
    with Searcher(index) as searcher:
        hits = searcher.search(QUERY, 65, feedback=0.25, weights={"dense": 3, "bm25": 1}, depth=1000)
        plain = {hit.source: hit for hit in searcher.search(QUERY, 65, depth=1000)}
    assert len(hits) == len(plain)
    for hit in hits:
        weights = {leg: score.weight for leg, score in hit.legs.items()}
        assert weights == pytest.approx({"dense": 0.6, "bm25": 0.2, "feedback": 0.2})
        assert hit.relevance == pytest.approx(plain[hit.source].relevance, abs=1e-6)
        assert hit.legs["dense"].score == plain[hit.source].legs["dense"].score


@pytest.mark.parametrize("fusion", ["convex", "reciprocal"])
def test_what_is_like_the_best_comes_forward(
    tmp_path: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch, fusion: str
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = {
        "best": "the lighthouse on the cliff warns ships",
        "second": "the lighthouse warns ships on the rocks",
        "like": "on the rocks of the cliff ships",  # of the query it has no word that is not common
        **{f"other{number}": f"page {number} of the book on the table" for number in range(20)},
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text)
    with Index.open("index", embedder) as index, Searcher(index) as searcher:
        index.add(".")

        def place(feedback: float, **more: object) -> int:
            hits = searcher.search("lighthouse warns", 23, feedback=feedback, fusion=fusion, **more)
            return [hit.source for hit in hits].index("like.txt")

        assert place(1.0) < place(0.0)
        hits = searcher.search("lighthouse warns", 23, feedback=0.5, filter="path:other*")
        assert {hit.source.startswith("other") for hit in hits} == {True}
        assert "feedback" not in searcher.search("lighthouse warns")[0].legs


def test_what_cannot_be_is_refused(index: Index) -> None:
    with Searcher(index) as searcher:
        with pytest.raises(UsageError, match="feedback compares dense vectors"):
            searcher.search(QUERY, legs=["bm25"], feedback=0.3)
        with pytest.raises(UsageError, match=re.escape("feedback must be from 0 to 1, not 1.5")):
            searcher.search(QUERY, feedback=1.5)
    with pytest.raises(UsageError, match="needs another name"):
        wanted("feedback=dense")


def test_an_empty_index_has_nothing_to_be_like(tmp_path: Path, embedder: StandIn) -> None:
    with Index.open(tmp_path / "index", embedder) as index, Searcher(index) as searcher:
        assert searcher.search(QUERY, feedback=0.3) == []
