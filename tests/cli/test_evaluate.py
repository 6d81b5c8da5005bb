"""`beige evaluate` and the commands below it, as a person and as a program sees them."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from beige.evaluate.data import read_retrieval
from tests import checkpoints
from tests.cli.conftest import Done
from tests.evaluate import sets

Beige = Callable[..., Done]

PAGE = """# Turning the old wheel

Water flows over the stones of the river and turns the wheel of the old mill all day long, in summer and in winter.

# Building a new engine

Why does an engine need heat and pressure? It burns paper, and its parts move with the speed of light over the plate.
"""


@pytest.fixture
def data(here: Path) -> Path:
    return sets.write(here / "waters")


@pytest.fixture
def index(here: Path, beige: Beige, tiny_bert: Path) -> Path:
    (here / "docs").mkdir()
    (here / "docs" / "page.md").write_text(PAGE)
    assert beige("index", "docs", "--model", tiny_bert).code == 0
    return here / ".beige"


def test_the_shape_of_the_json(beige: Beige, data: Path, tiny_bert: Path):
    done = beige("evaluate", data, "--system", "bm25", "--system", tiny_bert, "--measure", "nDCG@10", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert list(document["systems"]) == ["bm25", str(tiny_bert)]
    assert set(document["systems"]["bm25"]["measures"]) == {"nDCG@10"}
    assert "latency_p50_ms" in document["systems"]["bm25"]["cost"]
    (comparison,) = document["comparisons"]
    assert {"first", "second", "measure", "difference", "interval", "p", "adjusted", "wins", "ties", "losses"} <= set(
        comparison
    )
    assert document["data"]["name"] == "waters/test"
    assert document["command"].startswith("beige evaluate ")
    assert document["command"].endswith("--json")


def test_a_table_for_a_person(beige: Beige, data: Path, here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "100")
    done = beige("evaluate", data, "--system", "bm25", "--limit-queries", "5", "--output", "run")
    assert done.code == 0, done.err
    assert "Evaluation on waters/test (5 of 20 queries): 5 queries, 60 documents" in done.out
    assert "█" in done.out
    assert "the report: run/report.html" in done.out
    assert {path.name for path in (here / "run").iterdir()} == {"report.html", "report.md", "report.json", "queries"}


@pytest.mark.parametrize("width", ["80", "120"])
def test_no_figure_is_cut(beige: Beige, data: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, width: str):
    monkeypatch.setenv("COLUMNS", width)
    systems = [str(tiny_bert), f"{tiny_bert},vectors=binary"]
    arguments = ("evaluate", data, "--system", systems[0], "--system", systems[1])
    figures = json.loads(beige(*arguments, "--json").out)["systems"]
    shown = beige(*arguments).out
    assert "…" not in shown
    assert max(map(len, shown.splitlines()[1:-1])) <= int(width)
    for name in systems:
        for measure, figure in figures[name]["measures"].items():
            assert f" {figure:.4f}" in shown, measure
        assert "{:.3f} – {:.3f}".format(*figures[name]["intervals"]["nDCG@10"]) in shown


def test_remarks_and_marks_are_told(beige: Beige, data: Path):
    with (data / "qrels" / "test.tsv").open("a") as file:
        file.write("q1\tgone\t1\n")
    done = beige("evaluate", data, "--system", "bm25")
    assert "1 of 21 judgements name documents that the corpus lacks" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "measure on one thing"),
        (("waters", "--mteb", "SciFact"), "measure on one thing"),
        (("--mteb", "SciFact", "--measure", "AP"), "--measure has no meaning with --mteb"),
        (("--index", "x", "--queries", "q.jsonl", "--split", "test"), "--split has no meaning with --index"),
        (("nowhere",), "there is no data at nowhere"),
        (("waters", "--queries", "q.jsonl"), "--index and --queries go together"),
        (("waters", "--system", "bm25", "--system", "bm25"), "bm25 stands twice"),
        (("waters", "--system", "dense"), "an index's own vectors"),
        (("waters", "--measure", "ndcg"), "'ndcg' is not a measure"),
        (("waters", "--split", "train"), "has no judgements 'train'"),
        (("waters", "--price", "x"), "--price x: write MODEL=DOLLARS"),
        (("waters", "--price", "x=-1"), "must be dollars for a million tokens"),
        (("waters", "--language", "klingon"), "no stemmer for the language 'klingon'"),
        (("pairs.csv", "--only-judged"), "pairs of sentences, which cannot be pooled"),
        (("waters", "--documents", "pairs.csv"), "--documents takes BEIR folders"),
        (("waters", "--output", "pairs.csv"), "pairs.csv cannot be written"),
        (("diff", "a", "b"), "no run is kept yet"),
        (("diff", "a", "b", "--run", "waters"), "waters holds no run"),
        (("judge", "nowhere"), "nowhere/corpus.jsonl cannot be read"),
        (("sample", "--output", "set"), "no index"),
    ],
)
def test_what_is_wrong_is_one_sentence(beige: Beige, data: Path, here: Path, arguments: tuple, says: str):
    (here / "pairs.csv").write_text("a,b,1\nc,d,2\n")
    done = beige("evaluate", *arguments, *(("--system", "bm25") if arguments and arguments[0] == "waters" else ()))
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err


def test_help_names_the_commands_below(beige: Beige, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "120")
    whole = beige("evaluate", "--help")
    assert whole.code == 0
    assert "--system" in whole.out
    assert "sample, judge, diff, gate" in whole.out
    assert "itself" not in whole.out
    for name in ("sample", "judge", "diff", "gate"):
        assert f"beige evaluate {name}" in beige("evaluate", name, "--help").out
    assert "No such option" in beige("evaluate", "--bad").err
    assert "evaluate" in beige("--help").out


def test_a_folder_may_have_a_commands_name(beige: Beige, here: Path):
    sets.write(here / "sample")
    done = beige("evaluate", "./sample", "--system", "bm25", "--json")
    assert json.loads(done.out)["data"]["name"] == "sample/test"


def test_the_difference_of_two_systems(beige: Beige, data: Path, tiny_bert: Path):
    beige("evaluate", data, "--system", "bm25", "--system", tiny_bert, "--output", "run")
    for run in ((), ("--run", "run")):
        beige("evaluate", data, "--system", "bm25", "--system", tiny_bert)
        done = beige("evaluate", "diff", "bm25", tiny_bert, *run, "--limit", "2", "--json")
        found = json.loads(done.out)
        assert found["measure"] == "nDCG@10"
        assert len(found["queries"]) == 2
        assert found["queries"][0]["first"]["hits"]
    shown = beige("evaluate", "diff", "bm25", tiny_bert, "--limit", "1").out
    assert found["queries"][0]["first"]["text"] in shown
    assert "relevant d" in shown


def test_from_an_index_to_judgements(
    beige: Beige, index: Path, here: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
):
    done = beige("evaluate", "sample", "--output", "set", "--json")
    found = json.loads(done.out)
    assert (found["output"], found["queries"], found["documents"]) == ("set", 2, 2)
    assert sum(found["kinds"].values()) == 2
    assert "next: beige evaluate again" in beige("evaluate", "sample", "--output", "again").out
    figures = json.loads(beige("evaluate", "set", "--system", "bm25", "--json").out)
    (remark,) = figures["data"]["remarks"]
    assert "it does not measure how good one is" in remark
    monkeypatch.setattr("sys.stdin", io.StringIO("y\nn\ns\nq\n"))
    done = beige("evaluate", "judge", "set", "--system", "bm25", "--system", tiny_bert)
    assert "2 judgements added to set/qrels/judged.tsv" in done.out
    assert "bm25" not in done.out.replace("set/qrels", "")  # who found it is not said
    assert len(read_retrieval(here / "set", "judged").judgements) >= 1
    monkeypatch.setattr("sys.stdin", io.StringIO(""))  # the end of the input stops it
    assert "0 judgements added" in beige("evaluate", "judge", "set", "--system", "bm25").out


def test_an_index_by_its_own_queries(beige: Beige, index: Path, here: Path):
    (here / "q.jsonl").write_text('{"_id": "1", "text": "wheel of the mill", "relevant": ["docs/page.md"]}\n')
    done = beige("evaluate", "--index", index, "--queries", "q.jsonl", "--json")
    assert list(json.loads(done.out)["systems"]) == ["dense", "bm25", "dense+bm25"]


def test_the_gate_answers_yes_or_no(beige: Beige, here: Path, tmp_path: Path):
    model = checkpoints.tiny_bert(tmp_path / "model")
    data = sets.write(here / "many", documents=80, queries=50)
    yes = beige("evaluate", "gate", model, data, "--tolerance", "0.9")
    assert yes.code == 0
    assert yes.out.startswith("yes: nDCG@10 ")
    assert str(model / "beige-gates.json") in yes.err.replace("\n", "")
    found = json.loads(beige("evaluate", "gate", model, data, "--tolerance", "0.9", "--json").out)
    assert found["passed"] is True
    assert set(found["figures"]) == {"int8", "fp32"}


def test_the_gate_draws_queries_from_an_index(beige: Beige, index: Path, tiny_bert: Path):
    done = beige("evaluate", "gate", tiny_bert)
    assert done.code == 2
    assert "sampled has 2 queries, and a verdict takes 50" in done.err
