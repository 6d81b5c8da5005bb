"""A passage's sentences, and which of them say why it was found."""

from collections.abc import Iterable, Mapping, Sequence

from beige.analyser import Word
from beige.search.hit import Span

MOST = 2
"""Sentences of a passage that are highlighted."""

ADDS = 1 / 3
"""A further sentence is worth showing if it adds this share of the weight of the passage's words."""

_WINDOW = 2000
"""Characters given to the splitter at once: it takes quadratic time on a long Chinese paragraph."""


def split(text: str) -> list[Span]:
    """The sentences of a text in any script, without the whitespace around them; none of them is blank."""
    spans = []
    for start, end in _pieces(text):
        piece = text[start:end]
        if stripped := piece.strip():
            first = start + piece.index(stripped[0])
            spans.append((first, first + len(stripped)))
    return spans


def _pieces(text: str) -> Iterable[Span]:
    from sentencex import get_sentence_boundaries

    begin = 0
    while begin < len(text):
        window = text[begin : begin + _WINDOW]
        found = [
            (begin + each["start_index"], begin + each["end_index"]) for each in get_sentence_boundaries("en", window)
        ]
        if begin + len(window) < len(text) and len(found) > 1:
            found.pop()  # it goes on beyond the window
        yield from found
        begin = found[-1][1]


def telling(spans: Sequence[Span], words: Sequence[Word], weights: Mapping[int, float]) -> list[Span]:
    """The few sentences that hold most of the weight of the query's words in a passage, in reading order.

    The first holds the most; each further one adds the most to what those before it hold, if that is enough.

    Args:
        spans: the passage's sentences, in reading order.
        words: the query's words where they stand in the passage, in reading order.
        weights: what a word counts by its id; it counts once, however often it stands there.
    """
    held: list[set[int]] = [{word.id for word in words if start <= word.start < end} for start, end in spans]
    enough = ADDS * sum(weights[each] for each in set().union(*held))
    chosen: list[int] = []
    known: set[int] = set()
    while len(chosen) < MOST and len(chosen) < len(spans):
        gains = [sum(weights[each] for each in sentence - known) for sentence in held]
        best = max(range(len(spans)), key=lambda place: (gains[place], -place))
        if gains[best] <= 0 or gains[best] < enough:
            break
        chosen.append(best)
        known |= held[best]
    return [spans[place] for place in sorted(chosen)]
