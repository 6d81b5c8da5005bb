import random
from collections import defaultdict
from dataclasses import replace

import pytest

from beige.documents.chunk import Locator
from beige.index.store import Passage
from beige.search.folding import fold, joined

PIECES = ["word ", "naïve ", "石头", "end.\n\n", "line\n", "tail. ", "x" * 30 + " "]
TEXT = "".join(random.Random(1).choices(PIECES, k=400))


def chunk(number: int, source: str, position: int, start: int, end: int, text: str = TEXT) -> Passage:
    first = text.count("\n", 0, start) + 1
    locator = Locator(start, end, first, first + text.count("\n", start, end), None, ("Top", f"Part {position // 3}"))
    return Passage(number, source, position, text[start:end], locator, "text")


def cut(source: str, seed: int, overlap: bool = False) -> list[Passage]:
    """A document's chunks: without the whitespace around them, or with borders that overlap."""
    chance = random.Random(seed)
    chunks, start = [], 0
    while start < len(TEXT):
        end = min(len(TEXT), start + chance.randrange(20, 200))
        first = max(0, start - chance.randrange(30)) if overlap else start
        first += len(TEXT[first:end]) - len(TEXT[first:end].lstrip())
        last = first + len(TEXT[first:end].rstrip())
        if last > first:
            chunks.append(chunk(seed * 1000 + len(chunks), source, len(chunks), first, last))
        start = end
    return chunks


def same_but_blanks(text: str, other: str) -> bool:
    return len(text) == len(other) and all(
        a == b or (a.isspace() and b.isspace()) for a, b in zip(text, other, strict=True)
    )


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_a_joined_passage_is_the_documents_own_characters(seed: int, overlap: bool) -> None:
    chunks = cut("a", seed, overlap)
    chance = random.Random(seed)
    first = chance.randrange(len(chunks))
    last = chance.randrange(first, len(chunks))
    some = chunks[first : last + 1]
    shuffled = chance.sample(some, len(some))
    passage = joined(shuffled)
    where = passage.locator
    assert (where.start, where.end) == (some[0].locator.start, max(one.locator.end for one in some))
    assert len(passage.text) == where.end - where.start
    assert same_but_blanks(passage.text, TEXT[where.start : where.end])
    assert passage.text.count("\n") == TEXT[where.start : where.end].count("\n") == where.line_end - where.line_start
    assert where.headings == (some[0].locator.headings if first // 3 == last // 3 else ("Top",))


def test_paragraphs_and_sentences_are_joined_to_the_letter() -> None:
    text = "One sentence. Another one.\n\nA paragraph.\nA line."
    bounds = [(0, 13), (14, 26), (28, 40), (41, 48)]
    chunks = [chunk(n, "a", n, start, end, text) for n, (start, end) in enumerate(bounds)]
    assert joined(chunks).text == text


def test_a_chunk_within_another_adds_nothing() -> None:
    outer, inner = chunk(1, "a", 0, 0, 100), chunk(2, "a", 1, 40, 60)
    assert joined([inner, outer]) == replace(outer, locator=joined([outer, inner]).locator)
    assert joined([inner, outer]).locator.end == 100


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize(("join", "group"), [(False, False), (True, False), (False, True), (True, True)])
def test_folding_keeps_the_best_first_and_loses_nothing_of_what_it_takes(seed: int, join: bool, group: bool) -> None:
    chance = random.Random(seed)
    chunks = [one for source in "abcdef" for one in cut(source, ord(source))[:12]]
    ordered = chance.sample(chunks, 40)
    limit = chance.randrange(1, 12)
    bundles = fold(ordered, limit, join=join, group=group)
    assert len(bundles) <= limit
    flat = [part for bundle in bundles for part in (bundle, *bundle.others)]
    taken = sum(bundle.chunks for bundle in flat)
    assert {one.id for one in ordered[:taken]} >= {bundle.best.id for bundle in flat}
    covered = {
        (bundle.best.source, bundle.passage.position + number) for bundle in flat for number in range(bundle.chunks)
    }
    assert covered == {(one.source, one.position) for one in ordered[:taken]}  # a beginning of the list, each once
    order = {one.id: place for place, one in enumerate(ordered)}
    places = [order[bundle.best.id] for bundle in bundles]
    assert places == sorted(places)
    best = defaultdict(list)
    for one in ordered[:taken]:
        best[one.source].append(one.id)
    if group:
        assert [bundle.best.id for bundle in bundles] == [ids[0] for ids in best.values()]
        assert all(other.best.source == bundle.best.source for bundle in bundles for other in bundle.others)
    else:
        assert all(not bundle.others for bundle in bundles)
    if not join:
        assert all(bundle.chunks == 1 and bundle.passage == bundle.best for bundle in flat)
    else:
        for bundle in flat:
            source, first = bundle.best.source, bundle.passage.position
            assert (source, first - 1) not in covered
            assert (source, first + bundle.chunks) not in covered
    if not join and not group:
        assert [bundle.best for bundle in bundles] == ordered[:limit]


def test_a_chunk_between_two_joins_both_at_the_better_place() -> None:
    chunks = cut("a", 3)
    bundles = fold([chunks[4], chunks[0], chunks[2], chunks[3], chunks[1]], 3, join=True, group=False)
    assert [(bundle.best.position, bundle.passage.position, bundle.chunks) for bundle in bundles] == [(4, 0, 5)]
