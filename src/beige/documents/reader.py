"""Reads files in worker processes, each file within a limit of time and memory.

A file that overruns either, or crashes its parser, is a `Failure` by its name; its worker is ended and the rest goes on
in another.

The workers are fresh Python processes that speak JSON over pipes, not `multiprocessing`'s: fork is unsafe beside
openvino's threads, spawn and forkserver import the caller's main module again (so that a script without a main guard
would start itself over and over), and pickled answers would let a parser's memory error run code here. The pipes are
the look-ahead: a worker whose answers are not taken stops when its pipe is full, so memory does not grow.
"""

import math
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from beige import environment
from beige.documents import messages
from beige.documents.chunk import Document, Failure
from beige.documents.process import Process, wait
from beige.documents.records import Names
from beige.documents.splitter import CHUNK_TOKENS
from beige.documents.walk import Found
from beige.errors import UsageError

_FILES, _BYTES = 64, 256 << 10
"""A batch ends with its 64th file or 256 KiB: many small files cost one message, a large one is a batch of its own."""

_MESSAGE = 16 << 10
"""Most bytes of a batch's paths: two batches fit into a worker's input, so that writing one never waits."""

_AHEAD = 2
"""Batches a worker has at most: the one it reads and the next."""


class Reader:
    """Reads and splits files for one model. Closing it ends its workers.

    Args:
        tokenizer: the checkpoint's `tokenizer.json`.
        chunk_tokens: most tokens of a chunk, with its heading path and the special tokens.
        workers: processes; by default a quarter of the processors, from 2 to 8. They start as they are needed.
        seconds: processor time that a file may take, and a second more for each MiB of it; by the clock it may take ten
            times that. For a file of records, the time between two of them.
        memory: the most bytes that a worker may use, where the system can enforce it (Linux).
        names: which fields of records are text, title and id.
    """

    def __init__(
        self,
        tokenizer: Path,
        *,
        chunk_tokens: int = CHUNK_TOKENS,
        workers: int | None = None,
        seconds: float = 60.0,
        memory: int = 1 << 30,
        names: Names | None = None,
    ) -> None:
        self._most = workers or min(8, max(2, environment.cores() // 4))
        self._seconds = seconds
        self._memory = memory
        self._configuration = messages.dump(
            {
                "tokenizer": os.fspath(tokenizer),
                "chunk_tokens": chunk_tokens,
                "seconds": seconds,
                "memory": memory,
                "names": asdict(names or Names()),
            }
        )
        self._idle: list[Process] = []
        self._all: list[Process] = []
        self._closed = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers. From another thread too: a `read` that goes on there gives nothing more."""
        with self._lock:
            self._closed.set()
            for worker in self._all:
                worker.end()
        while self._idle:
            self._bury(self._idle.pop())

    def read(self, files: Iterable[Found | Failure]) -> Iterator[Document | Failure]:
        """What each file holds: a document, several for a file of records, or a failure.

        In the order of the files within each worker, in no order across workers. Failures among the files are passed
        on. Files are taken from the iterable as there is room for them.

        Raises:
            BeigeError: the workers cannot start, or refuse the configuration.
        """
        queue = _Queue(files)
        workers: list[Process] = []
        try:
            while not self._closed.is_set():
                self._hand_out(queue, workers)
                yield from queue.failures()
                busy = [worker for worker in workers if worker.files]
                if not busy and queue.exhausted:
                    break
                for worker in wait(busy, self._seconds) if busy else ():
                    yield from worker.results()
                    if self._closed.is_set():
                        return
                    if worker.dead or worker.left(self._seconds) <= 0:
                        yield from self._replace(worker, workers, queue)
        finally:
            for worker in workers:
                if (
                    worker.files or self._closed.is_set()
                ):  # left in the middle: by an error, Ctrl-C, a caller that has enough
                    self._bury(worker)
                else:
                    self._idle.append(worker)

    def _start(self, workers: list[Process]) -> Process:
        """A worker that has nothing to do, added to those of this run."""
        with self._lock:
            if self._closed.is_set():
                raise UsageError("the reader is closed; open another one")
            if self._idle:
                worker = self._idle.pop()
            else:
                worker = Process(self._configuration)
                self._all.append(worker)
        workers.append(worker)
        return worker

    def _bury(self, worker: Process) -> int:
        """End a worker; returns its exit code."""
        with self._lock:
            self._all.remove(worker)
        return worker.close()

    def _hand_out(self, queue: "_Queue", workers: list[Process]) -> None:
        """Give batches to the workers with the least to do; while all have something, another one starts."""
        while True:
            worker = min(workers, key=lambda worker: worker.batches, default=None)
            start = len(workers) < self._most and (worker is None or worker.batches > 0)
            if not start and worker is not None and worker.batches >= _AHEAD:
                return
            batch = queue.next()
            if not batch:
                return
            if start or worker is None:
                worker = self._start(workers)
            worker.send(batch)

    def _replace(self, worker: Process, workers: list[Process], queue: "_Queue") -> Iterator[Failure]:
        """End a worker: the file that it was at fails, the others go to other workers.

        A worker that crashed on a file after others may have suffered from those: the file is tried in a fresh one.
        """
        workers.remove(worker)
        code = self._bury(worker)
        late = not worker.dead or code == -signal.SIGXCPU
        if not worker.files:
            return
        file, *others = worker.files
        queue.put_back(others)
        if not late and worker.finished and not worker.partial:
            self._start(workers).send([file])
            return
        limit = f"more than {self._memory >> 20} MiB of memory"
        if late:
            reason = f"it takes more than {math.ceil(messages.patience(file, self._seconds))} s to read"
        elif code == messages.OUT_OF_MEMORY:
            reason = f"it needs {limit} to read"
        else:
            reason = f"it crashes its parser, or needs {limit}"
        yield Failure(file.source, reason)


class _Queue:
    """The files that are to be read, in batches."""

    def __init__(self, files: Iterable[Found | Failure]) -> None:
        self._files = iter(files)
        self._again: deque[list[Found]] = deque()
        self._failures: list[Failure] = []
        self.exhausted = False

    def next(self) -> list[Found]:
        """The next batch; empty where there is none, or where a failure is next."""
        if self._again:
            return self._again.popleft()
        batch: list[Found] = []
        size = length = 0
        while len(batch) < _FILES and size < _BYTES and length < _MESSAGE:
            file = next(self._files, None)
            if file is None:
                self.exhausted = True
                break
            if isinstance(file, Failure):
                self._failures.append(file)
                break
            batch.append(file)
            size += file.size
            length += len(messages.pack_files([file]))
        return batch

    def put_back(self, files: Sequence[Found]) -> None:
        """Files that a worker did not come to."""
        if files:
            self.exhausted = False  # until `next` finds it so again
            self._again.append(list(files))

    def failures(self) -> Iterator[Failure]:
        """The failures that were met among the files."""
        while self._failures:
            yield self._failures.pop(0)
