from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from beige.errors import InputError, UsageError
from beige.index import Index
from beige.index.manifest import Calibration, Leg
from beige.index.sqlite_store import SqliteStore
from beige.search import Request, Searcher
from beige.search.relevance import GENERAL, Relevance, fit, relevance
from beige.search.retrieval import Retrieval

LEGS = (Leg("dense", "dense", 3), Leg("bm25", "sparse", idf=True), Leg("sparse", "sparse"), Leg("second", "dense", 5))


def logistic(logit: float) -> float:
    return 1 / (1 + np.exp(-logit))


@pytest.mark.parametrize("query", ["stone river", "zebra", "of the mountain", "quarterly revenue of banks"])
def test_strengths_are_in_units_of_the_indexs_own_background(index: Index, query: str) -> None:
    retrieval = Retrieval(index, None)
    found = retrieval.candidates(Request(query))
    retrieval.close()
    said = Relevance(index.store).strengths(found)

    passages = list(index.store.scan())  # fewer than the sample
    vectors = np.stack([index.store.vectors("dense", np.array([p.id]))[p.id] for p in passages]).astype(float)
    pairs = [float(vectors[i] @ vectors[j]) for i in range(len(vectors)) for j in range(len(vectors)) if i != j]
    own = vectors @ found.queries["dense"]
    cosines = found.evidence["dense"].scores
    expected = ((cosines - own.mean()) / own.std() + (cosines - np.mean(pairs)) / np.std(pairs)) / 2
    assert said["dense"] == pytest.approx(expected, abs=2e-3)

    asked = found.queries["bm25"]
    frequencies = [sum(word in index.analyser.counts(p.text) for p in passages) for word in asked.ids.tolist()]
    idf = [np.log1p((len(passages) - n + 0.5) / (n + 0.5)) for n in frequencies]
    most = sum(w * i for w, i in zip(asked.weights, idf, strict=True))
    assert said["bm25"] == pytest.approx(found.evidence["bm25"].scores / most, rel=1e-4)


def test_strengths_follow_the_index_as_it_changes(index: Index, here: Path) -> None:
    judge, retrieval = Relevance(index.store), Retrieval(index, None)
    judge.strengths(retrieval.candidates(Request("stone")))
    for number in range(30):
        (here / f"new-{number}.txt").write_text(f"stone river stone {number}")
    index.add(".")
    found = retrieval.candidates(Request("stone"))
    assert judge.strengths(found)["dense"].tolist() == Relevance(index.store).strengths(found)["dense"].tolist()
    retrieval.close()


