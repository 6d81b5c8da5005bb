"""Runs what waits in the lanes, in batches on threads; bounds it, and drops what expired or what nobody waits for.

All of its state is the event loop's alone, so nothing is locked; the loop computes nothing itself.
"""

import asyncio
import math
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from beige.errors import BeigeError, NotFiniteError
from beige.models.tokenizer import Tokens
from beige.serve.errors import Refusal
from beige.serve.lanes import LANES, SHARE, Batch, Lane, Lanes, Request
from beige.serve.metrics import Metrics
from beige.serve.pace import Pace
from beige.serve.reader import Reader

INGESTION_SECONDS = 0.045
"""How long a batch of ingestion should take, as far as texts can be divided: a query waits for no more. Where the pace
varies, nearly all then take less than fifty milliseconds."""

QUIET = 2.0
"""While the last query came less than so many seconds ago, ingestion leaves a stream free."""

LEAST = 128
"""Tokens below which work is not divided among streams that are free: small batches cost twice as much a token."""

_THREADS = 64
_T = TypeVar("_T")


class Runner(Protocol):
    """A model that is loaded.

    Attributes:
        name: for metrics.
        device: where it runs; those on one device share its streams.
        streams: how many batches the device computes at once.
        pace: how fast it is.
    """

    name: str
    device: str
    streams: int
    pace: Pace

    @property
    def budget(self) -> int:
        """The most tokens of a batch, padding included."""
        ...


