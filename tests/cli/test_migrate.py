"""`beige migrate`: another model, judged if wanted, and back."""

import json
from pathlib import Path

import pytest

from beige.index import Index
from beige.search import Searcher

WORDS = "stone river light speed water paper engine wing flow heat plate mountain".split()


@pytest.fixture
def filled(beige, here: Path, tiny_bert: Path) -> list[str]:
    """Queries whose best hits in the index are known."""
    (here / "docs").mkdir()
    for number, word in enumerate(WORDS):
        (here / f"docs/{number}.md").write_text(f"the {word} and the {WORDS[number - 3]} of number {number}")
    beige("index", "docs", "--model", tiny_bert, "--precision", "fp32", "--legs", "dense")
    return [f"{word} of the {WORDS[-1 - number]}" for number, word in enumerate(WORDS)]


def serving() -> str:
    with Index.open() as index:
        return index.manifest.models


def test_there_and_back(beige, filled: list[str], tiny_bert: Path, tiny_mean_bert: Path) -> None:
    done = beige("migrate", "--model", tiny_mean_bert, "--json")
    said = json.loads(done.out)
    assert (done.code, said["serves"], said["swapped"]) == (0, str(tiny_mean_bert), True)
    assert said["documents"]["added"] == len(WORDS)
    assert serving() == str(tiny_mean_bert)
    assert beige("index", "docs").code == 0
    status = json.loads(beige("status", "--json").out)
    assert status["generations"] == {"previous": str(tiny_bert)}
    assert str(tiny_bert) in beige("status").out
    assert beige("migrate", "--rollback").out.startswith(f"{tiny_bert} serves; ")
    assert serving() == str(tiny_bert)
    assert json.loads(beige("migrate", "--finish", "--json").out) == {"dropped": [str(tiny_mean_bert)]}
    assert beige("migrate", "--finish").out == ".beige: dropped nothing\n"
    assert json.loads(beige("status", "--json").out)["generations"] == {}


def test_a_worse_model_does_not_serve(
    beige, here: Path, filled: list[str], tiny_bert: Path, tiny_mean_bert: Path
) -> None:
    with Index.open() as index, Searcher(index) as searcher:
        best = [searcher.search(query, 1)[0].source for query in filled]
    lines = [{"_id": str(n), "text": query} for n, query in enumerate(filled)]
    Path("queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = ["query-id\tcorpus-id\tscore", *(f"{n}\t{source}\t1" for n, source in enumerate(best))]
    Path("qrels.tsv").write_text("\n".join(rows) + "\n")
    command = ("migrate", "--model", tiny_mean_bert, "--queries", "queries.jsonl", "--json")
    done = beige(*command, "--qrels", "qrels.tsv")
    said = json.loads(done.out)
    assert (done.code, said["serves"], said["swapped"]) == (1, str(tiny_bert), False)
    assert (said["measure"], said["difference"] < 0) == ("nDCG@10", True)
    assert serving() == str(tiny_bert)
    refused = beige("migrate", "--model", tiny_bert)
    assert refused.err.endswith("is of " + str(tiny_bert) + " already: name another model\n")
    judged = [line | {"relevant": [f"docs/{n}.md" for n in range(12)]} for n, line in enumerate(lines)]
    Path("queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in judged))
    said = json.loads(beige(*command).out)  # each finds all of them
    assert (said["swapped"], said["difference"], said["tokens"]) == (True, 0, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say what to do"),
        (["--rollback", "--finish"], "say what to do"),
        (["--rollback"], "nothing to return to"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--rollback", "--qrels", "x.tsv"], "--queries"),
    ],
)
def test_errors_are_one_sentence(beige, filled: list[str], options: list[str], said: str) -> None:
    done = beige("migrate", *options)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err
