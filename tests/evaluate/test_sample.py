"""Queries drawn from an index."""

import itertools
from pathlib import Path

import pytest

from beige.documents.chunk import Locator
from beige.errors import InputError, RemoteError, UsageError
from beige.evaluate.data import read_retrieval, read_unjudged
from beige.evaluate.sample import CAVEAT, candidates, sample, save
from beige.evaluate.study import read
from beige.evaluate.writer import writer
from beige.index.store import Passage
from tests.evaluate import providers

LONG = "Water flows over the stones of the river and turns the wheel of the old mill all day long, summer and winter."
NUMBERS = itertools.count(1)


def passage(text: str, source: str = "a.md", position: int = 0, headings: tuple[str, ...] = ()) -> Passage:
    return Passage(next(NUMBERS), source, position, text, Locator(0, len(text), 1, 1, None, headings), "markdown")


def test_each_kind_of_query_is_held_out_of_its_passage():
    given = passage(
        f"# Turning the old wheel\nWhy does the wheel turn at night? {LONG} A mill is a house with a wheel.",
        headings=("Mills", "Turning the old wheel"),
    )
    found = {candidate.kind: candidate for candidate in candidates("k", given)}
    assert {kind: candidate.query for kind, candidate in found.items()} == {
        "heading": "Turning the old wheel",
        "question": "Why does the wheel turn at night?",
        "definition": "What is mill?",
    }
    for candidate in found.values():
        held = "A mill is a house" if candidate.kind == "definition" else candidate.query
        assert held not in candidate.record.text
        assert LONG in candidate.record.text
    assert found["heading"].record.title == "Mills"


def test_chinese_definitions_and_questions():
    body = "水流过石头，转动古老的水车。" * 8
    given = passage(f"水车是一种利用水力的机械。{body}\n为什么水车在夜里转动？")
    assert {candidate.query for candidate in candidates("k", given)} == {"水车是什么？", "为什么水车在夜里转动？"}


@pytest.mark.parametrize(
    "text",
    [
        f"Why is it torn \ud800 so? {LONG}",
        "Why?",
        "It is a mill.",
        "This is the way.",
        "| why is that so? | because |",
        "Short. Why does the wheel turn?",
    ],
)
def test_what_makes_no_query(text: str):
    assert list(candidates("k", passage(text))) == []


def test_a_heading_that_other_passages_keep_is_no_query():
    several = [passage(LONG, position=number, headings=("The old mill wheel",)) for number in range(2)]
    alone = passage(LONG, "b.md", headings=("A new mill wheel",))
    task = sample([*several, alone], 10)
    assert list(task.queries.values()) == ["A new mill wheel"]
    assert len(task.documents) == 3


def test_a_query_with_two_answers_is_left_out():
    asked = "Why does the wheel turn at night?"
    passages = [
        passage(f"{asked} {LONG}", "a.md"),
        passage(f"{asked} {LONG}", "b.md"),
        passage(f"Who built it at last? {LONG}", "c.md"),
    ]
    assert list(sample(passages, 10).queries.values()) == ["Who built it at last?"]


def test_kinds_take_turns_and_a_passage_gives_one():
    questions = [passage(f"Why does wheel {number} turn at night? {LONG}", f"q{number}") for number in range(20)]
    headings = [passage(LONG, f"h{number}", headings=(f"The mill number {number}",)) for number in range(3)]
    task = sample([*questions, *headings], 8)
    kinds = [key.partition("-")[2] for key in task.queries]
    assert (kinds.count("heading"), kinds.count("question")) == (3, 5)
    answers = [key for grades in task.judgements.values() for key in grades]
    assert len(set(answers)) == 8
    assert sample([*questions, *headings], 8).queries.keys() == task.queries.keys()


def test_a_set_is_saved_with_its_caveat_and_read_again(tmp_path: Path):
    passages = [
        passage(f"Why does wheel {number} turn at night? {LONG} Torn \ud800.", f"{number}.md") for number in range(3)
    ]
    task = sample(passages, 2)
    save(task, tmp_path / "set")
    again = read(tmp_path / "set")
    assert again.queries == task.queries
    assert again.judgements == task.judgements
    assert dict(again.documents) == dict(task.documents)
    assert again.remarks == (CAVEAT,)
    with pytest.raises(UsageError, match="is not empty"):
        save(task, tmp_path / "set")
    assert read_unjudged(tmp_path / "set", "judged").judgements == {key: {} for key in task.queries}


def test_an_index_without_queries():
    with pytest.raises(InputError, match="no passage of the index has a heading"):
        sample([passage("short")], 5)
    with pytest.raises(UsageError, match="at least one query, not 0"):
        sample([passage("short")], 0)


def test_a_language_model_writes_what_is_missing(provider: providers.State):
    from contextlib import ExitStack

    passages = [passage(LONG, f"{number}.md") for number in range(4)]
    with ExitStack() as stack:
        task = sample(passages, 3, writer(f"{provider.url}/v1#chatty", stack))
    assert set(task.queries) == {"1-written", "2-written", "3-written"}
    assert all(text == "What turns the wheel?" for text in task.queries.values())
    assert all(task.documents[key].text == LONG for grades in task.judgements.values() for key in grades)
    body = provider.chats[0]
    assert body["model"] == "chatty"
    assert LONG in body["messages"][0]["content"]


@pytest.mark.parametrize(
    ("said", "says"),
    [({"choices": []}, "no chat completion"), ({"choices": [{"message": {"content": " "}}]}, "wrote nothing")],
)
def test_a_language_model_that_says_nothing(provider: providers.State, said: object, says: str):
    from contextlib import ExitStack

    provider.refusals = [providers.Refusal(200, said)]
    with ExitStack() as stack, pytest.raises(RemoteError, match=says):
        writer(f"{provider.url}/v1#chatty", stack)("text")


def test_only_openais_routes_write():
    from contextlib import ExitStack

    for spelling in ("cohere:command", "bge-m3", "bm25"):
        with ExitStack() as stack, pytest.raises(UsageError, match="write http://host/v1#MODEL or openai:MODEL"):
            writer(spelling, stack)


def test_a_set_of_ones_own_queries_is_read(tmp_path: Path):
    save(sample([passage(f"Why does the wheel turn at night? {LONG}")], 1), tmp_path / "set")
    assert read_retrieval(tmp_path / "set", "sampled").name == "set/sampled"
