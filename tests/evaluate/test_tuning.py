"""Tuning: what is tried, what would have been found, what is chosen, and when the index is changed."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from beige.cli import build
from beige.errors import InputError
from beige.evaluate import tuning
from beige.evaluate.data import Retrieval as Data
from beige.evaluate.measures import Measure, mean
from beige.evaluate.own import of_index
from beige.evaluate.tuning import CHOICES, FEWEST, FEWEST_DOCUMENTS, listen, tune
from beige.evaluate.ways import DEPTHS, choices, depths, fused
from beige.index import Index
from beige.index.manifest import Choice, Leg
from beige.search import Searcher
from beige.search.request import Request
from beige.search.retrieval import Retrieval

NDCG = Measure.parse("nDCG@10")
NAMES = "boundary layer flow heat wing engine plate pressure stone river mountain light speed water paper".split()


@pytest.fixture
def index(tmp_path: Path, tiny_bert: Path) -> Iterator[Index]:
    """Documents of common words and one rare one: BM25 finds it, the vectors of random weights do not."""
    chance = random.Random(0)
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(60):
        words = [*chance.choices(NAMES, k=8), f"word{number}"]
        (folder / f"{number}.txt").write_text(" ".join(words))
    with Index.open(tmp_path / "index", str(tiny_bert)) as index:
        index.add(folder)
        yield index


def judged(folder: Path, relevant: dict[int, int]) -> tuple[Path, Path]:
    """Queries for a document's rare word, and the document that is said to be relevant, by the query's number."""
    chance = random.Random(1)
    queries, qrels = folder / "queries.jsonl", folder / "qrels.tsv"
    queries.write_text(
        "".join(
            json.dumps({"_id": str(asked), "text": f"{' '.join(chance.choices(NAMES, k=3))} word{asked}"}) + "\n"
            for asked in relevant
        )
    )
    qrels.write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{asked}\t{found}.txt\t1\n" for asked, found in relevant.items())
    )
    return queries, qrels


RARE = {number: number for number in range(40)}
CHANCE = dict(zip(range(40), random.Random(2).sample(range(60), 40), strict=True))


def test_every_leg_and_fusion_is_tried_and_weights_sum_to_one() -> None:
    legs = [Leg("dense", "dense", 4), Leg("bm25", "sparse", idf=True), Leg("multi", "multi", 4)]
    tried = list(choices(legs))
    assert len(set(map(repr, tried))) == len(tried)
    assert {way.legs for way in tried} == {
        ("dense",), ("bm25",), ("dense", "bm25"), ("dense", "multi"), ("bm25", "multi"), ("dense", "bm25", "multi"),
    }  # fmt: skip
    assert {way.depth for way in [tried[0], *depths(tried[0])]} == set(DEPTHS)
    assert Choice(("dense", "bm25", "multi")) in tried, "as it is searched without tuning"
    assert {way.legs for way in tried if way.feedback} == {("dense", "bm25"), ("dense", "bm25", "multi")}
    for way in tried:
        assert not way.weights or (set(way.weights) == set(way.legs) and sum(way.weights.values()) == pytest.approx(1))
        assert all(weight > 0 for weight in way.weights.values())


def test_what_would_be_found_is_what_is_found(index: Index, tmp_path: Path) -> None:
    data = of_index(index, *judged(tmp_path, RARE))
    heard = listen(index, data)
    ways = [replace(way, depth=50) for way in choices(index.manifest.legs)][::5]
    assert len(ways) > 3
    assert {bool(way.feedback) for way in ways} == {True, False}
    retrieval = Retrieval(index, None)
    for key in list(heard)[:5]:
        for way in ways:
            kept, scores = fused(heard[key].found, way)
            asked = Request(
                heard[key].query,
                legs=way.legs,
                fusion=way.fusion,
                weights=way.weights or None,
                depth=way.depth,
                feedback=way.feedback,
            )
            found = retrieval.candidates(asked)
            assert heard[key].found.ids[kept].tolist() == found.ids.tolist()
            expected = fused(found, way)[1]
            assert scores == pytest.approx(expected, abs=1e-6)
    retrieval.close()


def test_the_better_leg_is_chosen_and_the_gain_is_held_out(index: Index, tmp_path: Path) -> None:
    data = of_index(index, *judged(tmp_path, RARE))
    told: list[int] = []
    outcome = tune(index, data, listen(index, data), NDCG, tell=told.append)
    assert sum(told) == CHOICES
    assert outcome.better
    assert outcome.choice.legs == ("bm25",) or outcome.choice.weights["bm25"] > 0.4
    assert outcome.interval.low > 0
    assert outcome.after - outcome.before > outcome.interval.low
    assert outcome.queries == len(RARE)
    assert outcome.calibration is not None
    with Searcher(index) as searcher:
        before = {key: [hit.source for hit in searcher.search(text)] for key, text in data.queries.items()}
    index.prefer(outcome.choice, outcome.calibration)
    assert index.manifest.choice == outcome.choice
    assert index.manifest.calibration == (outcome.calibration,)
    with Index.open(index.path) as opened, Searcher(opened) as searcher:
        hits = {key: [hit.source for hit in searcher.search(text)] for key, text in data.queries.items()}
        said = searcher.search(data.queries["0"], legs=["dense"])
        assert set(said[0].legs) == {"dense"}, "what a search says goes before"
    firsts = [sum(Path(found[key][0]).stem == key for key in found) for found in (before, hits)]
    assert firsts[1] > firsts[0]


def test_judgements_by_chance_change_nothing(index: Index, tmp_path: Path) -> None:
    data = of_index(index, *judged(tmp_path, CHANCE))
    outcome = tune(index, data, listen(index, data), NDCG)
    assert not outcome.better


def test_few_queries_are_refused(index: Index, tmp_path: Path) -> None:
    data = of_index(index, *judged(tmp_path, {number: number for number in range(FEWEST - 1)}))
    with pytest.raises(InputError, match=f"at least {FEWEST}"):
        tune(index, data, listen(index, data), NDCG)


def test_many_queries_about_few_documents_are_few(index: Index, tmp_path: Path) -> None:
    about = {number: number % (FEWEST_DOCUMENTS - 1) for number in range(40)}
    data = of_index(index, *judged(tmp_path, about))
    with pytest.raises(InputError, match=f"40 judged queries are about {FEWEST_DOCUMENTS - 1} documents"):
        tune(index, data, listen(index, data), NDCG)


def by(index: Index, data: Data, choice: Choice, wise: "Wise") -> float:
    """nDCG@10 as a search of that kind has it."""
    with Searcher(index, reranker=wise) as searcher:
        run = {
            key: {
                hit.source: -float(place)
                for place, hit in reversed(
                    list(enumerate(searcher.run(Request(text, 100, legs=choice.legs, rerank=choice.read)).hits))
                )
            }
            for key, text in data.queries.items()
        }
    return mean(data.judgements, run, [NDCG])[NDCG]


class Wise:
    """A reranker that knows the rare word; it counts what it reads."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.read = 0

    def score(self, query: str, passages: list[str]) -> np.ndarray:
        self.read += len(passages)
        rare = query.rsplit(maxsplit=1)[-1]
        return np.array([self.sign * (rare in passage.split()) for passage in passages], np.float32)


