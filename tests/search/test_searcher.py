import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from beige.errors import FingerprintError, UsageError
from beige.index import Index
from beige.index.expression import parse
from beige.index.filter import Condition
from beige.index.store import Passage
from beige.models.checkpoint import open_checkpoint
from beige.search import Hit, Searcher
from beige.search.request import Options, Request
from tests.checkpoints import tiny_bert as make_tiny_bert
from tests.standin import StandIn

QUERIES = ("boundary layer", "the stone in the river", "zebra", "of the mountain", "nothing of the kind")


def plain(index: Index, query: str, limit: int) -> list[tuple[str, float, dict[str, tuple[int, float]]]]:
    """The same answer, the slow way: every chunk's score in every leg, fused and sorted at once."""
    passages: list[Passage] = index.store.fetch(np.arange(1, 1000))
    ids = np.array([passage.id for passage in passages])
    places = [(passage.source, passage.position) for passage in passages]
    asked = {"dense": index.embedder.encode_query(query).dense, "bm25": index.analyser.query(query)}
    scores = {leg: index.store.scores(leg, one, ids) for leg, one in asked.items()}
    floors = {"dense": scores["dense"].mean(), "bm25": 0.0}
    fused = np.zeros(len(ids))
    ranks = {}
    for leg, weight in (("dense", 0.6), ("bm25", 0.4)):
        floor, best = floors[leg], scores[leg].max()
        if best > floor:
            fused += weight * np.clip((scores[leg] - floor) / (best - floor), 0, None)
        order = sorted(range(len(ids)), key=lambda n: (-scores[leg][n], places[n]))
        ranks[leg] = {n: rank for rank, n in enumerate(order, 1) if leg == "dense" or scores[leg][n] > 0}
    order = sorted(range(len(ids)), key=lambda n: (-np.float32(fused[n]).round(5), places[n]))
    return [
        (places[n][0], fused[n], {leg: (ranks[leg].get(n), float(scores[leg][n])) for leg in scores})
        for n in order[:limit]
    ]


def seen(hit: Hit) -> dict[str, tuple[int | None, float]]:
    return {leg: (score.rank, score.score) for leg, score in hit.legs.items()}


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("limit", [1, 3, 65, 1000])
def test_hits_are_those_of_scoring_everything(index: Index, query: str, limit: int) -> None:
    with Searcher(index) as searcher:
        hits = searcher.search(query, limit)
    expected = plain(index, query, limit)
    assert [hit.score for hit in hits] == pytest.approx([score for _, score, _ in expected], abs=1e-4)
    by_source = {source: legs for source, _, legs in plain(index, query, 1000)}
    for hit in hits:
        for leg, (rank, score) in seen(hit).items():
            assert (rank, score) == (
                by_source[hit.source][leg][0],
                pytest.approx(by_source[hit.source][leg][1], abs=1e-4),
            )
    assert sorted(hits, key=lambda hit: (-hit.score, hit.source)) == hits


@pytest.mark.parametrize("leg", ["dense", "bm25"])
def test_a_single_leg_gives_its_own_ranks_and_scores(index: Index, leg: str) -> None:
    with Searcher(index) as searcher:
        hits = searcher.search("stone river", 10, legs=[leg])
    assert [hit.legs[leg].rank for hit in hits] == list(range(1, len(hits) + 1))
    assert [hit.legs[leg].score for hit in hits] == [hit.score for hit in hits]
    assert {name for hit in hits for name in hit.legs} == {leg}


def test_ties_break_by_source(index: Index) -> None:
    with Searcher(index) as searcher:
        for limit in (2, 4, 5):
            for legs in (["bm25"], ["dense", "bm25"], ["bm25", "dense"]):
                found = [hit.source for hit in searcher.search("zebra", limit, legs=legs)]
                assert found == [f"same-{number}.txt" for number in range(limit)]


def test_a_hit_of_one_leg_has_its_score_in_the_other(index: Index) -> None:
    with Searcher(index) as searcher:
        hits = searcher.search("stone river", 3, depth=3)
        everything = {hit.source: hit for hit in searcher.search("stone river", 1000)}
    assert any(None in (hit.legs["dense"].rank, hit.legs["bm25"].rank) for hit in hits)
    for hit in hits:
        for leg, score in hit.legs.items():
            assert score.score == pytest.approx(everything[hit.source].legs[leg].score, abs=1e-6)


def test_fusion_and_weights_can_be_chosen(index: Index) -> None:
    with Searcher(index) as searcher:
        hits = searcher.search("stone river", 5, fusion="reciprocal")
        for hit in hits:
            ranks = [score.rank for score in hit.legs.values()]
            assert hit.score == pytest.approx(sum(1 / (60 + rank) for rank in ranks if rank))
        only = searcher.search("stone river", 5, weights={"dense": 0})
        assert [hit.source for hit in only] == [hit.source for hit in searcher.search("stone river", 5, legs=["bm25"])]