class Kind(Hashable, Protocol):
    """What texts are to become; equal ones may share a batch."""

    @property
    def runner(self) -> Runner:
        """The model."""
        ...

    def compute(self, texts: Sequence[Tokens]) -> Sequence[Any]:
        """Each text's result, or the `NotFiniteError` that it has none; called on a thread."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Computed:
    """What became of a request.

    Attributes:
        texts: the tokens of its inputs.
        results: one for each.
    """

    texts: Sequence[Tokens]
    results: list[Any]


class Scheduler:
    """Packs requests into batches and runs them.

    Args:
        queue_tokens: how many tokens may wait in each lane.
        metrics: what is counted.
        share: see `Lanes`.
        clock: seconds, for tests.
    """

    def __init__(
        self, queue_tokens: int, metrics: Metrics, *, share: float = SHARE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = queue_tokens
        self._metrics = metrics
        self._clock = clock
        self._share = share
        self._lanes = Lanes(share)
        self._flying: defaultdict[str, Counter[Lane]] = defaultdict(Counter)  # batches by device
        self._last_query = -math.inf
        self._open = 0  # requests that were let in and are not answered
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._threads = ThreadPoolExecutor(_THREADS, "compute")
        self._readers = {lane: Reader(f"tokenize-{lane}") for lane in LANES}

    async def run(
        self, kind: Kind, lane: Lane, timeout: float, estimate: int, tokenize: Callable[[], Sequence[Tokens]]
    ) -> Computed:
        """Compute a request's texts.

        Args:
            kind: what they are to become.
            lane: where they wait.
            timeout: seconds after which they are of no use.
            estimate: about how many tokens they have.
            tokenize: gives them; called on a thread.

        Raises:
            Refusal: they cannot be taken now or ever, they expired, or one of them gave no finite number.
            BeigeError: what `tokenize` or the model raised.
        """
        async with self._taken(kind.runner, lane, timeout, estimate):
            until = self._clock() + timeout
            texts = await self._readers[lane].read(estimate, tokenize)
            self._admit(kind.runner, lane, sum(len(text.ids) for text in texts), timeout)
            answer = _Answer(len(texts))
            request = Request(kind, lane, texts, until, answer.put)
            self._lanes.add(request)
            try:
                self._start()
                return Computed(texts, await answer.whole)
            finally:
                self._lanes.drop(request)

    async def read(self, runner: Runner, lane: Lane, timeout: float, estimate: int, read: Callable[[], _T]) -> _T:
        """What `read` gives, on the thread that tokenizes for a lane: for what needs no model.

        Raises:
            Refusal: as `run`.
        """
        async with self._taken(runner, lane, timeout, estimate):
            return await self._readers[lane].read(estimate, read)

    def wait(self, lane: Lane) -> float:
        """About how many seconds pass before what comes to a lane now begins to be computed.

        Ingestion waits for the queries that are there; while more of them come, it has its share alone.
        """
        queries, ingestion = (self._seconds(each) for each in LANES)
        if lane == "query":
            return queries
        return max(queries + ingestion, ingestion / self._share if queries else 0.0)

    def tokens(self, lane: Lane) -> int:
        """How many tokens wait in a lane, with those that are being tokenized as far as one can tell."""
        return self._readers[lane].tokens + sum(self._lanes.waiting(lane).values())

    def _seconds(self, lane: Lane) -> float:
        """How long what waits in a lane takes."""
        return math.fsum(
            tokens * kind.runner.pace.seconds / kind.runner.streams
            for kind, tokens in self._lanes.waiting(lane).items()
        )

    async def close(self) -> None:
        """Take nothing more, and return when all that was taken is answered."""
        self._closing = True
        await self._idle.wait()
        self._threads.shutdown(wait=False)
        for reader in self._readers.values():
            reader.close()

    def check_open(self) -> None:
        """Refuse where nothing is taken any more.

        Raises:
            Refusal: the server shuts down.
        """
        if self._closing:
            raise Refusal("closing", "the server is shutting down: send the request later", retry_after=5)

    @asynccontextmanager
    async def _taken(self, runner: Runner, lane: Lane, timeout: float, estimate: int) -> AsyncIterator[None]:
        """A request from its admission to its answer, which comes in time or not at all."""
        self._admit(runner, lane, estimate, timeout)
        self._open += 1
        self._idle.clear()
        if lane == "query":
            self._last_query = self._clock()
        try:
            async with asyncio.timeout(timeout):
                yield
        except TimeoutError as error:
            raise Refusal(
                "expired",
                f"the request was not computed within its {timeout:g} seconds: send it again with more time "
                "(Beige-Timeout), or to a server with less to do",
                retry_after=self.wait(lane),
            ) from error
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()

    def _admit(self, runner: Runner, lane: Lane, tokens: int, timeout: float) -> None:
        self.check_open()
        if tokens > self._most:
            raise Refusal(
                "too_large",
                f"the request has {tokens} tokens and the server takes {self._most} at once: send it in parts",
            )
        waiting = self.tokens(lane)
        pace = runner.pace.seconds / runner.streams
        excess = (waiting + tokens - self._most) * pace if waiting + tokens > self._most else 0.0
        if waiting:  # with nothing before it a request may always try
            excess = max(excess, self.wait(lane) - timeout)
        if excess > 0 or waiting + tokens > self._most:
            raise Refusal(
                "overloaded",
                f"{waiting} tokens wait already: send the request again after the pause that Retry-After names",
                retry_after=max(1.0, excess),
            )

    def _start(self) -> None:
        """Start what may start."""
        for batch in self._lanes.batches(self._room):
            now = self._clock()
            items = tuple(item for item in batch.items if item.request.deadline > now)
            if not items:
                continue
            flying = self._flying[batch.kind.runner.device]
            flying[batch.lane] += 1
            self._metrics.batch(batch.kind.runner.name, batch.lane, batch.tokens, batch.padded)
            texts = [item.request.texts[item.place] for item in items]
            done = asyncio.get_running_loop().run_in_executor(self._threads, batch.kind.compute, texts)
            done.add_done_callback(partial(self._land, batch, items, now))

    def _room(self, kind: Kind, lane: Lane) -> int:
        runner = kind.runner
        flying = self._flying[runner.device]
        free, most = runner.streams - flying.total(), runner.budget
        waiting = self._lanes.waiting(lane)[kind]
        if lane == "ingestion":
            if self._clock() - self._last_query < QUIET:
                free = min(free, max(1, runner.streams - 1) - flying[lane])
            most = runner.pace.tokens(INGESTION_SECONDS, most)
        if free < 1:
            return 0
        return min(most, max(LEAST, math.ceil(waiting / free)))

    def _land(self, batch: Batch, items: Sequence[Any], started: float, done: "asyncio.Future[Sequence[Any]]") -> None:
        """Take a batch's results, tell who waits for them, and start what follows."""
        runner: Runner = batch.kind.runner
        self._flying[runner.device][batch.lane] -= 1
        error = done.exception()
        if error is None:
            seconds = self._clock() - started
            runner.pace.add(batch.tokens, seconds)
            self._metrics.landed(runner.name, batch.lane, seconds)
        self._start()
        results = [error] * len(items) if error is not None else done.result()
        for item, result in zip(items, results, strict=True):
            item.request.on_result(item.place, result)


class _Answer:
    """A request's results as they come."""

    def __init__(self, texts: int) -> None:
        self.whole: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._results: list[Any] = [None] * texts
        self._missing = texts
        if not texts:
            self.whole.set_result([])

    def put(self, place: int, result: Any) -> None:
        if self.whole.done():  # it failed, expired, or nobody waits for it
            return
        if isinstance(result, BaseException):
            self.whole.set_exception(_named(place, result))
            return
        self._results[place] = result
        self._missing -= 1
        if not self._missing:
            self.whole.set_result(self._results)


def _named(place: int, error: BaseException) -> BaseException:
    """The error, with the input's place in its own request where it is one input's."""
    if isinstance(error, NotFiniteError):
        return Refusal(
            "not_finite",
            f"input {place} (counted from 0) gives numbers that are not finite: leave it out, or run the "
            "server with --precision fp32",
            param=f"input[{place}]",
            place=place,
        )
    return error if isinstance(error, BeigeError) else Refusal("failed", f"the model failed: {type(error).__name__}")
