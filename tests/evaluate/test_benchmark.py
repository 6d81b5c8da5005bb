"""Mteb's tasks, made of local data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beige.cli.evaluate import show
from beige.embedder import Embedder
from beige.errors import InputError, UsageError
from beige.evaluate.benchmark import benchmark, tasks_of
from beige.evaluate.data import read_retrieval
from beige.evaluate.diff import changed
from beige.evaluate.measures import spearman
from beige.evaluate.run import Settings, run
from beige.evaluate.study import publish
from beige.evaluate.systems import parse_all
from tests.evaluate.sets import WORDS

pytestmark = pytest.mark.filterwarnings("ignore")  # mteb and what it imports warn of their own matters


CHANCE = np.random.default_rng(2)
WATERS, WINGS = WORDS[:7], WORDS[7:]


def sentences(words: list[str], number: int) -> list[str]:
    return [" ".join(CHANCE.choice(words, 5)) for _ in range(number)]


def mixed(number: int) -> list[str]:
    """Sentences of two subjects in turn, which share no word."""
    return [text for pair in zip(sentences(WATERS, number), sentences(WINGS, number), strict=True) for text in pair]


ROWS = {
    "Classification": {"text": mixed(20), "label": [0, 1] * 20},
    "Clustering": {"sentences": mixed(20), "labels": [0, 1] * 20},
    "STS": {
        "sentence1": sentences(WORDS, 30),
        "sentence2": sentences(WORDS, 30),
        "score": CHANCE.random(30).tolist(),
    },
    "PairClassification": {
        "sentence1": [sentences(WORDS, 20)],
        "sentence2": [sentences(WORDS, 20)],
        "labels": [[0, 1] * 10],
    },
}
SCORES = {
    "Classification": "accuracy",
    "Clustering": "v_measure",
    "STS": "cosine_spearman",
    "PairClassification": "max_ap",
    "Retrieval": "ndcg_at_10",
}


def task_of(kind: str, load: Callable[[], Any]) -> Any:
    """A task of mteb whose data is here."""
    import mteb.abstasks
    from mteb import TaskMetadata

    class Task(getattr(mteb.abstasks, f"AbsTask{kind}")):
        metadata = TaskMetadata(
            name=f"Local{kind}",
            description="of this test",
            dataset={"path": "nowhere/nothing", "revision": "0"},
            type=kind,
            category="t2c" if kind in {"Classification", "Clustering"} else "t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score=SCORES[kind],
        )
        max_fraction_of_documents_to_embed = None
        max_documents_per_cluster, n_experiments = 32, 2  # quick

        def load_data(self, **_: Any) -> None:
            self.dataset = load()
            self.data_loaded = True

    return Task()


def splits(rows: dict[str, list[Any]]) -> Any:
    from datasets import Dataset, DatasetDict

    return DatasetDict({split: Dataset.from_dict(rows) for split in ("train", "test")})


@pytest.mark.parametrize("kind", ROWS)
def test_tasks_of_every_kind_are_scored(settings: Settings, tiny_bert: Path, kind: str):
    rows = ROWS[kind]
    document = benchmark(parse_all([str(tiny_bert)]), [task_of(kind, lambda: splits(rows))], settings)
    (score,) = document["systems"][str(tiny_bert)]["measures"].values()
    assert document["data"]["name"] == f"mteb: Local{kind}"
    if kind == "STS":
        embedder = Embedder(tiny_bert)
        first, second = (embedder.encode_document(rows[name]).dense for name in ("sentence1", "sentence2"))
        assert score == pytest.approx(spearman((first * second).sum(1), rows["score"]), abs=1e-4)
    else:
        assert (0.6 if kind == "Classification" else 0) < score <= 1


def test_retrieval_gives_what_our_own_run_gives(settings: Settings, tiny_bert: Path, beir: Path):
    """Queries are embedded as queries and documents as documents."""
    from datasets import Dataset

    data = read_retrieval(beir)

    def load() -> Any:
        corpus = [{"id": key, "title": record.title, "text": record.text} for key, record in data.documents.items()]
        queries = [{"id": key, "text": text} for key, text in data.queries.items()]
        relevant = {query: dict(grades) for query, grades in data.judgements.items()}
        split = {"corpus": Dataset.from_list(corpus), "queries": Dataset.from_list(queries), "relevant_docs": relevant}
        return {"default": {"test": split | {"top_ranked": None}}}

    (system,) = parse_all([str(tiny_bert)])
    document = benchmark([system], [task_of("Retrieval", load)], settings)
    (score,) = document["systems"][system.name]["measures"].values()
    assert score == pytest.approx(run(system, data, ["nDCG@10"], settings).mean("nDCG@10"), abs=1e-4)


def test_a_benchmark_stands_for_its_tasks():
    names = [task.metadata.name for task in tasks_of(["NanoBEIR"])]
    assert len(names) == 13
    assert "NanoSciFactRetrieval" in names
    (single,) = tasks_of(["SciFact"])
    assert single.metadata.name == "SciFact"
    with pytest.raises(UsageError, match="neither a task nor a benchmark 'Nothing'"):
        tasks_of(["Nothing"])


def test_several_tasks_have_a_mean_and_a_report(settings: Settings, tiny_bert: Path, tmp_path: Path, capsys):
    """The mean is compared by task; the pages show every task."""
    kinds = ("STS", "Classification")
    names = [str(tiny_bert), f"{tiny_bert},dimensions=8"]
    tasks = [task_of(kind, lambda kind=kind: splits(ROWS[kind])) for kind in kinds]
    document = benchmark(parse_all(names), tasks, settings)
    for system in document["systems"].values():
        mean, *scores = system["measures"].values()
        assert list(system["measures"]) == ["mean", "LocalSTS", "LocalClassification"]
        assert mean == pytest.approx(np.mean(scores))
        low, high = system["intervals"]["mean"]
        assert low == pytest.approx(min(scores))
        assert high == pytest.approx(max(scores))
    (row,) = document["comparisons"]
    assert (row["first"], row["second"], row["measure"]) == (*names, "mean")
    publish(tmp_path / "run", document, {})
    text = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "Task by task" in text
    assert "Query by query" not in text
    assert f"{document['systems'][names[0]]['measures']['LocalSTS']:.4f}" in text
    assert "| LocalSTS | " in (tmp_path / "run" / "report.md").read_text("utf-8")
    with pytest.raises(InputError, match="keeps no answers by query"):
        changed(tmp_path / "run", *names)
    show(document)
    assert "LocalClassification" in capsys.readouterr().out


def test_only_models_are_measured(settings: Settings):
    with pytest.raises(UsageError, match="mteb measures models alone, not bm25"):
        benchmark(parse_all(["bm25"]), [], settings)
