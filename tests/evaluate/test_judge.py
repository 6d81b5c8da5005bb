"""Judging by hand."""

import random
from pathlib import Path

import pytest

from beige.errors import InputError
from beige.evaluate.data import Record, Retrieval, read_unjudged
from beige.evaluate.judge import judge, pooled
from tests.evaluate import sets

RUNS = [
    {"q": {"a": 3.0, "b": 2.0, "c": 1.0}, "r": {"a": 1.0}},
    {"q": {"d": 9.0, "a": 8.0, "e": 7.0}, "r": {}},
]


def task(judgements=None) -> Retrieval:
    documents = {key: Record("", f"text {key}") for key in "abcde"}
    return Retrieval("t/judged", documents, {"q": "first?", "r": "second?"}, judgements or {"q": {}, "r": {}})


def answers(*keys: str):
    """Gives these keys in turn, and keeps what was asked."""
    waiting, asked = list(keys), []

    def ask(question):
        asked.append((question.query, question.record.text))
        return waiting.pop(0)

    return ask, asked


def test_pools_are_interleaved_and_hold_each_document_once():
    for seed in range(20):
        pool = pooled(RUNS, "q", 3, random.Random(seed))
        assert sorted(pool) == ["a", "b", "c", "d", "e"]
        assert set(pool[:2]) == {"a", "d"}
        assert set(pool[2:3]) == {"b"}
    firsts = {pooled(RUNS, "q", 3, random.Random(seed))[0] for seed in range(20)}
    assert firsts == {"a", "d"}  # neither system comes first always


def test_depth_cuts_every_system():
    assert sorted(pooled(RUNS, "q", 1, random.Random(0))) == ["a", "d"]


def test_every_answer_is_kept_at_once(tmp_path: Path):
    path = tmp_path / "qrels" / "judged.tsv"
    states = []
    waiting = iter(["y", "0", "3", "s", "x", "n", "1"])

    def ask(question):
        states.append(path.read_text().count("\n") - 1 if path.exists() else 0)
        return next(waiting)

    assert judge(task(), RUNS, path, ask) == 5
    assert states == [0, 1, 2, 3, 3, 3, 4]
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    assert [int(grade) for _, _, grade in rows] == [1, 0, 3, 0, 1]


def test_back_and_quit(tmp_path: Path):
    path = tmp_path / "qrels" / "judged.tsv"
    ask, asked = answers("y", "n", "u", "2", "q")
    assert judge(task(), RUNS, path, ask) == 2
    assert asked[1] == asked[3]
    assert [line.split("\t")[2] for line in path.read_text().splitlines()[1:]] == ["1", "2"]


def test_what_is_judged_is_not_asked_again_and_stays(tmp_path: Path):
    path = tmp_path / "qrels" / "judged.tsv"
    ask, asked = answers("n", "n")
    judge(task({"q": {"a": 1, "b": 0, "d": -1}, "r": {"a": 2}}), RUNS, path, ask)
    assert {text for _, text in asked} == {"text c", "text e"}
    kept = {tuple(line.split("\t")) for line in path.read_text().splitlines()[1:]}
    assert {("q", "d", "-1"), ("r", "a", "2"), ("q", "c", "0")} <= kept


def test_a_session_goes_on_where_it_stopped(tmp_path: Path):
    folder = sets.write(tmp_path / "set", documents=6, queries=2)
    data = read_unjudged(folder, "judged")
    runs = [{query: dict.fromkeys(data.documents, 1.0) for query in data.queries}]
    path = folder / "qrels" / "judged.tsv"
    assert judge(data, runs, path, answers("y", "n", "q")[0], depth=3) == 2
    again, asked = answers("n", "n", "n", "n")
    assert judge(read_unjudged(folder, "judged"), runs, path, again, depth=3) == 4
    assert len(asked) == 4
    assert len(path.read_text().splitlines()) == 7


def test_a_place_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        judge(task(), RUNS, tmp_path / "file" / "judged.tsv", answers("y")[0])
