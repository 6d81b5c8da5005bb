"""Models whose work goes through a server's lanes: for an index and its searches, which know nothing of lanes."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from beige.embedder import Embedder
from beige.engines import Choice, Raw
from beige.errors import NotFiniteError
from beige.models.tokenizer import Tokens
from beige.serve.errors import Refusal
from beige.serve.lanes import Lane
from beige.serve.models import Model
from beige.serve.runners import Loaded
from beige.serve.scheduler import Computed
from beige.serve.service import Service, Terms
from beige.values import Floats

WINDOW = 1 << 14
"""Tokens that are put into a lane at a time; a further window waits meanwhile."""


@dataclass(frozen=True, slots=True)
class Raws:
    """Texts are to become an engine's numbers; see `scheduler.Kind`."""

    runner: Loaded[Embedder]
    outputs: tuple[str, ...]

    def compute(self, texts: Sequence[Tokens]) -> list[Raw | NotFiniteError]:
        """See `scheduler.Kind`."""
        return self.runner.model.engine.run_batch(texts, self.outputs)


class LaneEngine:
    """Runs texts in a lane of a server; see `Engine`. For threads: the server's event loop would wait for itself.

    Args:
        service: the server.
        model: which of its models.
        lane: where the texts wait.
        runner: the model as it is loaded now, for what does not change when it is loaded again.
    """

    def __init__(self, service: Service, model: Model, lane: Lane, runner: Loaded[Embedder]) -> None:
        self.device: str = runner.device
        self.streams: int = runner.streams
        self.choice: Choice = runner.model.engine.choice
        self.budget: int = runner.budget
        self._service = service
        self._model = model
        self._lane = lane
        self._loop = asyncio.get_running_loop()

    def run(self, texts: Iterable[Tokens], outputs: tuple[str, ...]) -> Iterator[Raw]:
        """See `Engine.run`."""
        flying: deque[tuple[int, Future[Computed]]] = deque()
        first = 0
        try:
            for window in _windows(texts):
                flying.append((first, self._submit(window, outputs)))
                first += len(window)
                if len(flying) > 1:
                    yield from _results(*flying[0])
                    flying.popleft()
            while flying:
                yield from _results(*flying[0])
                flying.popleft()
        finally:
            for _, future in flying:  # an error, or a caller that wants no more
                future.cancel()

    def run_batch(self, texts: Sequence[Tokens], outputs: tuple[str, ...]) -> list[Raw | NotFiniteError]:
        """See `Engine.run_batch`; the lane may divide it."""
        return list(self.run(texts, outputs))

    def _submit(self, texts: Sequence[Tokens], outputs: tuple[str, ...]) -> "Future[Computed]":
        return asyncio.run_coroutine_threadsafe(self._run(texts, outputs), self._loop)

    async def _run(self, texts: Sequence[Tokens], outputs: tuple[str, ...]) -> Computed:
        tokens = sum(len(text.ids) for text in texts)
        timeout = self._service.settings.longest_timeout
        while True:
            try:
                async with self._service.models.lease(self._model) as runner:
                    return await self._service.scheduler.run(
                        Raws(runner, outputs), self._lane, timeout, tokens, lambda: texts
                    )
            except Refusal as refusal:
                if refusal.reason != "overloaded" or refusal.retry_after is None:
                    raise
                await asyncio.sleep(refusal.retry_after)


async def lend(service: Service, model: str | None, lane: Lane) -> Embedder:
    """An embedder for threads: the server's model, in one of its lanes.

    Args:
        service: the server.
        model: a name; None for the first embedder.
        lane: "query" for searches, "ingestion" for what fills an index.

    Raises:
        Refusal: there is no such model here.
        BeigeError: it cannot be loaded.
    """
    found, _ = service.models.find(model, "embedder")
    async with service.models.lease(found) as runner:
        embedder: Embedder = runner.model
        return embedder.through(LaneEngine(service, found, lane, runner))


class LentReranker:
    """A reranker of a server, for threads; see `beige.search.reranking.Reads`.

    Args:
        service: the server.
        model: a name; None for the first reranker.

    Raises:
        Refusal: there is no such model here.
    """

    def __init__(self, service: Service, model: str | None = None) -> None:
        found, _ = service.models.find(model, "reranker")
        self._model = found.name
        self._service = service
        self._loop = asyncio.get_running_loop()

    def score(self, query: str, passages: Sequence[str]) -> Floats:
        """How well each passage answers the query, (n,)."""
        terms = Terms(self._service.settings.longest_timeout, "query")
        work = self._service.rerank(self._model, query, passages, terms)
        return np.array(asyncio.run_coroutine_threadsafe(work, self._loop).result().scores, np.float32)


def _windows(texts: Iterable[Tokens]) -> Iterator[list[Tokens]]:
    window: list[Tokens] = []
    tokens = 0
    for text in texts:
        if window and tokens + len(text.ids) > WINDOW:
            yield window
            window, tokens = [], 0
        window.append(text)
        tokens += len(text.ids)
    if window:
        yield window


def _results(first: int, future: "Future[Computed]") -> list[Raw]:
    try:
        return future.result().results
    except Refusal as refusal:
        if refusal.place is None:
            raise
        raise NotFiniteError(
            f"text {first + refusal.place} (counted from 0) gives numbers that are not finite: leave it out, or run "
            "the server with --precision fp32"
        ) from refusal