def test_the_querys_words_are_marked_but_those_of_every_chunk_are_not(index: Index) -> None:
    with Searcher(index) as searcher:
        hit = searcher.search("What is the zebra and the SAME?", 1)[0]
    assert [hit.text[start:end] for start, end in hit.highlights] == ["same", "zebra"]


def test_an_empty_index_has_no_hits(tmp_path: Path, embedder: StandIn) -> None:
    with Index.open(tmp_path / "empty", embedder) as index, Searcher(index) as searcher:
        for legs in (["dense"], ["bm25"], ["dense", "bm25"]):
            assert searcher.search("anything", legs=legs) == []


def test_words_are_searched_without_the_model(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beige.index.encoders.load", lambda model: pytest.fail("the model was loaded"))
    with Index.open(index.path) as again, Searcher(again) as searcher:
        assert searcher.search("zebra", legs=["bm25"])


def test_another_model_is_refused(index: Index, tmp_path: Path) -> None:
    other = StandIn(open_checkpoint(make_tiny_bert(tmp_path / "other", seed=5)))
    with pytest.raises(FingerprintError):
        Searcher(index, other)


@pytest.mark.parametrize(
    ("query", "options", "said"),
    [
        ("", {}, "empty"),
        (" \n\t", {}, "empty"),
        ("x", {"limit": 0}, "from 1 to 1000"),
        ("x", {"limit": 10**6}, "from 1 to 1000"),
        ("x", {"legs": []}, "no leg to search"),
        ("x", {"legs": ["dense", "sparse"]}, "no leg 'sparse'; the index has dense, bm25"),
        ("x", {"fusion": "magic"}, "no fusion 'magic'"),
        ("x", {"weights": {"sparse": 1}}, "sparse"),
        ("x", {"leg": ["dense"]}, "no option 'leg'"),
    ],
)
def test_what_cannot_be_asked(index: Index, query: str, options: dict[str, object], said: str) -> None:
    with Searcher(index) as searcher, pytest.raises(UsageError, match=said):
        searcher.search(query, **options)


@pytest.mark.parametrize("query", ["?!", "\ud800", "\x00", "x" * 100_000, "zebra " * 2000, "🦓", "a" * 70 + " zebra"])
def test_odd_queries_are_answered(index: Index, query: str) -> None:
    with Searcher(index) as searcher:
        assert len(searcher.search(query, 3)) == 3


def test_threads_share_a_searcher(index: Index) -> None:
    with Searcher(index) as searcher:
        expected = [searcher.search(query) for query in QUERIES]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(searcher.search, QUERIES * 20)) == expected * 20


def test_a_chunk_that_is_removed_while_one_searches_is_no_hit(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = index.store.scores

    def gone(leg, query, ids):
        found = scores(leg, query, ids)
        found[0] = np.nan
        return found

    monkeypatch.setattr("beige.search.retrieval.DEPTH", 5)
    monkeypatch.setattr(index.store, "scores", gone)
    with Searcher(index) as searcher:
        hits = searcher.search("stone river", 5)
    assert hits
    assert not any(np.isnan(hit.score) for hit in hits)


def test_every_option_of_a_request_can_be_given_by_name() -> None:
    with_hits = {"query", "limit", "facets"}  # facets are no part of hits, which is all that `search` gives
    assert set(Options.__annotations__) | with_hits == {field.name for field in dataclasses.fields(Request)}


FILTER = "path:*1* -path:11.txt"


def test_a_filter_holds_in_every_leg(index: Index) -> None:
    """Ranks count what passes, scores stay; so the hits are those of the same search among what passes."""

    def passes(hit: Hit) -> bool:
        return "1" in hit.source and hit.source != "11.txt"

    with Searcher(index) as searcher:
        for query in QUERIES:
            for leg in ("dense", "bm25"):
                every = searcher.search(query, 1000, legs=[leg])
                expected = [(hit.source, hit.score) for hit in every if passes(hit)]
                found = searcher.search(query, 1000, legs=[leg], filter=FILTER)
                assert [(hit.source, hit.score) for hit in found] == expected
                assert [hit.legs[leg].rank for hit in found] == list(range(1, len(found) + 1))
            both = searcher.search(query, 5, filter=FILTER)
            assert both == searcher.search(query, 5, filter=parse(FILTER))
            assert len(both) == 5
            assert all(map(passes, both))


def test_facets_and_unknown_fields(index: Index) -> None:
    documents = index.count()[0]
    with Searcher(index) as searcher:
        assert sum(searcher.facet("type").values()) == documents
        assert sum(searcher.facet("type", FILTER).values()) < documents
        assert searcher.search("river", filter="type:epub") == []
        for ask in (
            lambda: searcher.search("river", filter="colour:red"),
            lambda: searcher.search("river", filter=Condition("colour", "any")),
            lambda: searcher.facet("colour"),
            lambda: searcher.facet("type", "colour:red"),
        ):
            with pytest.raises(UsageError, match="no field 'colour'; there are: path, type"):
                ask()
        with pytest.raises(UsageError, match="a filter is made of Condition"):
            searcher.search("river", filter=7)  # type: ignore[arg-type]
