"""One writer at a time: a lock that the kernel releases when its process dies, however it dies."""

import fcntl
import os
from pathlib import Path
from typing import Self

from beige.errors import LockedError
from beige.index.connection import named

_held: set[tuple[int, int]] = set()
"""Locks of this process, by device and inode.

POSIX locks do not exclude their own process, and closing any descriptor of the file releases them: a second writer in
this process has to be refused before it opens the file. They are not inherited by forked workers, which is why they
are used and not `flock`: a worker that outlives a killed writer must not keep the index locked.
"""


class WriteLock:
    """The lock file of an index, held from construction to `release`."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            LockedError: somebody else holds it.
            OSError: the file cannot be made.
        """
        if path.exists() and _identity(path.stat()) in _held:
            raise LockedError(_refusal(path, str(os.getpid())))
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise LockedError(_refusal(path, holder)) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._key = _identity(os.fstat(self._descriptor))
        _held.add(self._key)

    def release(self) -> None:
        """Let the next writer in; the file stays, for removing it would let two writers lock two files."""
        if self._key in _held:
            _held.discard(self._key)
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _refusal(path: Path, holder: str) -> str:
    return (
        f"process {holder or '(starting)'} is writing to the index {named(path.parent)}: "
        "wait until it has finished, or stop it; searching goes on meanwhile"
    )
