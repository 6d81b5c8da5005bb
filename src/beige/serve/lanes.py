"""What waits to be computed, and in which order it is: two lanes, fair among requests, packed into batches.

Pure: it knows no time, no thread and no model, only lengths.
"""

import bisect
import operator
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from beige.engines.batches import join
from beige.models.tokenizer import Tokens

Lane = Literal["query", "ingestion"]
"""Queries are waited for by somebody; ingestion is what need not be done at once."""

LANES: tuple[Lane, Lane] = ("query", "ingestion")

SHARE = 0.2
"""Of the tokens that are computed while both lanes wait, the least that are ingestion's: it is slow, never starved."""

WINDOW = 256
"""Texts at the front of a lane among which a batch's are chosen."""


@dataclass(eq=False, slots=True)
class Request:
    """Texts that came together and are answered together.

    Attributes:
        kind: what its texts are to become; texts of one kind may share a batch.
        lane: where it waits.
        texts: their tokens.
        deadline: when its texts are of no use any more, on the caller's clock.
        on_result: told a text's place and what became of it.
        waiting: how many of its texts are not in a batch yet.
    """

    kind: Hashable
    lane: Lane
    texts: Sequence[Tokens]
    deadline: float
    on_result: Callable[[int, Any], None]
    waiting: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Item:
    """A text that waits.

    Attributes:
        due: the lane's clock at which it would begin if all requests got equal shares; orders the lane.
        request: whose it is.
        place: its place there, from 0.
        tokens: its length.
    """

    due: float
    request: Request
    place: int
    tokens: int


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Texts of one kind that run together.

    Attributes:
        kind: see `Request`.
        lane: where they waited.
        items: the texts, the one that was due first.
        tokens: their tokens in sum.
        padded: the same with padding.
    """

    kind: Any
    lane: Lane
    items: tuple[Item, ...]
    tokens: int
    padded: int


@dataclass(eq=False, slots=True)
class _Queue:
    """One lane.

    Its clock runs by the tokens that are computed, divided by the requests that wait: weighted fair queueing (Demers,
    Keshav and Shenker 1989). A request of thousands of texts gets its share, and one that comes after it with a single
    text need not wait for all of them; nor does a stream of new requests keep an old one from its turn.
    """

    items: list[Item] = field(default_factory=list)
    tokens: dict[Hashable, int] = field(default_factory=dict)
    requests: int = 0
    clock: float = 0.0

    def add(self, request: Request) -> None:
        due = self.clock
        for place, text in enumerate(request.texts):
            length = len(text.ids)
            bisect.insort(self.items, Item(due, request, place, length), key=operator.attrgetter("due"))
            due += length
        request.waiting = len(request.texts)
        self.requests += request.waiting > 0
        self._count(request.kind, sum(len(text.ids) for text in request.texts))

    def drop(self, request: Request) -> None:
        if request.waiting:
            dropped = [item for item in self.items if item.request is request]
            self.items = [item for item in self.items if item.request is not request]
            self._gone(dropped)

    def take(self, lane: Lane, room: Callable[[Any, Lane], int]) -> Batch | None:
        """The next batch; None where nothing may start."""
        rooms = {kind: tokens for kind in self.tokens if (tokens := room(kind, lane))}
        if not rooms:
            return None
        first = next(place for place, item in enumerate(self.items) if item.request.kind in rooms)
        return self._take(lane, first, rooms[self.items[first].request.kind])

    def _take(self, lane: Lane, first: int, budget: int) -> Batch:
        kind = self.items[first].request.kind
        near = [
            place
            for place in range(first, min(first + WINDOW, len(self.items)))
            if self.items[place].request.kind == kind
        ]
        chosen = [near[at] for at in join([self.items[place].tokens for place in near], budget)]
        items = tuple(self.items[place] for place in chosen)
        for place in sorted(chosen, reverse=True):
            del self.items[place]
        waiting = self.requests
        self._gone(items)
        tokens = sum(item.tokens for item in items)
        self.clock += tokens / waiting
        return Batch(kind, lane, items, tokens, len(items) * max(item.tokens for item in items))

    def _gone(self, items: Sequence[Item]) -> None:
        for item in items:
            item.request.waiting -= 1
            self.requests -= item.request.waiting == 0
            self._count(item.request.kind, -item.tokens)

    def _count(self, kind: Hashable, tokens: int) -> None:
        self.tokens[kind] = self.tokens.get(kind, 0) + tokens
        if not self.tokens[kind]:
            del self.tokens[kind]


class Lanes:
    """Both lanes. Queries go first, but for ingestion's share.

    Args:
        share: of the computed tokens, the least that are ingestion's while both wait.
    """

    def __init__(self, share: float = SHARE) -> None:
        self._share = share
        self._owed = 0.0  # tokens that ingestion may have before queries
        self._queues: Mapping[Lane, _Queue] = {lane: _Queue() for lane in LANES}

    def add(self, request: Request) -> None:
        """Let a request wait."""
        self._queues[request.lane].add(request)

    def drop(self, request: Request) -> None:
        """Forget what still waits of a request."""
        self._queues[request.lane].drop(request)

    def waiting(self, lane: Lane) -> Mapping[Any, int]:
        """The tokens that wait in a lane, by kind."""
        return self._queues[lane].tokens

    def batches(self, room: Callable[[Any, Lane], int]) -> Iterator[Batch]:
        """What may start now, batch by batch.

        Args:
            room: how many tokens, padding included, a batch of a kind may have in a lane now; 0 where none may start.
                It is asked again for each batch.
        """
        while (batch := self._next(room)) is not None:
            yield batch

    def _next(self, room: Callable[[Any, Lane], int]) -> Batch | None:
        ingestion = sum(self._queues["ingestion"].tokens.values())
        turn = ingestion and self._owed >= self._least(room, ingestion)
        for lane in reversed(LANES) if turn else LANES:
            batch = self._queues[lane].take(lane, room)
            if batch is None:
                continue
            if lane == "ingestion":
                self._owed = max(0.0, self._owed - batch.tokens)
            elif ingestion:
                self._owed += batch.tokens * self._share / (1 - self._share)
            else:
                self._owed = 0.0
            return batch
        return None

    def _least(self, room: Callable[[Any, Lane], int], ingestion: int) -> int:
        """How many tokens must be owed before ingestion takes its turn: a whole batch."""
        first = self._queues["ingestion"].items[0]
        return min(ingestion, max(first.tokens, room(first.request.kind, "ingestion")))
