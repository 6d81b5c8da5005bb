"""Stretches of a passage: what is marked in it, and which part of a long one to show."""

from collections.abc import Iterable, Sequence

from beige.search.hit import Span


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same characters by spans that neither overlap nor touch; the spans come by their start."""
    merged: list[Span] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def excerpt(text: str, spans: Sequence[Span], length: int) -> Span:
    """The part of a text to show: the one with the most highlighted characters, begun and ended between words.

    Args:
        text: the passage.
        spans: its highlights.
        length: the most characters to show.

    Returns:
        First character and one past the last; the whole text where it is short enough.
    """
    if len(text) <= length:
        return 0, len(text)
    starts = [0, *(start for start, _ in spans)]

    def shown(first: int) -> int:
        return sum(min(end, first + length) - start for start, end in spans if first <= start < first + length)

    best = max(starts, key=lambda start: (shown(start), -start))  # the earliest of the best
    lead = length // 5  # some words before the first highlight say what it is about
    start = max(0, min(best - lead, len(text) - length))
    while start and not text[start - 1].isspace() and start < best:
        start += 1
    end = min(len(text), start + length)
    word = text.rfind(" ", start, end) if end < len(text) and not text[end].isspace() else end
    return start, word if word > best else end
