"""`beige rerank`, and `beige embed` with several outputs, as a program sees them."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from beige.cli import embed, rerank
from beige.embedder import Embedder
from beige.errors import UsageError
from beige.reranker import Reranker
from tests import xlmr_checkpoints

LINES = "the speed of light\n\na stone in the river\n" + "paper " * 300 + "\n"
OUTPUTS = ("dense", "sparse", "multi")


def app(module: object) -> typer.Typer:
    made = typer.Typer()
    made.command()(module.run)  # type: ignore[attr-defined]
    return made


@pytest.fixture(scope="module")
def m3(tmp_path_factory):
    return xlmr_checkpoints.tiny_m3(tmp_path_factory.mktemp("m3") / "tiny-m3")


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    return xlmr_checkpoints.tiny_reranker(tmp_path_factory.mktemp("reranker") / "tiny-reranker")


def test_rerank_gives_every_passage_in_its_order(reranker):
    query = "what is light?"
    arguments = [query, "-", "--model", str(reranker), "--precision", "fp32", "--json"]
    result = CliRunner().invoke(app(rerank), arguments, input=LINES)
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    scores = Reranker(reranker, precision="fp32").score(query, LINES.splitlines())
    assert np.ptp(scores) > 0.01
    assert found["query"] == query
    assert [one["index"] for one in found["results"]] == np.argsort(-scores, kind="stable").tolist()
    assert {one["index"]: one["truncated"] for one in found["results"]} == {0: False, 1: False, 2: False, 3: True}
    for one in found["results"]:
        assert one["score"] == pytest.approx(scores[one["index"]], abs=1e-4)
    assert "passages cut to the model's length: 1 of 4" in result.stderr


def test_rerank_gives_the_best_and_says_it_in_a_table(reranker):
    arguments = ["light", "-", "--model", str(reranker), "--limit", "2", "--normalise"]
    result = CliRunner().invoke(app(rerank), arguments, input=LINES)
    assert result.exit_code == 0
    shown = [line.split() for line in result.stdout.splitlines() if line.strip()[:2] == "0."]
    scores = Reranker(reranker).score("light", LINES.splitlines(), normalise=True)
    assert [int(cells[1]) - 1 for cells in shown] == np.argsort(-scores, kind="stable")[:2].tolist()


def test_embed_gives_every_output_and_its_words(m3):
    arguments = ["-", "--model", str(m3), "--precision", "fp32", "--outputs", ",".join(OUTPUTS), "--explain"]
    result = CliRunner().invoke(app(embed), arguments, input=LINES)
    assert result.exit_code == 0
    embedder = Embedder(m3, precision="fp32")
    for line, one in zip(result.stdout.splitlines(), embedder.encode(LINES.splitlines(), outputs=OUTPUTS), strict=True):
        record = json.loads(line)
        assert np.abs(np.array(record["dense"]) - one.dense).max() < 1e-5
        assert record["sparse"]["ids"] == one.sparse.ids.tolist()
        assert np.abs(np.array(record["sparse"]["weights"]) - one.sparse.weights).max(initial=0) < 1e-5
        assert np.abs(np.array(record["multi"]) - one.multi).max() < 1e-5
        assert record["words"].keys() == embedder.words(one.sparse).keys()


def test_parquet_holds_outputs_as_lists(m3, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    target = tmp_path / "out.parquet"
    arguments = ["-", "--model", str(m3), "--precision", "fp32", "--outputs", "sparse,multi", "--output", str(target)]
    assert CliRunner().invoke(app(embed), arguments, input=LINES).exit_code == 0
    rows = parquet.read_table(target).to_pylist()
    expected = Embedder(m3, precision="fp32").encode(LINES.splitlines(), outputs=("sparse", "multi"))
    assert set(rows[0]) == {"index", "sparse", "multi", "tokens", "truncated"}
    for row, one in zip(rows, expected, strict=True):
        assert row["sparse"]["ids"] == one.sparse.ids.tolist()
        assert np.abs(np.array(row["multi"]) - one.multi).max() < 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--outputs", "sparse", "--output", "x.npy"], "an npy file holds dense vectors alone"),
        (["--outputs", "dense,colbert"], "gives no output 'colbert', only dense, sparse, multi"),
        (["--explain"], "--explain shows the tokens of the sparse output"),
    ],
)
def test_outputs_that_cannot_be_given_are_refused(m3, options, message):
    result = CliRunner().invoke(app(embed), ["-", "--model", str(m3), *options], input="light\n")
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
