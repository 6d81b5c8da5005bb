"""Batches by token budget: texts of like length together, so that little of the work is spent on padding.

Pure functions over lengths and positions; nothing here knows what a device is. Per-batch padding, not the kernel, is
where most embedding libraries lose their time.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from beige.models.tokenizer import Tokens
from beige.values import Ints

Item = TypeVar("Item")

WINDOW_TEXTS = 4096
"""Texts are sorted by length within windows of so many, so that memory does not grow with the input."""

WINDOW_TOKENS = 1 << 17
"""A window ends early at so many tokens: results of long texts do not keep a caller waiting for minutes."""

PADDING, PADDED = 24, 0.05
"""How many tokens of a batch that is joined may be padding: so many, or this share of it where that is more.

A batch of bge-small costs 30 to 55 tokens beside its own; of 8 to 128 clients with short texts, and with short and long
ones, 16 to 32 were as fast as could be, and 64 slower.
"""


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Texts that run together.

    Attributes:
        positions: the place of each text in the input, from 0.
        texts: their tokens.
    """

    positions: tuple[int, ...]
    texts: tuple[Tokens, ...]


def pack(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Sort texts by length, longest first, and cut the order into batches.

    Args:
        lengths: each text's number of tokens.
        budget: the most tokens of a batch, padding included; a text that is longer makes a batch of its own.

    Returns:
        For each batch the positions in `lengths`; texts of equal length keep their order.
    """
    batches: list[list[int]] = []
    longest = 0
    for position in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if not batches or (len(batches[-1]) + 1) * longest > budget:
            batches.append([])
            longest = lengths[position]
        batches[-1].append(position)
    return batches


def shared_out(lengths: Sequence[int], budget: int, streams: int) -> list[list[int]]:
    """What `pack` gives, but few texts as batches of like size, one for each stream, so that none idles.

    Args:
        lengths: as for `pack`.
        budget: as for `pack`.
        streams: how many batches are computed at once.
    """
    packed = pack(lengths, budget)
    if len(packed) > streams or len(lengths) == 1:
        return packed
    return pack(lengths, bisect_left(range(budget), True, key=lambda less: len(pack(lengths, less)) <= streams))


def join(lengths: Sequence[int], budget: int) -> list[int]:
    """The first text with those that are most like it in length, as one batch.

    Texts that do not join make a batch of their own, which costs as much as some tokens do: so many may be padding.

    Args:
        lengths: each text's number of tokens.
        budget: the most tokens of the batch, padding included; the first text is taken whatever its length.

    Returns:
        Positions in `lengths`, 0 first.
    """
    chosen, longest, total = [0], lengths[0], lengths[0]
    for position in sorted(range(1, len(lengths)), key=lambda place: abs(lengths[place] - lengths[0])):
        most = max(longest, lengths[position])
        size, tokens = most * (len(chosen) + 1), total + lengths[position]
        if size <= budget and size - tokens <= max(PADDING, PADDED * size):
            chosen.append(position)
            longest, total = most, tokens
    return chosen


def batches(texts: Iterable[Tokens], budget: int, streams: int = 1) -> Iterator[Batch]:
    """Pack a stream of texts window by window; a window is read when its first batch is asked for.

    Args:
        texts: what is to be computed.
        budget: as for `pack`.
        streams: how many batches are computed at once.
    """
    start = 0
    for window in _windows(texts):
        for places in shared_out([len(text.ids) for text in window], budget, streams):
            yield Batch(tuple(start + place for place in places), tuple(window[place] for place in places))
        start += len(window)


def pad(batch: Batch, fill: int) -> tuple[Ints, Ints]:
    """A batch's ids in one array, and their lengths.

    Args:
        batch: b texts, the longest of t tokens.
        fill: the id that fills the rows of shorter texts.

    Returns:
        ids (b, t) and lengths (b,), int32.
    """
    lengths = np.array([len(text.ids) for text in batch.texts], np.int32)  # (b,)
    ids = np.full((len(lengths), lengths.max()), fill, np.int32)  # (b, t)
    for row, text in zip(ids, batch.texts, strict=True):
        row[: len(text.ids)] = text.ids
    return ids, lengths


def in_order(results: Iterable[tuple[int, Item]]) -> Iterator[Item]:
    """Results as they come, each with its place from 0, in the order of their places; holds back what came early."""
    early: dict[int, Item] = {}
    due = 0
    for place, result in results:
        early[place] = result
        while due in early:
            yield early.pop(due)
            due += 1


def sliced(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items each, the last one shorter."""
    part: list[Item] = []
    for item in items:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _windows(texts: Iterable[Tokens]) -> Iterator[list[Tokens]]:
    window: list[Tokens] = []
    tokens = 0
    for text in texts:
        window.append(text)
        tokens += len(text.ids)
        if len(window) == WINDOW_TEXTS or tokens >= WINDOW_TOKENS:
            yield window
            window, tokens = [], 0
    if window:
        yield window