@pytest.mark.parametrize("members", [("dense", "bm25"), ("dense",), ("bm25",), ("dense", "second"), ("bm25", "sparse")])
def test_relevance_is_between_0_and_1_and_rises_with_what_speaks(members: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    said = {leg: rng.normal(2, 5, 200).astype(np.float32) for leg in members}
    chances = relevance(said, LEGS)
    assert chances is not None
    assert ((chances >= 0) & (chances <= 1)).all()
    for leg in members:
        more = relevance({**said, leg: said[leg] + np.float32(0.5)}, LEGS)
        assert (more >= chances).all()
        middle = (chances > 0.01) & (chances < 0.99)
        assert leg == "sparse" or (more[middle] > chances[middle]).all()


def test_what_is_not_understood_has_no_relevance() -> None:
    assert relevance({"sparse": np.ones(3, np.float32)}, LEGS) is None


def test_the_calibration_of_just_these_legs_is_taken() -> None:
    both = Calibration({"dense": 2.0, "sparse": 1.0}, -1.0, 10, 5)
    said = {"dense": np.array([0.5], np.float32), "sparse": np.array([3.0], np.float32)}
    assert relevance(said, LEGS, (both,)) == pytest.approx([logistic(-1 + 1 + 3)])
    bias, weights = GENERAL[frozenset({"dense"})]
    del said["sparse"]
    assert relevance(said, LEGS, (both,)) == pytest.approx([logistic(bias + 0.5 * weights["dense"])])


@pytest.mark.parametrize("seed", range(4))
def test_a_fit_is_the_likeliest_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    said = {"dense": rng.normal(1, 2, 800).astype(np.float32), "bm25": rng.exponential(0.4, 800).astype(np.float32)}
    logits = -2 + 1.2 * said["dense"] + 3 * said["bm25"]
    relevant = rng.random(800) < logistic(logits)
    found = fit(said, relevant)
    positive = int(relevant.sum())
    target = np.where(relevant, (positive + 1) / (positive + 2), 1 / (800 - positive + 2))

    def loss(tried: np.ndarray) -> float:
        at = tried[0] + tried[1] * said["dense"] + tried[2] * said["bm25"]
        return float(np.sum(np.logaddexp(0, at) - target * at))

    best = minimize(loss, [0, 0, 0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8, "maxiter": 4000}).x
    assert [found.bias, found.weights["dense"], found.weights["bm25"]] == pytest.approx(best, abs=1e-3)
    assert (found.pairs, found.relevant) == (800, positive)


def test_a_leg_that_misleads_has_no_weight() -> None:
    rng = np.random.default_rng(0)
    relevant = np.arange(300) < 100
    said = {
        "dense": (relevant + rng.normal(0, 1, 300)).astype(np.float32),
        "bm25": (-2 * relevant + rng.normal(0, 1, 300)).astype(np.float32),
    }
    found = fit(said, relevant)
    assert found.weights["bm25"] == 0
    assert found.weights["dense"] == pytest.approx(fit({"dense": said["dense"]}, relevant).weights["dense"])
    useless = fit({"dense": -said["dense"]}, relevant)
    assert useless.weights == {"dense": 0}
    assert logistic(useless.bias) == pytest.approx(1 / 3, abs=0.01)


def test_pairs_that_can_be_told_apart_give_finite_weights() -> None:
    relevant = np.arange(20) < 4
    found = fit({"dense": relevant.astype(np.float32), "bm25": relevant.astype(np.float32)}, relevant)
    assert all(0 < weight < 100 for weight in found.weights.values())


@pytest.mark.parametrize("relevant", [[True, True], [False], []])
def test_a_fit_needs_pairs_of_both_kinds(relevant: list[bool]) -> None:
    with pytest.raises(InputError, match="pairs of both kinds"):
        fit({"dense": np.zeros(len(relevant), np.float32)}, np.array(relevant, bool))


def test_hits_below_the_least_relevance_are_left_out(index: Index) -> None:
    with Searcher(index) as searcher:
        everything = searcher.search("stone river", 65)
        chances = sorted((hit.relevance for hit in everything), reverse=True)
        for least in (chances[0], chances[20], 0.001):
            found = searcher.run(Request("stone river", 65, min_relevance=least))
            assert list(found.hits) == [
                hit
                if hit.rank == rank
                else hit.__class__(**{n: getattr(hit, n) for n in hit.__slots__} | {"rank": rank})
                for rank, hit in enumerate((hit for hit in everything if hit.relevance >= least), 1)
            ]
            assert found.irrelevant == sum(chance < least for chance in chances)
            assert found.best_relevance == chances[0]
            assert not found.nothing_relevant
        nothing = searcher.run(Request("stone river", 5, min_relevance=np.nextafter(chances[0], 2)))
        assert nothing.nothing_relevant
        assert (nothing.hits, nothing.irrelevant, nothing.best_relevance) == ((), len(chances), chances[0])
        assert not searcher.run(Request("stone", 5)).nothing_relevant


def test_the_indexs_own_calibration_is_used(index: Index) -> None:
    with SqliteStore.open(index.path, write=True) as store:
        store.update_manifest(calibration=(Calibration({"dense": 0.0, "bm25": 2.0}, -1.0, 10, 5),))
    with Index.open(index.path, index.embedder) as again, Searcher(again) as searcher:
        retrieval = Retrieval(again, None)
        found = retrieval.candidates(Request("stone river"))
        retrieval.close()
        said = dict(zip(found.ids.tolist(), Relevance(again.store).strengths(found)["bm25"].tolist(), strict=True))
        by_source = {p.source: said[p.id] for p in again.store.fetch(found.ids)}
        for hit in searcher.search("stone river", 65):
            assert hit.relevance == pytest.approx(logistic(-1 + 2 * by_source[hit.source]))


def test_legs_without_a_relevance_cannot_be_cut(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beige.search.searcher.relevance", lambda *_: None)
    with Searcher(index) as searcher:
        assert {hit.relevance for hit in searcher.search("stone")} == {None}
        with pytest.raises(UsageError, match="relevance cannot be told from dense, bm25"):
            searcher.search("stone", min_relevance=0.5)
