"""Indexes of several legs and models, from the command line."""

import json
import re
from pathlib import Path

import pytest


@pytest.fixture
def docs(here: Path) -> Path:
    (here / "docs").mkdir()
    for name, text in {
        "light": "the speed of light",
        "stone": "a stone in the river",
        "wing": "heat on a wing",
    }.items():
        (here / f"docs/{name}.md").write_text(text)
    return here


def legs_of(said: str) -> list[str]:
    return [leg["name"] for leg in json.loads(said)["manifest"]["legs"]]


def test_m3s_outputs_are_legs(beige, docs: Path, tiny_m3: Path) -> None:
    assert beige("index", "docs", "--model", tiny_m3).code == 0
    assert legs_of(beige("status", "--json").out) == ["dense", "bm25", "sparse"]
    assert beige("index", "docs", "--rebuild", "--legs", "dense,bm25,sparse,multi/2").code == 0
    assert legs_of(beige("status", "--json").out) == ["dense", "bm25", "sparse", "multi"]
    assert beige("index", "docs", "--rebuild").code == 0, "an index that is made anew keeps its legs"
    shown = beige("status").out
    for line in (
        f"dense: dense of {tiny_m3}, 32 dimensions",
        "bm25: words, auto",
        f"sparse: sparse of {tiny_m3}",
        f"multi: multi of {tiny_m3}, 32 dimensions, 2 vectors together",
    ):
        assert line.replace(" ", "") in re.sub(r"\s", "", shown), "long values wrap"
    hits = json.loads(beige("search", "stone river", "--rescore", "2", "--json").out)["hits"]
    assert sum("multi" in hit["legs"] for hit in hits) == 2
    assert all({"dense", "bm25", "sparse"} <= set(hit["legs"]) for hit in hits)
    said = json.loads(beige("search", "the speed of stone", "--legs", "sparse,multi", "--json").out)
    assert {leg for hit in said["hits"] for leg in hit["legs"]} == {"sparse", "multi"}


def test_a_model_beside_another(beige, docs: Path, tiny_bert: Path, tiny_splade: Path) -> None:
    legs = f"dense,bm25,splade=sparse:{tiny_splade}"
    assert beige("index", "docs", "--model", tiny_bert, "--legs", legs).code == 0
    assert beige("index", "docs", "--legs", legs).out.startswith(".beige: 3 unchanged")
    assert beige("index", "docs").out.startswith(".beige: 3 unchanged")
    made = json.loads(beige("status", "--json").out)["manifest"]
    assert [encoder["model"] for encoder in made["encoders"]] == [str(tiny_bert), str(tiny_splade)]
    hits = json.loads(beige("search", "stone", "--json").out)["hits"]
    assert set(hits[0]["legs"]) == {"dense", "bm25", "splade"}
    done = beige("index", "docs", "--legs", "dense,bm25")
    assert done.code == 2
    assert re.search(r"has the legs dense, bm25, splade of .*--rebuild .*--legs dense,bm25 PATH", done.err)


def test_token_vectors_are_computed_within_a_time(beige, docs: Path, tiny_m3: Path) -> None:
    beige("index", "docs", "--model", tiny_m3, "--legs", "dense,bm25")
    hits = json.loads(beige("search", "stone river", "--multi-within", "20s", "--json").out)["hits"]
    assert all("multi" in hit["legs"] for hit in hits)


def test_fusion_and_weights(beige, docs: Path, tiny_bert: Path) -> None:
    beige("index", "docs", "--model", tiny_bert)
    words = json.loads(beige("search", "stone", "--weights", "dense=0, bm25=1", "--json").out)["hits"]
    assert [hit["score"] for hit in words] == [1, 0, 0]
    ranks = json.loads(beige("search", "stone", "--fusion", "reciprocal", "--json").out)["hits"]
    assert ranks[0]["score"] == pytest.approx(sum(1 / (60 + leg["rank"]) for leg in ranks[0]["legs"].values()), 1e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "x", "--legs", "splade"], "no leg 'splade'; the index has dense, bm25"),
        (["search", "x", "--weights", "dense"], "--weights 'dense' is not understood: write LEG=WEIGHT"),
        (["search", "x", "--weights", "sparse=1"], "a weight for sparse"),
        (["search", "x", "--fusion", "sum"], "no fusion 'sum'; there are: convex, reciprocal"),
        (["search", "x", "--rescore", "0"], "from 1 to 1000 candidates can be rescored, not 0"),
        (["search", "x", "--multi-within", "soon"], "--multi-within must be a time such as 300ms or 2s, not 'soon'"),
        (["search", "x", "--multi-within", "0s"], "token vectors need some time"),
        (["search", "x", "--multi-within", "1s"], "token vectors cannot be computed: none are given by"),
        (["index", "docs", "--legs", "dense,colour"], "the leg 'colour' is not understood: write bm25, dense"),
        (["index", "docs", "--rebuild", "--legs", "multi"], "gives no output 'multi' for the leg 'multi', only dense"),
        (["index", "docs", "--rebuild", "--legs", ","], "an index needs a leg"),
    ],
)
def test_errors_are_one_sentence(beige, docs: Path, tiny_bert: Path, arguments: list[str], said: str) -> None:
    beige("index", "docs", "--model", tiny_bert)
    done = beige(*arguments)
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(rf"beige: .*{re.escape(said)}.*\n", done.err)
