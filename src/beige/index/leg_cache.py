"""A leg's cache: an immutable base in a file, a tail in memory of what changed since, and how both are kept up."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np

from beige.index.cache_file import CacheFile, DamagedCacheError, read
from beige.index.codec import Blobs
from beige.index.database import Change, Reading
from beige.index.store import Ids, Vector, Vectors
from beige.index.view import Alive, P, View, everything, survivors
from beige.values import Floats

Q_contra = TypeVar("Q_contra", contravariant=True)

Base = Callable[[], tuple[P, Change] | None]
"""Opens the cache that stands and tells the last change it holds; None where none can be used."""


class Encodes(Protocol):
    """How one kind of leg stands in the database.

    Attributes:
        number: the leg's place in the manifest, which is that of its table.
    """

    number: int

    def encode(self, vectors: Vectors, source: str) -> list[bytes]:
        """A document's vectors as they are stored, one blob a chunk.

        Raises:
            StoreError: they do not fit the leg.
        """

    def decode(self, blobs: Sequence[bytes]) -> Sequence[Vector]:
        """The inverse of `encode` but for rounding; encoded again they are the same."""


class Kind(Encodes, Protocol[P, Q_contra]):
    """How one kind of leg is held, scored and written; its queries are of type `Q_contra`."""

    def check(self, query: Q_contra) -> None:
        """Refuse a query that does not fit the leg.

        Raises:
            StoreError: it does not.
        """

    def part(self, blobs: Blobs) -> P:
        """Make vectors searchable, in memory."""

    def join(self, parts: Sequence[tuple[P, Alive]]) -> P:
        """What is alive of several parts that `part` and `join` made, as one; ids ascend from part to part."""

    def open(self, file: CacheFile) -> P:
        """The part that a cache holds."""

    def keeps(self, part: P) -> bool:
        """Whether a cache's part is as the leg keeps it now; else it serves until it is written anew."""

    def candidates(
        self, view: View[P], within: View[P], query: Q_contra, k: int, reading: Reading
    ) -> tuple[Ids, Floats]:
        """Chunks and their scores: the k best, all that tie with the last of them, and others, in no order.

        Args:
            view: the leg; what counts for IDF.
            within: the same parts, alive what may be found.
            query: that is answered.
            k: how many are wanted, from 1.
            reading: the transaction.
        """

    def scores(self, view: View[P], query: Q_contra, ids: Ids, reading: Reading) -> Floats:
        """The score of each of these chunks: (n,), NaN where it is gone."""

    def grow(self, reading: Reading) -> Callable[[], int]:
        """Read some of the new chunks, to prepare for the next `write`.

        Returns:
            What prepares, once the transaction is over; it gives the last chunk that is prepared for.
        """

    def write(self, path: Path, reading: Reading, base: Base[P]) -> None:
        """Write a cache of all that the transaction sees."""


class LegCache(Generic[P, Q_contra]):
    """A leg's view, brought up to date before each search, and the file beneath it; used by several threads.

    Args:
        name: of the leg.
        path: of the file.
        kind: of the leg.
        notice: told, in a sentence, when the file cannot be used.
    """

    def __init__(self, name: str, path: Path, kind: Kind[P, Q_contra], notice: Callable[[str], None]) -> None:
        self.name = name
        self.path = path
        self.kind = kind
        self._notice = notice
        self._lock = threading.Lock()
        self._view: View[P] | None = None
        self._file: tuple[int, int, int] | None = None

    def view(self, reading: Reading) -> View[P]:
        """The leg as this transaction sees it.

        The transaction must not have read anything yet. Its snapshot begins in here: after the file was opened, so
        that the file is not ahead of it, and within the lock, so that no other thread takes the view past it.
        """
        with self._lock:
            while True:
                file = self._identity()
                view = self._view if self._view is not None and file == self._file else self._opened()
                head = reading.head()
                if view is not None and (view.change == head or reading.remembers(view.change)):
                    break
                if file == self._identity():
                    view = self._scanned(reading, head)
                    break
                # The writer has merged since: its file is needed to understand the log.
                reading.restart()
            self._view, self._file = self._refreshed(view, reading, head), file
            return self._view

    def base(self, reading: Reading, *, verify: bool = False) -> tuple[P, Change]:
        """What the file holds, and its last change.

        Args:
            reading: to tell whether the change is one of the database's.
            verify: read the whole file through.

        Raises:
            FileNotFoundError: there is none.
            DamagedCacheError: it is damaged, or of another history than the database.
        """
        part, change = self._open(verify=verify)
        if not reading.remembers(change):
            raise DamagedCacheError(f"{self.path} belongs to another history of the index")
        return part, change

    def state(self, reading: Reading) -> str:
        """How the file stands to the database: "current", "behind", "missing" or "damaged"."""
        while True:
            reading.restart()  # the file is opened first, as in `view`
            file = self._identity()
            try:
                _, change = self.base(reading, verify=True)
            except FileNotFoundError:
                return "missing"
            except DamagedCacheError:
                if file == self._identity():
                    return "damaged"
                continue  # the writer has merged since, and forgotten what the old file needs
            return "current" if change == reading.head() else "behind"

    def merge(self, reading: Reading) -> None:
        """Write a new file that holds everything; searches take it up when they next look."""

        def base() -> tuple[P, Change] | None:
            try:
                return self.base(reading)
            except (FileNotFoundError, DamagedCacheError):
                return None

        self.kind.write(self.path, reading, base)

    def _open(self, *, verify: bool = False) -> tuple[P, Change]:
        file = read(self.path, verify=verify)
        try:
            return self.kind.open(file), file.change
        except (KeyError, ValueError, RuntimeError) as error:
            raise DamagedCacheError(f"{self.path}: {error}") from error

    def _identity(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _opened(self) -> View[P] | None:
        try:
            part, change = self._open()
        except (FileNotFoundError, DamagedCacheError):
            return None
        return View(change, ((part, everything(part)),))

    def _scanned(self, reading: Reading, head: Change) -> View[P]:
        """The leg without its file: the database has everything, a lost cache costs time and never data."""
        self._notice(
            f"the cache of leg {self.name!r} is missing or damaged: searches read the database, more slowly, "
            "until beige index rebuilds it"
        )
        part = self.kind.part(reading.vectors(self.kind.number))
        return View(head, ((part, everything(part)),))

    def _refreshed(self, view: View[P], reading: Reading, head: Change) -> View[P]:
        if view.change == head:
            return view
        removed = np.array(reading.removed(view.change.removed), np.int64)
        base, *tail = [(part, survivors(part, alive, removed)) for part, alive in view.parts]
        if blobs := reading.vectors(self.kind.number, view.change.added):
            new = self.kind.part(blobs)
            tail.append((new, everything(new)))
        # Parts that at least halve from one to the next: a row is joined to others a few times, not at every change.
        while len(tail) > 1 and len(tail[-2][0].ids) < 2 * len(tail[-1][0].ids):
            whole = self.kind.join(tail[-2:])
            tail[-2:] = [(whole, everything(whole))]
        return View(head, (base, *tail))
