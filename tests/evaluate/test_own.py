"""An index as a data set."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from beige import Index
from beige.errors import InputError
from beige.evaluate.measures import rank
from beige.evaluate.own import of_index
from beige.evaluate.run import Settings, run
from beige.evaluate.systems import System
from beige.evaluate.tasks import part
from beige.search import Searcher
from tests import xlmr_checkpoints

TEXTS = {
    "mills/old.md": "# Old mills\n\nWater turns the wheel of the old mill.\n\n# Rivers\n\nThe river flows over stone.",
    "mills/new.md": "# Engines\n\nAn engine needs no river to turn.",
    "wings.txt": "The flow over a wing makes pressure and heat.",
    "other/wings.txt": "A plate has a boundary layer.",
}


@pytest.fixture
def index(tmp_path: Path, tiny_bert: Path):
    for name, text in TEXTS.items():
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with Index.open(tmp_path / "index", str(tiny_bert)) as index:
        index.add(tmp_path / "docs")
        yield index


def queries(folder: Path, *rows: dict) -> Path:
    path = folder / "queries.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


GOOD = (
    {"_id": "1", "text": "wheel of a mill", "relevant": ["mills/old.md"]},
    {"_id": "2", "text": "pressure over a wing", "relevant": {"docs/wings.txt": 2, "new.md": 0}},
    {"_id": "3", "text": "boundary layer", "relevant": []},
)


def test_sources_may_be_shortened_and_graded(index: Index, tmp_path: Path):
    task = of_index(index, queries(tmp_path, *GOOD))
    docs = tmp_path / "docs"
    assert task.judgements["1"] == {str(docs / "mills/old.md"): 1}
    assert task.judgements["2"] == {str(docs / "wings.txt"): 2, str(docs / "mills/new.md"): 0}
    assert task.remarks == ("1 of 3 queries have no relevant document and score 0",)
    assert len(task.documents) == index.store.count()[1]
    assert set(task.sources.values()) == {str(docs / name) for name in TEXTS}


def test_passages_stand_for_their_documents(index: Index, tmp_path: Path):
    docs = tmp_path / "docs"
    rows = [{"_id": "1", "text": "wheel of a mill"}, {"_id": "2", "text": "not judged"}]
    qrels = tmp_path / "qrels.tsv"
    old = docs / "mills/old.md"
    qrels.write_text(f"query-id\tcorpus-id\tscore\n1\t{old}#0\t0\n1\t{old}#1\t2\n1\tnew.md\t1\n")
    task = of_index(index, queries(tmp_path, *rows), qrels)
    assert task.judgements == {"1": {str(old): 2, str(docs / "mills/new.md"): 1}}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"_id": "1", "text": "x", "relevant": ["gone.md"]}, "line 1: the index has no source 'gone.md'"),
        ({"_id": "1", "text": "x", "relevant": ["wings.txt"]}, "line 1: 2 sources of the index end with 'wings.txt'"),
        ({"_id": "1", "text": "x", "relevant": "wings.txt"}, 'line 1: "relevant" must be a list of sources'),
        ({"_id": "1", "text": "x", "relevant": {"new.md": 0.5}}, 'line 1: "relevant" must be a list of sources'),
        ({"_id": "1", "text": "x"}, 'line 1: "relevant" must be'),
        ({"_id": "1", "text": " ", "relevant": []}, "line 1: the text of '1' is empty"),
        ({"_id": "1", "text": "x", "relevant": {"new.md": 0}}, "no source is relevant to any query"),
    ],
)
def test_lines_that_cannot_be_taken(index: Index, tmp_path: Path, row: dict, says: str):
    with pytest.raises(InputError, match=says):
        of_index(index, queries(tmp_path, row))


def test_the_indexs_own_legs_are_those_of_a_search(index: Index, tmp_path: Path, settings: Settings):
    task = of_index(index, queries(tmp_path, *GOOD))
    used = replace(settings, index=index)
    with Searcher(index) as searcher:
        for spelling, legs in (("dense", ["dense"]), ("bm25", ["bm25"]), ("dense+bm25", ["dense", "bm25"])):
            result = run(System.parse(spelling), task, ("nDCG@10",), used)
            for query, text in task.queries.items():
                sources = [hit.source for hit in searcher.search(text, 100, legs=legs)]
                assert list(result.ranked[query]) == list(dict.fromkeys(sources))
    assert result.cost.bytes_per_vector == 2 * index.manifest.leg("dense").dimension


def test_a_reranker_reads_what_a_search_would_give_it(index: Index, tmp_path: Path, settings: Settings):
    from beige.reranker import Reranker

    task = of_index(index, queries(tmp_path, *GOOD))
    folder = xlmr_checkpoints.tiny_reranker(tmp_path / "tiny-reranker")
    used = replace(settings, index=index)
    result = run(System.parse(f"dense+bm25,rerank={folder}"), task, ("nDCG@10",), used)
    with Searcher(index, reranker=Reranker(folder)) as searcher:
        for query, text in task.queries.items():
            sources = [hit.source for hit in searcher.search(text, 100)]
            assert rank(result.ranked[query]) == list(dict.fromkeys(sources))
    again = run(System.parse(f"dense+bm25,rerank={folder}"), task, ("nDCG@10",), used)
    assert again.ranked == result.ranked


def test_another_model_embeds_the_passages_anew(
    index: Index, tmp_path: Path, settings: Settings, tiny_bert: Path, tiny_mean_bert: Path
):
    task = of_index(index, queries(tmp_path, *GOOD))
    used = replace(settings, index=index)
    same, own = (run(System.parse(str(name)), task, ("nDCG@10",), used) for name in (tiny_bert, "dense"))
    assert {query: list(row) for query, row in same.ranked.items()} == {
        query: list(row) for query, row in own.ranked.items()
    }
    other = run(System.parse(f"{tiny_mean_bert}+bm25"), task, ("nDCG@10",), used)
    assert set(other.ranked["1"]) == {str(tmp_path / "docs" / name) for name in TEXTS}


def test_a_part_of_an_index(index: Index, tmp_path: Path):
    some = part(of_index(index, queries(tmp_path, *GOOD)), queries=1)
    assert "(1 of 3 queries)" in some.name
