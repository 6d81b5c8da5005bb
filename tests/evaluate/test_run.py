"""Systems on data sets: local models, sentence-transformers, providers, rerankers; what a run costs; what it says."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beige.embedder import Embedder
from beige.errors import InputError, ModelNotFoundError, RemoteError, UsageError
from beige.evaluate.cache import Cache
from beige.evaluate.data import Pairs, Retrieval, read_retrieval
from beige.evaluate.local import Local, Sentences
from beige.evaluate.measures import Measure, mean, spearman
from beige.evaluate.prices import Budget
from beige.evaluate.run import Settings, comparisons, measures_of, rankings, run
from beige.evaluate.study import study
from beige.evaluate.systems import Model, System, parse_all
from beige.evaluate.tasks import rerank_set
from beige.models.checkpoint import Checkpoint, open_folder
from beige.search.request import READ
from tests import xlmr_checkpoints
from tests.evaluate import providers, sets

MEASURES = ("nDCG@10", "R@100", "RR@10")


@pytest.fixture
def task(beir: Path) -> Retrieval:
    return read_retrieval(beir)


def measured(spelling: str | Path, task: Retrieval | Pairs, settings: Settings, measures=MEASURES):
    return run(System.parse(str(spelling)), task, measures, settings)


def test_a_local_model_ranks_by_its_own_cosines(task: Retrieval, settings: Settings, tiny_bert: Path):
    result = measured(tiny_bert, task, settings)
    embedder = Embedder(tiny_bert)
    documents = embedder.encode_document([record.whole for record in task.documents.values()]).dense
    queries = embedder.encode_query(list(task.queries.values())).dense
    cosines = queries @ documents.T
    keys = list(task.documents)
    whole = {
        query: dict(zip(keys, row.astype(float).tolist(), strict=True))
        for query, row in zip(task.queries, cosines, strict=True)
    }
    figures = mean(task.judgements, whole, [Measure.parse(name) for name in MEASURES])
    for measure, figure in figures.items():
        assert result.mean(str(measure)) == pytest.approx(figure, abs=0.02)
    assert result.cost.tokens == embedder.encode_document([r.whole for r in task.documents.values()]).tokens.sum()
    assert result.cost.bytes_per_vector == 4 * embedder.dimension
    assert result.cost.dollars is None
    assert result.cost.latency_p50_ms > 0


def test_sentence_transformers_on_the_same_folder_gives_the_same(task: Retrieval, settings: Settings, tiny_bert: Path):
    ours = measured(tiny_bert, task, settings)
    theirs = measured(f"st:{tiny_bert}", task, settings)
    plain = measured(f"{tiny_bert},instruction=none", task, settings)
    assert {name: theirs.mean(name) for name in MEASURES} == pytest.approx(
        {name: plain.mean(name) for name in MEASURES}, abs=0.02
    )
    assert theirs.cost.tokens == ours.cost.tokens
    assert theirs.cost.precision == "fp32"
    assert ours.cost.precision == Embedder(tiny_bert).precision


def test_sentence_transformers_runs_the_folder_of_a_model_of_the_catalogue(
    settings: Settings, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
):
    def pulled(name: str) -> Checkpoint:
        assert name == "all-MiniLM-L6-v2"
        return open_folder(tiny_bert)

    monkeypatch.setattr("beige.evaluate.local.open_checkpoint", pulled)
    found = Sentences(Model("st", "sentence-transformers/all-MiniLM-L6-v2")).encode(["water"], "document")
    assert np.allclose(found.vectors, Sentences(Model("st", str(tiny_bert))).encode(["water"], "document").vectors)


@pytest.mark.parametrize("kind", [Local, Sentences])
def test_how_a_query_is_written_names_its_own_space(tiny_bert: Path, kind: type):
    runner = {Local: "beige", Sentences: "st"}[kind]
    spaces = {
        instruction: kind(Model(runner, str(tiny_bert), instruction=instruction)).space("query")
        for instruction in ("", "ab", "a{text}b", "ab{text}")
    }
    assert spaces["ab"] == spaces["ab{text}"]
    assert len({spaces[""], spaces["ab"], spaces["a{text}b"]}) == 3


def test_words_need_no_model(task: Retrieval, settings: Settings):
    result = measured("bm25", task, settings)
    assert result.mean("nDCG@10") > 0.5
    assert result.cost.tokens is None
    assert result.cost.bytes_per_vector is None


def test_a_composition_has_both_legs(task: Retrieval, settings: Settings, tiny_bert: Path):
    both, dense, words = (measured(name, task, settings) for name in (f"{tiny_bert}+bm25", tiny_bert, "bm25"))
    assert dense.mean("nDCG@10") < both.mean("nDCG@10") < words.mean("nDCG@10")  # the model is a random one
    assert both.cost.tokens == dense.cost.tokens


def test_variants_share_the_vectors(task: Retrieval, settings: Settings, provider: providers.State):
    base = f"{provider.url}/v1#m"
    names = [base, f"{base},vectors=int8", f"{base},vectors=binary", f"{base},dimensions=8,vectors=float16"]
    results = [run(System.parse(name), task, MEASURES, settings) for name in names]
    assert [result.cost.bytes_per_vector for result in results] == [96, 28, 3, 16]
    assert len(provider.texts) == len(set(provider.texts))
    assert results[1].mean("nDCG@10") == pytest.approx(results[0].mean("nDCG@10"), abs=0.05)


def test_a_provider_costs_what_its_tokens_cost(task: Retrieval, cache: Cache, provider: providers.State):
    settings = Settings(cache, budget=Budget(1.0))
    result = run(System.parse("openai:text-embedding-3-small"), task, MEASURES, settings)
    tokens = sum(len(text.split()) + 2 for text in provider.texts)
    assert result.cost.dollars == pytest.approx(0.02 * tokens / 1e6)
    assert settings.budget.spent == pytest.approx(0.02 * tokens / 1e6)
    assert result.remarks == ("text-embedding-3-small may have cut long documents: its provider does not say so",)
    again = Settings(cache, budget=Budget(0.0))
    repeated = run(System.parse("openai:text-embedding-3-small"), task, MEASURES, again)
    assert again.budget.spent == 0
    assert repeated.figures == result.figures
    assert repeated.cost.dollars == result.cost.dollars
    assert repeated.cost.tokens_per_second == result.cost.tokens_per_second


def test_truncation_is_told(settings: Settings, tmp_path: Path, tiny_bert: Path):
    folder = sets.write_set(tmp_path / "long", {"d": ("", "water " * 600)}, {"q": "water"}, {"q": {"d": 1}})
    result = measured(tiny_bert, read_retrieval(folder), settings)
    assert any("1 documents were cut to the length" in remark for remark in result.remarks)


def test_unanswered_queries_count_as_zero_and_are_told(settings: Settings, tmp_path: Path):
    folder = sets.write_set(
        tmp_path / "s",
        {"d": ("", "water"), "e": ("", "fire")},
        {"q": "water", "r": "xyzzy"},
        {"q": {"d": 1}, "r": {"e": 1}},
    )
    result = measured("bm25", read_retrieval(folder), settings)
    assert result.mean("nDCG@10") == 0.5
    assert result.remarks == ("1 of 2 queries found nothing and score 0",)


def test_a_reranker_is_asked_once_for_each_pair(task: Retrieval, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    import beige.reranker

    asked: list[tuple[str, str]] = []

    class Counting:
        """Prefers documents that share many words with the query."""

        def __init__(self, name: str) -> None:
            self.checkpoint = type("C", (), {"name": name, "fingerprint": "f"})
            self.precision = "fp32"

        def score(self, query, passages):
            asked.extend((query, passage) for passage in passages)
            return np.array(
                [sum(word in passage.split() for word in query.split()) for passage in passages], np.float32
            )

    monkeypatch.setattr(beige.reranker, "Reranker", Counting)
    first = measured("bm25,rerank=some", task, settings)
    assert len(asked) <= 1 + len(task.queries) * READ
    before = len(asked)
    again = measured("bm25,rerank=some", task, settings)
    assert len(asked) == before + 1  # the warm-up alone
    assert again.ranked == first.ranked
    assert again.cost.latency_p50_ms == pytest.approx(first.cost.latency_p50_ms, rel=0.9)


def test_a_real_reranker_orders_what_was_found(task: Retrieval, settings: Settings, tmp_path: Path):
    from beige.reranker import Reranker

    folder = xlmr_checkpoints.tiny_reranker(tmp_path / "tiny-reranker")
    plain, reranked = measured("bm25", task, settings), measured(f"bm25,rerank={folder}", task, settings)
    reranker = Reranker(folder)
    for query, row in reranked.ranked.items():
        assert set(row) == set(plain.ranked[query])
        first, *_ = row
        best = list(plain.ranked[query])[:READ]
        scores = reranker.score(task.queries[query], [task.documents[key].whole for key in best])
        assert row[first] == pytest.approx(scores.max(), abs=1e-4)


def test_a_rerank_set_ranks_all_that_it_is_given(settings: Settings, shared_data: Path):
    task = rerank_set(read_retrieval(shared_data / "rerank" / "noveleval"))
    result = measured("bm25", task, settings, ("nDCG@10",))
    assert {len(row) for row in result.ranked.values()} == {20}
    assert result.mean("nDCG@10") > 0.5


def test_pairs_are_compared_by_their_cosines(settings: Settings, tiny_bert: Path):
    words = sets.WORDS
    first = tuple(f"{a} {b} {c}" for a, b, c in zip(words, words[1:], words[2:], strict=False))
    second = tuple(f"{a} {c}" for a, c in zip(words, words[2:], strict=False))
    pairs = Pairs("pairs.csv", first, second, np.random.default_rng(1).random(len(first)))
    result = run(System.parse(str(tiny_bert)), pairs, ("Spearman", "Pearson"), settings)
    embedder = Embedder(tiny_bert)
    cosines = (embedder.encode_document(list(first)).dense * embedder.encode_document(list(second)).dense).sum(1)
    assert result.mean("Spearman") == pytest.approx(spearman(cosines, pairs.scores), abs=1e-6)
    with pytest.raises(UsageError, match="only a model alone can compare, not bm25"):
        run(System.parse("bm25"), pairs, ("Spearman",), settings)
    same = Pairs("same.csv", ("a", "b"), ("a", "b"), np.array([1.0, 2.0]))
    with pytest.raises(InputError, match="equally alike"):
        run(System.parse(str(tiny_bert)), same, ("Spearman",), settings)


def test_measures_by_name(task: Retrieval):
    pairs = Pairs("p.csv", ("a",), ("b",), np.array([1.0]))
    assert measures_of(task, []) == MEASURES
    assert measures_of(task, ["AP", "P@5", "AP"]) == ("AP", "P@5")
    assert measures_of(pairs, []) == ("Spearman", "Pearson")
    with pytest.raises(UsageError, match="is not a measure"):
        measures_of(task, ["ndcg"])
    with pytest.raises(UsageError, match="Spearman is a measure of pairs"):
        measures_of(task, ["Spearman"])
    with pytest.raises(UsageError, match="'nDCG@10' is no measure of pairs"):
        measures_of(pairs, ["nDCG@10"])


def test_the_ranking_is_as_deep_as_the_measure(settings: Settings, tmp_path: Path, tiny_bert: Path):
    task = read_retrieval(sets.write(tmp_path / "deep", documents=150, queries=2))
    assert measured(tiny_bert, task, settings, ("R@150",)).mean("R@150") == 1.0


def test_every_pair_is_compared_on_every_measure(task: Retrieval, settings: Settings, tiny_bert: Path):
    results = [measured(name, task, settings) for name in ("bm25", tiny_bert, f"{tiny_bert}+bm25")]
    rows = comparisons(results, MEASURES)
    assert len(rows) == 9
    for row in rows:
        assert row.wins + row.ties + row.losses == len(task.queries)


@pytest.mark.parametrize(
    ("spelling", "error", "says"),
    [
        ("dense", UsageError, "an index's own vectors"),
        ("no-such-model", ModelNotFoundError, "no model is called"),
        ("st:/no/such/folder", ModelNotFoundError, "sentence-transformers cannot open"),
        ("openai:text-embedding-3-small", RemoteError, "OPENAI_API_KEY"),
    ],
)
def test_what_cannot_run_is_told(
    task: Retrieval, settings: Settings, monkeypatch: pytest.MonkeyPatch, spelling: str, error: type, says: str
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(error, match=says):
        measured(spelling, task, settings)


@pytest.mark.parametrize("last", ["no-such-model", "bm25,rerank=no-such-model", "dense"])
def test_what_is_missing_is_told_before_anything_is_paid_for(
    task: Retrieval, settings: Settings, provider: providers.State, last: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises((ModelNotFoundError, UsageError)):
        study(task, parse_all([f"{provider.url}/v1#m", last]), (), settings)
    assert provider.asked == []


def test_rankings_without_judgements(task: Retrieval, settings: Settings):
    found = rankings(System.parse("bm25"), task, settings)
    assert list(found) == list(task.queries)


def test_a_killed_run_pays_for_nothing_twice(beir: Path, provider: providers.State):
    """The command is killed by the third request, then repeated."""
    command = [
        sys.executable,
        "-c",
        "from beige.cli import main; main()",
        "evaluate",
        str(beir),
        "--system",
        f"{provider.url}/v1#m",
        "--json",
    ]
    provider.kill_after = 3
    provider.victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert provider.victim.wait(60) < 0
    provider.kill_after = None
    kept = [text for body in provider.asked[:2] for text in body["input"]]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert '"nDCG@10"' in done.stdout
    assert {provider.texts.count(text) for text in kept} == {1}  # only the answer that nobody was there to keep is lost
    before = len(provider.texts)
    subprocess.run(command, capture_output=True, check=True)
    assert len(provider.texts) == before
