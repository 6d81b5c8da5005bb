"""Several devices: one process with a PyTorch engine of its own on each, fed by whichever thread asks.

A process that dies, by whatever cause, is an error at once for everybody who waits.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from beige.engines.batches import Batch, batches, in_order
from beige.engines.exits import Exits
from beige.engines.precision import Choice
from beige.engines.results import Raw, finite
from beige.engines.torch_engine import BUDGETS
from beige.environment import cores
from beige.errors import EngineError, NotFiniteError
from beige.models.checkpoint import Checkpoint
from beige.models.tokenizer import Tokens

_START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from beige.engines.torch_worker import main; main()"
"""A program of its own rather than `multiprocessing`, which would run the caller's script again."""

_Results = list[tuple[int, Raw | NotFiniteError]]
Reply = _Results | Exception
_Job = tuple[Batch, tuple[str, ...], SimpleQueue[Reply]]


class TorchPool:
    """Runs a checkpoint on several devices; see `Engine`.

    Attributes:
        budget: tokens of a batch, padding included.
    """

    def __init__(
        self, checkpoint: Checkpoint, devices: Sequence[str], choice: Choice, exits: Exits | None = None
    ) -> None:
        """Start the processes and wait until all have loaded the model.

        Args:
            checkpoint: what to run.
            devices: as PyTorch calls them; one may stand there twice.
            choice: the precision.
            exits: for a reranker that can stop early.

        Raises:
            EngineError: a process died.
            BeigeError: what an engine raised when it loaded.
        """
        self.device = ",".join(devices)
        self.choice = choice
        self.budget = BUDGETS[devices[0].partition(":")[0]]
        self.streams = 2 * len(devices)  # for each one runs, one is ready to follow
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._workers = [_Worker(device, threads=max(1, cores() // len(devices))) for device in devices]
        self._finish = weakref.finalize(self, _close, self._workers, self._jobs)
        for worker in self._workers:
            worker.send((checkpoint, worker.device, choice, exits))
        for worker in self._workers:
            loaded = worker.receive()
            if isinstance(loaded, Exception):
                self._finish()
                raise loaded
        failed: list[Exception] = []
        for worker in self._workers:
            threading.Thread(target=_feed, args=(worker, self._jobs, failed), daemon=True).start()

    def run(self, texts: Iterable[Tokens], outputs: tuple[str, ...]) -> Iterator[Raw]:
        """See `Engine.run`."""
        return in_order(finite(self._results(texts, outputs)))

    def run_batch(self, texts: Sequence[Tokens], outputs: tuple[str, ...]) -> list[Raw | NotFiniteError]:
        """See `Engine.run_batch`."""
        replies: SimpleQueue[Reply] = SimpleQueue()
        self._jobs.put((Batch(tuple(range(len(texts))), tuple(texts)), outputs, replies))
        return list(in_order(_unpack(replies.get())))

    def _results(self, texts: Iterable[Tokens], outputs: tuple[str, ...]) -> Iterator[tuple[int, Raw | NotFiniteError]]:
        replies: SimpleQueue[Reply] = SimpleQueue()
        waiting = 0
        for batch in batches(texts, self.budget):
            if waiting == self.streams:
                yield from _unpack(replies.get())
                waiting -= 1
            self._jobs.put((batch, outputs, replies))
            waiting += 1
        for _ in range(waiting):
            yield from _unpack(replies.get())


class _Worker:
    """A process and the socket to it."""

    def __init__(self, device: str, threads: int) -> None:
        self.device = device
        mine, theirs = socket.socketpair()
        with theirs:
            path = json.dumps([entry for entry in sys.path if entry])
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, path, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C reaches the caller alone, which ends its workers
                env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            )
        self._socket = Connection(mine.detach())

    def send(self, message: object) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionError):  # it died: `receive` says so
            self._socket.send(message)

    def receive(self) -> Any:
        """What it sent, or the error that it is dead."""
        try:
            return self._socket.recv()
        except (EOFError, ConnectionError):
            return EngineError(
                f"the process of {self.device} died (exit code {self.process.wait()}): open the model again"
            )

    def close(self) -> None:
        self.process.kill()  # whoever waits for its answer reads the socket's end
        self.process.wait()


def _feed(worker: _Worker, jobs: SimpleQueue[_Job | None], failed: list[Exception]) -> None:
    """Hand jobs to a worker, one after the other; once any worker is dead, jobs are answered with that alone."""
    while (job := jobs.get()) is not None:
        batch, outputs, replies = job
        if not failed:
            worker.send((batch, outputs))
            reply = worker.receive()
            if worker.process.poll() is not None and isinstance(reply, Exception):
                failed.append(reply)
            replies.put(reply)
        else:
            replies.put(failed[0])


def _close(workers: Sequence[_Worker], jobs: SimpleQueue[_Job | None]) -> None:
    for worker in workers:
        worker.close()
        jobs.put(None)


def _unpack(reply: Reply) -> _Results:
    if isinstance(reply, Exception):
        raise reply
    return reply
