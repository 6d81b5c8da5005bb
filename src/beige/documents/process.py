"""One worker process as the reader sees it: the files it has, its pipes, its end."""

import contextlib
import fcntl
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence

from beige import errors
from beige.documents import messages
from beige.documents.chunk import Document, Failure
from beige.documents.walk import Found

_PIPE = 1 << 20
"""Bytes of answers that may wait for the reader, where the system lets a pipe be that large."""

_SLACK = 10
"""How much longer than its processor time a file may take by the clock."""

_DYING = 5.0
"""Seconds between a worker's last word and its end."""

_START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from beige.documents.worker import main; main()"
"""The worker's program. It gets the reader's import path without the current folder, which Python's own would begin
with: a file among the documents must not pose as a module."""


class Process:
    """A worker process and the files that it was given and has not finished.

    Attributes:
        files: the unfinished ones, the one that is being read first.
        finished: how many files it has finished.
        partial: whether the file that is being read has given results already.
        waited: seconds that the reader has waited since the worker last said something.
        dead: whether it has ended by itself.
    """

    def __init__(self, configuration: bytes) -> None:
        self.files: deque[Found] = deque()
        self._ends: deque[int] = deque()
        self.finished = 0
        self.partial = False
        self.waited = 0.0
        self.dead = False
        self._ready = False
        self._rest: list[bytes] = []  # of a line that has not wholly arrived
        self._lines: deque[bytes] = deque()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        path = json.dumps([entry for entry in sys.path if entry])
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, path],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            process_group=0,  # Ctrl-C reaches the reader alone, which ends its workers
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # more than this user may have: the usual 64 KiB must do
                fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE)
        self._write(configuration)

    @property
    def batches(self) -> int:
        """How many of its batches are unfinished."""
        return len(self._ends)

    def fileno(self) -> int:
        """Its answers' descriptor, for a selector."""
        return self._output.fileno()

    def left(self, seconds: float) -> float:
        """How many seconds it may still be silent over its file, which may take `seconds` and more by its size.

        That is processor time, which the worker's kernel counts, so that a busy machine fails no file; here the clock
        runs ten times as long, for a parser that waits for what never comes.
        """
        return _SLACK * messages.patience(self.files[0], seconds) - self.waited if self.files else seconds

    def send(self, batch: Sequence[Found]) -> None:
        """Give it files to read."""
        self.files.extend(batch)
        self._ends.append(self.finished + len(self.files))
        self._write(messages.pack_files(batch))

    def receive(self) -> None:
        """Take what it has said; waits where it has said nothing."""
        self.waited = 0.0
        data = os.read(self.fileno(), _PIPE)
        self.dead = not data
        *complete, rest = data.split(b"\n")
        if complete:
            self._lines.append(b"".join((*self._rest, complete[0])))
            self._lines.extend(complete[1:])
            self._rest = []
        self._rest.append(rest)

    def results(self) -> Iterator[Document | Failure]:
        """What came of its files, as far as it was received.

        Raises:
            BeigeError: it refuses its configuration.
        """
        while self._lines:
            message = json.loads(self._lines.popleft())
            self._ready = True
            if message[0] == "refused":
                raise getattr(errors, message[1])(message[2])
            if message == messages.END:
                self.files.popleft()
                self.finished += 1
                self.partial = False
                if self.finished >= self._ends[0]:
                    self._ends.popleft()
            elif message != messages.READY:
                self.partial = True
                yield messages.unpack(message)

    def end(self) -> None:
        """Have it end at once; its output ends too, so that whoever waits for it wakes. `close` must follow."""
        self._process.kill()

    def close(self) -> int:
        """End it and let go of what it held; returns its exit code.

        Raises:
            BeigeError: it could not start.
        """
        if self.dead:  # let it finish dying: its exit code says why
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING)
        self._process.kill()
        code = self._process.wait()
        self._input.close()
        self._output.close()
        with self._errors:
            self._errors.seek(0)
            said = self._errors.read().decode("utf-8", "replace").strip()
        if code > 0 and not self._ready:
            reason = said.splitlines()[-1] if said else f"it ended with exit code {code}"
            raise errors.BeigeError(f"the process that reads files could not start: {reason}")
        return code

    def _write(self, message: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has just died, which its output will tell
            self._input.write(message)


def wait(processes: Sequence[Process], seconds: float) -> list[Process]:
    """Wait until some have said something, which is received, or have been silent for too long; gives these.

    Args:
        processes: all busy.
        seconds: see `Process.left`.
    """
    with selectors.DefaultSelector() as selector:
        for process in processes:
            selector.register(process, selectors.EVENT_READ, process)
        begin = time.monotonic()
        ready = [key.data for key, _ in selector.select(max(0.0, min(p.left(seconds) for p in processes)))]
        elapsed = time.monotonic() - begin
    for process in processes:
        if process in ready:
            process.receive()
        else:
            process.waited += elapsed
    return [process for process in processes if process in ready or process.left(seconds) <= 0]
