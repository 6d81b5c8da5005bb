"""What is said of results, and what is made of it again."""

import json
import string
from collections.abc import Mapping
from dataclasses import fields

import pydantic_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beige.documents.chunk import Locator
from beige.index.expression import parse
from beige.index.filter import Condition, Not
from beige.search import Hit, Request, Results
from beige.search.hit import LegScore, Matched, Reranked, Sentence
from beige.search.wire import as_answer, as_body, as_whole, results_of

numbers = st.integers(0, 1 << 40)
scores = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(string.ascii_lowercase, min_size=1, max_size=5)
plain = texts | st.integers(-(1 << 60), 1 << 60) | scores | st.booleans()
maybe = lambda strategy: st.none() | strategy  # noqa: E731
several = lambda strategy: st.lists(strategy, max_size=3).map(tuple)  # noqa: E731


def hits(others: st.SearchStrategy[tuple[Hit, ...]]) -> st.SearchStrategy[Hit]:
    return st.builds(
        Hit,
        score=scores,
        source=texts,
        locator=st.builds(Locator, numbers, numbers, numbers, numbers, maybe(numbers), several(texts)),
        text=texts,
        media=names,
        legs=st.dictionaries(
            names,
            st.builds(LegScore, maybe(numbers), scores, several(st.builds(Matched, texts, scores))),
            max_size=2,
        ),
        rank=numbers,
        relevance=maybe(scores),
        reranked=maybe(st.builds(Reranked, maybe(numbers), maybe(scores))),
        highlights=several(st.tuples(numbers, numbers)),
        sentences=several(st.builds(Sentence, numbers, numbers, numbers, numbers)),
        fields=st.dictionaries(texts, plain | st.lists(plain, max_size=2), max_size=2),
        chunks=numbers,
        others=others,
        given=st.booleans(),
    )


results = st.builds(
    Results,
    hits=several(hits(several(hits(st.just(()))))),
    read=numbers,
    late=numbers,
    irrelevant=numbers,
    best_relevance=maybe(scores),
    facets=st.dictionaries(names, st.dictionaries(texts, numbers, max_size=2), max_size=2),
)


@given(results)
def test_whole_results_come_back_as_they_were(found: Results) -> None:
    assert results_of(json.loads(pydantic_core.to_json(as_whole(found)))) == found
    assert results_of(json.loads(json.dumps(as_whole(found)))) == found


@given(results)
def test_what_a_newer_beige_says_besides_is_passed_over(found: Results) -> None:
    def more(value: object) -> object:
        if isinstance(value, Mapping):
            return {name: more(inner) for name, inner in value.items()} | ({"new": 1} if "score" in value else {})
        return [more(inner) for inner in value] if isinstance(value, list | tuple) else value

    assert results_of({**as_whole(found), "hits": [more(hit) for hit in as_whole(found)["hits"]], "new": 1}) == found


@pytest.mark.parametrize("said", [{}, {"hits": 1}, {"hits": [{}]}, {"hits": [1]}, {"hits": []}])
def test_what_are_no_results_is_no_silent_mistake(said: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        results_of(said)


@given(results)
def test_an_answer_says_nothing_that_was_not_asked_for(found: Results) -> None:
    plainly = as_answer(found, Request("q"))
    assert set(plainly) - {"read", "late", "facets"} == {"query", "hits"}
    for hit in plainly["hits"]:
        assert set(hit) - {"reranked"} == {"score", "source", "locator", "text", "legs", "relevance"}
    explained = as_answer(found, Request("q", explain=True, join=True, group=True, min_relevance=0.1))
    for hit in explained["hits"]:
        assert set(hit) >= {"rank", "highlights", "sentences", "chunks", "others"}


def test_the_server_takes_whatever_a_request_can_say() -> None:
    from beige.serve.routes.search import SearchRequest

    assert {one.name for one in fields(Request)} == set(SearchRequest.model_fields) - {"whole", "reranker"}


def test_a_body_says_what_differs_and_the_server_makes_the_same_request_of_it() -> None:
    assert as_body(Request("q")) == {"query": "q"}
    where = Not(Condition("type", "=", ("pdf", "md")))
    request = Request("q", 3, ("bm25",), weights={"bm25": 1.0}, rerank=0, explain=True, filter=where, facets=("type",))
    said = json.loads(json.dumps(as_body(request)))
    assert set(said) < {one.name for one in fields(Request)}
    query, limit = said.pop("query"), said.pop("limit")
    again = Request.of(query, limit, said)
    assert (again.query, again.limit, tuple(again.legs), again.weights) == ("q", 3, ("bm25",), {"bm25": 1.0})
    assert (again.rerank, again.explain, tuple(again.facets)) == (0, True, ("type",))
    assert parse(again.filter) == where
