"""What a search does beyond its legs: reranking, diversity, folding, explanations."""

from pathlib import Path

import numpy as np
import pytest

from beige.errors import UsageError
from beige.index import Index
from beige.search import Request, Searcher
from beige.search.reranking import FIRST
from tests.standin import StandIn

QUERIES = ("boundary layer", "the stone in the river", "zebra", "nothing of the kind")


class Backwards:
    """A reranker that likes what comes late in the alphabet; it notes what it read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def score(self, query: str, passages: list[str]) -> np.ndarray:
        self.read += passages
        return np.array([sum(map(ord, passage)) % 97 for passage in passages], np.float32)


@pytest.fixture
def long_index(tmp_path: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch):
    """Three documents of many chunks each, and the text of each."""
    monkeypatch.chdir(tmp_path)
    sections = ["stone river", "mountain light", "boundary layer", "paper water"]
    texts = {}
    for name in "abc":
        texts[f"{name}.md"] = "".join(
            f"# Part {number}\n\n{name} {sections[number % 4]} begins. The {name} engine of number {number} heats.\n\n"
            for number in range(9)
        )
        (tmp_path / f"{name}.md").write_text(texts[f"{name}.md"])
    with Index.open("long", embedder) as index:
        index.add(*texts)
        yield index, texts


@pytest.mark.parametrize("depth", [1, 7, None])
def test_a_reranker_orders_what_it_read_and_the_rest_follows(index: Index, depth: int | None) -> None:
    reranker = Backwards()
    with Searcher(index) as plain, Searcher(index, reranker=reranker) as searcher:
        before = plain.search("stone river", 65)
        after = searcher.search("stone river", 65, rerank=depth)
    count = 50 if depth is None else depth
    assert reranker.read == [hit.text for hit in before[:count]]
    read = sorted(before[:count], key=lambda hit: -Backwards().score("", [hit.text])[0])  # ties keep their order
    assert [hit.source for hit in after] == [hit.source for hit in [*read, *before[count:]]]
    assert [hit.reranked.rank for hit in after] == [*range(1, count + 1), *[None] * (len(after) - count)]
    assert all((hit.reranked.score is None) == (hit.reranked.rank is None) for hit in after)
    scores = {hit.source: (hit.score, hit.rank) for hit in before}
    assert all((hit.score, hit.rank) == scores[hit.source] for hit in after)
    assert all(hit.reranked is None for hit in before)


def test_what_was_not_read_in_time_says_so(index: Index) -> None:
    with Searcher(index, reranker=Backwards()) as searcher:
        found = searcher.run(Request("stone river", 20, rerank_within=1e-9))
    assert (found.read, found.late) == (FIRST, 50 - FIRST)
    assert [hit.reranked.rank for hit in found.hits] == [1, 2, *[None] * 18]
    assert [hit.rank for hit in found.hits[FIRST:]] == list(range(FIRST + 1, 21))


def test_reranking_can_be_left_out_and_needs_a_reranker(index: Index) -> None:
    with Searcher(index, reranker=Backwards()) as searcher, Searcher(index) as plain:
        assert searcher.search("stone", rerank=0) == plain.search("stone")
        assert plain.search("stone", rerank=0) == plain.search("stone")
        for options in ({"rerank": 5}, {"rerank_within": 0.3}):
            with pytest.raises(UsageError, match="no reranker"):
                plain.search("stone", **options)


def test_a_reranker_sees_the_headings(long_index) -> None:
    index, _ = long_index
    reranker = Backwards()
    with Searcher(index, reranker=reranker) as searcher:
        hits = searcher.search("engine", 5)
    assert set(reranker.read) >= {hit.text for hit in hits}  # the heading stands in these passages already


@pytest.mark.parametrize("query", QUERIES)
def test_no_diversity_is_the_plain_order_and_full_diversity_the_least_alike(index: Index, query: str) -> None:
    with Searcher(index) as searcher:
        plain = searcher.search(query, 65)
        assert searcher.search(query, 65, diversity=0.0) == plain
        varied = searcher.search(query, 65, diversity=1.0)
    assert sorted(hit.source for hit in varied) == sorted(hit.source for hit in plain)
    vectors = index.embedder.encode_document([hit.text for hit in varied]).dense
    cosines = vectors @ vectors.T
    background = cosines.mean()
    assert varied[0] == plain[0]
    assert cosines[0, 1] <= max(background, cosines[0].min()) + 1e-3


def test_copies_are_put_back(index: Index) -> None:
    with Searcher(index) as searcher:
        sources = [hit.source for hit in searcher.search("zebra", 65, diversity=0.5)]
    assert sources[0] == "same-0.txt"
    assert "same-1.txt" not in sources[:5]


def test_diversity_leaves_what_was_not_read_behind(index: Index) -> None:
    with Searcher(index, reranker=Backwards()) as searcher:
        hits = searcher.search("stone river", 30, rerank=10, diversity=0.5)
    assert all(hit.reranked.rank is not None for hit in hits[:10])
    assert [hit.rank for hit in hits[10:]] == list(range(11, 31))


@pytest.mark.parametrize("query", ["stone river", "engine of number 3", "mountain light"])
@pytest.mark.parametrize("limit", [1, 2, 5, 30])
def test_neighbours_are_joined_into_the_documents_own_characters(long_index, query: str, limit: int) -> None:
    index, texts = long_index
    with Searcher(index) as searcher:
        plain = searcher.search(query, 1000)
        joined = searcher.search(query, limit, join=True)
    assert len(joined) <= limit
    for hit in joined:
        where = hit.locator
        assert hit.text == texts[hit.source][where.start : where.end]
        assert where.line_start == texts[hit.source].count("\n", 0, where.start) + 1
        assert where.line_end == texts[hit.source].count("\n", 0, where.end) + 1
        inside = [p for p in plain if p.source == hit.source and where.start <= p.locator.start < where.end]
        assert len(inside) == hit.chunks
        assert max(p.score for p in inside) == hit.score
        marked = {hit.text[start:end].lower() for start, end in hit.highlights}
        assert marked == {p.text[start:end].lower() for p in inside for start, end in p.highlights}
    if limit == 30:
        assert sum(hit.chunks for hit in joined) == len(plain)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_documents_are_grouped_with_their_best_first(long_index, limit: int) -> None:
    index, _ = long_index
    with Searcher(index) as searcher:
        plain = searcher.search("stone river", 1000)
        grouped = searcher.search("stone river", limit, group=True)
    sources = list(dict.fromkeys(hit.source for hit in plain))
    assert [hit.source for hit in grouped] == sources[:limit]
    for hit in grouped:
        own = [one for one in plain if one.source == hit.source]
        assert (hit.locator, hit.score, hit.rank) == (own[0].locator, own[0].score, own[0].rank)
        assert [other.rank for other in hit.others] == [one.rank for one in own[1 : 1 + len(hit.others)]]
    if limit == 3:
        assert sum(1 + len(hit.others) for hit in grouped) == len(plain)


def test_hits_explain_themselves(index: Index) -> None:
    with Searcher(index) as searcher:
        hits = searcher.search("the stone in the RIVER", 65, explain=True)
        plain = searcher.search("the stone in the RIVER", 65)
    for hit, other in zip(hits, plain, strict=True):
        assert (hit.source, hit.score, hit.rank, hit.highlights) == (
            other.source,
            other.score,
            other.rank,
            other.highlights,
        )
        assert other.legs["bm25"].words == hit.legs["dense"].words == ()
        shares = {matched.word: matched.share for matched in hit.legs["bm25"].words}
        assert set(shares) == {word for word in ("the", "stone", "RIVER") if word.lower() in hit.text.split()}
        if shares:
            assert sum(shares.values()) == pytest.approx(1)
            assert hit.legs["bm25"].score > 0
        for word in ("stone", "RIVER"):
            assert word not in shares or shares[word] > shares.get("the", 0)
        assert len(hit.sentences) == 1 or not hit.highlights
        for said in hit.sentences:
            assert (said.document_start, said.document_end) == (
                hit.locator.start + said.start,
                hit.locator.start + said.end,
            )


def test_a_hit_without_the_querys_words_shows_its_nearest_sentence(
    tmp_path: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("Stones are grey. The river is deep and wide. Light is fast.")
    with Index.open("index", embedder) as index:
        index.add("a.txt")
        monkeypatch.setattr(
            embedder, "encode_query", lambda text, outputs: embedder.encode_document(["the river is wide"])[0]
        )
        with Searcher(index) as searcher:
            (hit,) = searcher.search("courant", explain=True)
            assert [hit.text[s.start : s.end] for s in hit.sentences] == ["The river is deep and wide."]
            assert searcher.search("courant")[0].sentences == ()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rerank": -1}, "from 0 to 1000"),
        ({"rerank": 1001}, "from 0 to 1000"),
        ({"rerank_within": 0.0}, "more than 0 seconds"),
        ({"rerank_within": -3.0}, "more than 0 seconds"),
        ({"rerank_within": float("nan")}, "more than 0 seconds"),
        ({"rerank_within": float("inf")}, "more than 0 seconds"),
        ({"diversity": -0.1}, "diversity must be from 0 to 1"),
        ({"diversity": float("nan")}, "diversity must be from 0 to 1"),
        ({"limit": -1}, "from 1 to 1000"),
        ({"limit": "3"}, "limit must be a whole number, not '3'"),
        ({"limit": 3.0}, "limit must be a whole number, not '3.0'"),
        ({"limit": None}, "limit must be a whole number"),
        (
            {"rerank": "bge-reranker-base"},
            "rerank must be a whole number, not 'bge-reranker-base': a model is named by",
        ),
        ({"rerank_within": "300ms"}, "rerank_within must be a number, not '300ms'"),
        ({"min_relevance": "0.5"}, "min_relevance must be a number"),
        ({"legs": "bm25"}, "legs must be a list of names, not 'bm25'"),
        ({"weights": "dense=1"}, "weights must be a mapping, not 'dense=1'"),
        ({"query": None}, "query must be a text, not 'None'"),
    ],
)
def test_what_cannot_be_asked(index: Index, options: dict[str, object], said: str) -> None:
    with Searcher(index, reranker=Backwards()) as searcher, pytest.raises(UsageError, match=said):
        searcher.search(**{"query": "stone", **options})


def test_numbers_of_numpy_are_numbers(index: Index) -> None:
    with Searcher(index) as searcher:
        options = {"limit": np.int64(2), "diversity": np.float32(0.5), "legs": ("dense",)}
        assert len(searcher.search("stone", **options)) == 2


def test_everything_at_once_on_an_empty_index(tmp_path: Path, embedder: StandIn) -> None:
    everything = {"diversity": 0.5, "join": True, "group": True, "explain": True}
    with Index.open(tmp_path / "empty", embedder) as index, Searcher(index, reranker=Backwards()) as searcher:
        assert searcher.search("anything", **everything) == []


def test_a_query_of_a_hundred_thousand_characters_is_explained(index: Index, caplog: pytest.LogCaptureFixture) -> None:
    with Searcher(index, reranker=Backwards()) as searcher:
        hits = searcher.search("zebra and " * 10_000, 3, explain=True)
    assert {matched.word for hit in hits for matched in hit.legs["bm25"].words} <= {"zebra", "and"}
    assert len(hits) == 3
    assert "what is beyond is searched by its words only" in caplog.text
