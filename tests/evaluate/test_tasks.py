"""Parts, rerank sets, pools of several languages, fingerprints."""

import dataclasses
from pathlib import Path

import pytest

from beige.errors import InputError, UsageError
from beige.evaluate.data import Pairs, Record, Retrieval, read_pairs, read_retrieval
from beige.evaluate.tasks import fingerprint, part, pool, rerank_set


def test_a_part_says_so_and_keeps_every_answer(beir: Path):
    whole = read_retrieval(beir)
    some = part(whole, queries=5, documents=12)
    assert some.name == "waters/test (5 of 20 queries, 12 of 60 documents)"
    assert list(some.queries) == list(some.judgements)
    for query, grades in some.judgements.items():
        assert whole.judgements[query] == grades
        assert set(grades) <= set(some.documents)
    assert some == part(whole, queries=5, documents=12) or some.queries == part(whole, queries=5, documents=12).queries
    assert list(some.documents) == [key for key in whole.documents if key in some.documents]
    assert part(whole) is whole
    assert part(whole, queries=20, documents=60) is whole


def test_judged_documents_are_kept_even_beyond_the_limit(beir: Path):
    assert len(part(read_retrieval(beir), documents=1).documents) == 20


def test_a_part_of_nothing_is_an_error(beir: Path):
    with pytest.raises(UsageError, match="at least one of the queries, not 0"):
        part(read_retrieval(beir), queries=0)


def test_a_rerank_set_ranks_the_judged_alone(shared_data: Path):
    task = rerank_set(read_retrieval(shared_data / "rerank" / "noveleval"))
    assert task.name.endswith("(judged documents alone)")
    assert {len(some) for some in task.candidates.values()} == {20}


def test_a_rerank_set_needs_its_documents():
    task = Retrieval("set/test", {"d": Record("", "x")}, {"q": "?"}, {"q": {"d": 1, "gone": 0}})
    with pytest.raises(InputError, match="query 'q' has the judged document 'gone', which the corpus lacks"):
        rerank_set(task)


def test_queries_of_one_language_on_documents_of_others(shared_data: Path):
    english, german, chinese = (
        read_retrieval(shared_data / "retrieval" / f"xquad_r-{language}") for language in ("en", "de", "zh")
    )
    task = pool(english, [german, chinese])
    assert task.name == "xquad_r-en/test on xquad_r-de/test + xquad_r-zh/test"
    assert len(task.documents) == len(german.documents) + len(chinese.documents)
    assert task.queries == english.queries
    query = next(iter(task.queries))
    assert set(task.judgements[query]) == {*german.judgements[query], *chinese.judgements[query]}


def test_pools_that_do_not_fit():
    one = Retrieval("one/test", {"d": Record("", "x")}, {"q": "?"}, {"q": {"d": 1}})
    other = Retrieval("other/test", {"d": Record("", "y")}, {"p": "?"}, {"p": {"d": 1}})
    with pytest.raises(InputError, match="different documents 'd'"):
        pool(one, [one, other])
    with pytest.raises(InputError, match="none of the queries of one/test is judged in other/test"):
        pool(one, [other])


def test_unjudged_queries_of_a_pool_are_counted():
    one = Retrieval("one/test", {}, {"q": "?", "r": "?"}, {"q": {}, "r": {}})
    other = Retrieval("other/test", {"d": Record("", "y")}, {"q": "?"}, {"q": {"d": 1}})
    assert pool(one, [other]).remarks == ("1 of 2 queries have no judgement in the pool",)


def test_the_fingerprint_sees_texts_and_judgements(beir: Path, shared_data: Path):
    task = read_retrieval(beir)
    seen = {fingerprint(task), fingerprint(part(task, queries=5)), fingerprint(rerank_set(task))}
    first, *_ = task.documents
    documents = {**task.documents, first: Record("", "other")}
    judgements = {**task.judgements, "q0": {"d0": 2}}
    seen.add(fingerprint(dataclasses.replace(task, documents=documents)))
    seen.add(fingerprint(dataclasses.replace(task, judgements=judgements)))
    assert len(seen) == 5
    assert fingerprint(task) == fingerprint(read_retrieval(beir))
    pairs = read_pairs(shared_data / "sts" / "stsb-en-test.csv")
    changed = Pairs(pairs.name, pairs.first, pairs.second, pairs.scores + 1)
    assert fingerprint(pairs) != fingerprint(changed)