@pytest.mark.parametrize("sign", [1, -1])
def test_reranking_is_chosen_where_it_pays(
    index: Index, tmp_path: Path, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "choices", lambda legs: [Choice(("dense",))])
    data = of_index(index, *judged(tmp_path, RARE))
    wise = Wise(sign)
    outcome = tune(index, data, listen(index, data), NDCG, rerankers={"wise": wise})
    assert (outcome.choice.rerank == "wise") is (sign == 1)
    assert outcome.better is (sign == 1)
    assert wise.read <= len(RARE) * 60, "no pair is read twice"
    if sign == 1:
        index.prefer(outcome.choice)
        again = tune(index, data, listen(index, data), NDCG, rerankers={"wise": wise})
        assert again.before == pytest.approx(by(index, data, outcome.choice, wise))
        assert not again.better
        with pytest.raises(InputError, match="tuned to the reranker wise"):
            tune(index, data, listen(index, data), NDCG)


def test_the_command(index: Index, tmp_path: Path) -> None:
    queries, qrels = judged(tmp_path, RARE)
    arguments = ["tune", "--queries", str(queries), "--qrels", str(qrels), "--index", str(index.path), "--json"]
    dry = json.loads(CliRunner().invoke(build(), [*arguments, "--dry-run"], catch_exceptions=False).stdout)
    assert dry["better"]
    assert not dry["written"]
    assert Index.open(index.path).manifest.choice is None
    said = json.loads(CliRunner().invoke(build(), arguments, catch_exceptions=False).stdout)
    assert said["written"]
    with Index.open(index.path) as opened:
        assert opened.manifest.choice is not None
        assert list(opened.manifest.choice.legs) == said["choice"]["legs"]
    again = json.loads(CliRunner().invoke(build(), arguments, catch_exceptions=False).stdout)
    assert not again["better"], "it is searched that way already"
