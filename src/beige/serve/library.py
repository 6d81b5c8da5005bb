"""The index behind a server: searched by its threads, and written by one job after another."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from beige import environment
from beige.documents.upload import Upload
from beige.embedder import Embedder
from beige.errors import BeigeError, LockedError
from beige.index.encoders import name_of
from beige.index.place import Place
from beige.index.report import Change
from beige.search import Index
from beige.serve.errors import Refusal
from beige.serve.jobs import Job, Jobs, owners, together
from beige.serve.lanes import Lane
from beige.serve.lent import LentReranker, lend
from beige.serve.service import Service, Terms
from beige.serve.spool import Spool

WAITING_SEARCHES = 256
"""Searches beyond these are refused for the time being."""

WAITING_BYTES = 256 << 20
"""What uploads that wait may take together."""

TOGETHER = 64
"""Jobs that are done in one run."""

LOCKED_PAUSE = 0.5
"""Seconds between two looks at whether another process still writes to the index."""

_MEMORY = 0.9  # of what was measured before, in the mean
_T = TypeVar("_T")
_log = logging.getLogger("beige.serve")


@dataclass(frozen=True, eq=False, slots=True)
class Opened:
    """The index while there is one.

    Attributes:
        index: to search, with models whose texts wait in the lane of queries.
        reranker: the name of the one that reads where none is named; None for none.
        reads: that one.
    """

    index: Index
    reranker: str | None
    reads: LentReranker | None


class Library:
    """An index that is searched and filled over HTTP.

    Args:
        service: whose models read queries and documents.
        place: of the index; it is made with the first upload.
    """

    def __init__(self, service: Service, place: Place) -> None:
        self._service = service
        self._place = place
        self._opened: Opened | None = None
        self._opening = asyncio.Lock()
        self._closing = False
        self._stack = ExitStack()
        self._threads = ThreadPoolExecutor(max(4, 2 * environment.cores()), "search")
        self._searching = 0
        self._seconds = 0.05  # of one search, in the mean
        self._spool = Spool()
        self._stack.callback(self._spool.close)
        self.jobs = Jobs()
        self._waiting: deque[Job] = deque()
        self._bytes = 0  # of jobs that are not done
        self._rate = 1e5  # bytes a second, in the mean
        self._worker: asyncio.Task[None] | None = None

    async def read(self, terms: Terms, read: Callable[[Opened], _T]) -> _T:
        """What `read` gives of the index, on a thread.

        Raises:
            Refusal: there is no index yet, too many searches wait, or the time is over.
            BeigeError: what `read` raises.
        """
        if self._searching >= WAITING_SEARCHES:
            raise Refusal(
                "overloaded",
                f"{self._searching} searches wait already: send it again after the pause that Retry-After names",
                retry_after=self._searching * self._seconds,
            )
        self._searching += 1
        started = time.monotonic()
        try:
            async with asyncio.timeout(terms.timeout):
                opened = await self.open()
                if opened is None:
                    raise Refusal("not_found", "there is no index yet: send a document to /v1/documents")
                answer = await asyncio.get_running_loop().run_in_executor(self._threads, read, opened)
        except TimeoutError as error:
            raise Refusal(
                "expired",
                f"the request was not answered within its {terms.timeout:g} seconds: send it again with more time "
                "(Beige-Timeout), or to a server with less to do",
                retry_after=self._searching * self._seconds,
            ) from error
        finally:
            self._searching -= 1
        self._seconds = _MEMORY * self._seconds + (1 - _MEMORY) * (time.monotonic() - started) / max(1, self._searching)
        return answer

    async def open(self) -> Opened | None:
        """The index, opened for searching; None where there is none yet.

        Raises:
            BeigeError: it cannot be opened, or a model of it is not here.
        """
        if self._opened is None:
            async with self._opening:
                await self._open()
        return self._opened

    def submit(self, job: Job) -> None:
        """Have a job done, after those before it.

        Raises:
            Refusal: the server shuts down, or too much waits.
        """
        self.check_room(job.size)
        self.jobs.add(job)
        self._waiting.append(job)
        self._bytes += job.size
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    def check_room(self, size: int) -> None:
        """Refuse what cannot be taken.

        Raises:
            Refusal: the server shuts down, or too much waits.
        """
        if self._closing:
            raise Refusal("closing", "the server is shutting down: send the request later", retry_after=5)
        if self._bytes and self._bytes + size > WAITING_BYTES:
            raise Refusal(
                "overloaded",
                "too many uploads wait already: send the request again after the pause that Retry-After names",
                retry_after=(self._bytes + size - WAITING_BYTES) / self._rate,
            )

    def spool(self) -> Path:
        """A folder for files until they are read; it goes with the server."""
        return self._spool.folder()

    async def close(self) -> None:
        """Take nothing more, finish what was acknowledged, and let go of the index."""
        self._closing = True
        if self._worker is not None:
            await self._worker
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._stack.close)

    async def _open(self) -> None:
        if self._opened is not None or not await asyncio.to_thread(self._place.exists):
            return
        lent = await self._lend("query")
        index = await asyncio.to_thread(Index.open, self._place, lent)
        self._stack.callback(index.close)
        service = self._service
        reranker = next((model.name for model in service.models.all if model.kind == "reranker"), None)
        self._opened = Opened(index, reranker, LentReranker(service) if reranker else None)

    async def _lend(self, lane: Lane) -> list[Embedder]:
        """The index's models; of a new one, the server's first."""
        made = await asyncio.to_thread(self._place.manifest)
        if made is None:
            return [await lend(self._service, None, lane)]
        known = {name_of(model.checkpoint): model.name for model in self._service.models.all}
        names = [known.get(encoder.model, encoder.model) for encoder in made.encoders]
        return [await lend(self._service, name, lane) for name in names]

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = together(list(self._waiting), TOGETHER)
                for _ in batch:
                    self._waiting.popleft()
                await self._do(batch)
        finally:
            self._worker = None

    async def _do(self, batch: Sequence[Job]) -> None:
        """Do jobs in one run; where it fails, each in a run of its own, so that one does not fail the others."""
        started = time.monotonic()
        while True:
            for job in batch:
                job.begin()
            try:
                await self._run(batch)
            except LockedError:
                for job in batch:
                    job.state = "waiting"
                await asyncio.sleep(LOCKED_PAUSE)
                continue
            except Exception as error:
                if len(batch) > 1:
                    for job in batch:
                        await self._do([job])
                    return
                if not isinstance(error, BeigeError):
                    _log.error("job failed", exc_info=error)
                self._end(batch[0], str(error) if isinstance(error, BeigeError) else "it failed; the log says how")
                return
            break
        spent = time.monotonic() - started
        self._rate = _MEMORY * self._rate + (1 - _MEMORY) * sum(job.size for job in batch) / max(spent, 1e-3)
        for job in batch:
            self._end(job)

    def _end(self, job: Job, reason: str | None = None) -> None:
        self._bytes -= job.size
        for item in job.add:
            if isinstance(item, Upload):
                item.path.unlink(missing_ok=True)
        job.end(reason)
        self.jobs.ended(job)

    async def _run(self, batch: Sequence[Job]) -> None:
        """Do jobs; what becomes durable is counted as it does."""
        owner = owners(batch)
        loop = asyncio.get_running_loop()

        def tell(change: Change) -> None:
            loop.call_soon_threadsafe(partial(_count, change, owner))

        if batch[0].add:
            lent = await self._lend("ingestion")
            await asyncio.to_thread(self._add, batch, lent, tell)
        elif await asyncio.to_thread(self._place.exists):
            await asyncio.to_thread(self._delete, batch, tell)
        else:
            raise Refusal("not_found", "there is no index yet")

    def _add(self, batch: Sequence[Job], lent: Sequence[Embedder], tell: Callable[[Change], None]) -> None:
        with Index.open(self._place, lent) as index:
            index.add(*(item for job in batch for item in job.add), ttl=batch[0].ttl, tell=tell)

    def _delete(self, batch: Sequence[Job], tell: Callable[[Change], None]) -> None:
        with Index.open(self._place) as index:
            names = (name for job in batch for name in job.delete)
            index.delete(*names, prefix=batch[0].prefix, tell=tell)


def _count(change: Change, owner: Callable[[str], Job]) -> None:
    owner(change.source).count(change)


def models_of(place: Place | None) -> list[str]:
    """The models that an index needs; none where there is no index yet."""
    made = None if place is None else place.manifest()
    return [] if made is None else [encoder.model for encoder in made.encoders]
