import itertools
import random

import pytest

from beige.search.highlight import excerpt, joined


def test_joined_spans_cover_the_same_characters() -> None:
    chance = random.Random(0)
    for _ in range(200):
        starts = sorted(chance.randrange(100) for _ in range(chance.randrange(12)))
        spans = [(start, start + chance.randrange(1, 9)) for start in starts]
        found = joined(spans)
        assert {c for span in spans for c in range(*span)} == {c for span in found for c in range(*span)}
        assert all(end < start for (_, end), (start, _) in itertools.pairwise(found))


TEXT = "In the beginning was a word. " * 20 + "The boundary layer separates here. " + "And so it went on. " * 30


@pytest.mark.parametrize("length", [1, 10, 40, 120, 400, 5000])
def test_an_excerpt_is_short_and_shows_the_highlights(length: int) -> None:
    start = TEXT.index("boundary layer")
    spans = ((3, 6), (start, start + 14))
    first, last = excerpt(TEXT, spans, length)
    assert 0 <= first <= last <= len(TEXT)
    assert last - first <= length
    if length >= 40:
        assert first <= start
        assert last >= start + 14
        assert not first or TEXT[first - 1].isspace()
        assert last == len(TEXT) or TEXT[last].isspace()


def test_an_excerpt_without_highlights_is_the_beginning() -> None:
    first, last = excerpt(TEXT, (), 100)
    assert first == 0
    assert 80 < last <= 100
    assert excerpt("short", (), 100) == (0, 5)


def test_an_excerpt_of_one_long_word_is_cut_in_it() -> None:
    assert excerpt("x" * 1000, ((500, 510),), 100) == (500, 600)
