"""A leg's cache: an immutable base in a file, a tail in memory of what changed since, and the writer's merging."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from beige.index.cache_file import CacheFile, DamagedCacheError, read
from beige.index.codec import Rows
from beige.index.database import Change, Reading
from beige.index.manifest import Leg
from beige.index.store import Ids
from beige.values import Floats, Sparse

Alive = NDArray[np.bool_]


class Part(Protocol):
    """Some of a leg's vectors, made searchable."""

    @property
    def ids(self) -> Ids:
        """Their chunks: (n,), ascending."""


@dataclass(frozen=True, eq=False)
class View:
    """A leg as it stood after one change: immutable, so that it is searched without a lock.

    Attributes:
        change: the last change in it.
        parts: the base and the tail, each with which of its chunks are alive; later parts have higher ids.
        base: the change that the base holds.
    """

    change: Change
    parts: tuple[tuple[Any, Alive], ...]
    base: Change

    @property
    def living(self) -> int:
        """How many chunks are in it."""
        return sum(int(np.count_nonzero(alive)) for _, alive in self.parts)


class Kind(Protocol):
    """How one kind of leg is held, scored and written; a part is always one that the same kind made."""

    def part(self, rows: Rows) -> Part:
        """Make vectors searchable, in memory."""

    def join(self, parts: Sequence[tuple[Any, Alive]]) -> Part:
        """What is alive of several parts as one, in memory."""

    def open(self, file: CacheFile) -> Part:
        """The part that a cache holds."""

    def candidates(self, view: View, query: Floats | Sparse, k: int, reading: Reading) -> tuple[Ids, Floats]:
        """Chunks and their scores: the k best, all that tie with the last of them, and others, in no order."""

    def scores(self, view: View, query: Floats | Sparse, rows: Rows) -> Floats:
        """The score of each of these vectors: (n,)."""

    def grow(self, reading: Reading, chunks: int) -> None:
        """Prepare for the next `write` after so many chunks were committed, where it would otherwise take long."""

    def write(self, path: Path, reading: Reading, base: Callable[[], tuple[Part, Change] | None]) -> None:
        """Write a cache of all that is stored.

        Args:
            path: of the cache.
            reading: the database; nothing is committed meanwhile.
            base: gives the cache that stands, None where there is none that can be used.
        """


class LegCache:
    """A leg's view, brought up to date before each search, and the file beneath it."""

    def __init__(self, path: Path, number: int, leg: Leg, kind: Kind, notice: Callable[[str], None]) -> None:
        self.name = leg.name
        self.path = path
        self._notice = notice
        self.kind = kind
        self._number = number
        self._leg = leg
        self._lock = threading.Lock()
        self._view: View | None = None
        self._file: tuple[int, int, int] | None = None

    def view(self, reading: Reading) -> View:
        """The leg as this reading transaction sees it.

        The transaction must be begun by this call, within the lock: otherwise another thread could take the view
        past what the transaction sees.
        """
        with self._lock:
            head = reading.head()
            view = self._view
            if view is not None and view.change == head:
                return view
            file = self._identity()
            if view is None or file != self._file or not reading.remembers(view.change):
                view = self._load(reading)
                self._file = file
            self._view = view = self._refreshed(view, reading, head)
            return view

    def base(self, reading: Reading) -> tuple[Part, Change]:
        """What the file holds.

        Raises:
            FileNotFoundError: there is none.
            DamagedCacheError: it is damaged, or of another history than the database.
        """
        file = read(self.path)
        if not reading.remembers(file.change):
            raise DamagedCacheError(f"{self.path} belongs to another history of the index")
        try:
            return self.kind.open(file), file.change
        except (KeyError, ValueError, RuntimeError) as error:
            raise DamagedCacheError(f"{self.path}: {error}") from error

    def merge(self, reading: Reading) -> None:
        """Write a new file that holds everything; searches take it up when they next look."""

        def base() -> tuple[Part, Change] | None:
            try:
                return self.base(reading)
            except (FileNotFoundError, DamagedCacheError):
                return None

        self.kind.write(self.path, reading, base)

    def _identity(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _load(self, reading: Reading) -> View:
        try:
            part, change = self.base(reading)
        except (OSError, DamagedCacheError) as error:
            # The database has everything: a lost cache costs time, never data.
            state = "missing" if isinstance(error, FileNotFoundError) else "damaged"
            self._notice(
                f"the cache of leg {self._leg.name!r} is {state}: searches read the database, more slowly, until "
                "beige index rebuilds it"
            )
            change = reading.head()
            part = self.kind.part(reading.rows(self._number, self._leg, after=0))
        return View(change, ((part, everything(part)),), change)

    def _refreshed(self, view: View, reading: Reading, head: Change) -> View:
        if view.change == head:
            return view
        removed = np.array(reading.removed(view.change.removed), np.int64)
        parts = [(part, survivors(part.ids, alive, removed)) for part, alive in view.parts]
        base, tail = parts[0], list(parts[1:])
        fresh = reading.rows(self._number, self._leg, after=view.change.added)
        if len(fresh.ids):
            new = self.kind.part(fresh)
            tail.append((new, everything(new)))
        if len(tail) > 1:
            joined = self.kind.join(tail)
            tail = [(joined, everything(joined))]
        return View(head, (base, *tail), view.base)


def everything(part: Part) -> Alive:
    """All of a part."""
    return np.ones(len(part.ids), bool)


def survivors(ids: Ids, alive: Alive, removed: Ids) -> Alive:
    """Which chunks of a part are alive once these have been removed."""
    if not len(ids) or not len(removed):
        return alive
    places = np.minimum(np.searchsorted(ids, removed), len(ids) - 1)
    dead = places[ids[places] == removed]
    if not len(dead):
        return alive
    survivors = alive.copy()
    survivors[dead] = False
    return survivors
