"""A new index beside the old one, which takes its place as a whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beige.index.connection import explained
from beige.index.folder_generations import swap
from beige.index.generations import NEXT, PREVIOUS, REBUILD
from beige.index.lock import WriteLock
from beige.index.sqlite_store import LOCK


@contextmanager
def replacement(folder: Path) -> Iterator[Path]:
    """A folder for a new index, moved over the one in `folder` when the block ends without an error.

    Processes that search the old index go on with the new one; no moment has half of each. What a migration of the old
    one has left goes with it.

    Raises:
        LockedError: another process writes to the old index.
        StoreError: the folder cannot be written.
    """
    beside = folder / REBUILD
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = WriteLock(folder / LOCK)
    with lock:
        shutil.rmtree(beside, ignore_errors=True)  # of one that was killed
        try:
            yield beside
            with explained(folder):
                swap(folder, beside)
                for other in (NEXT, PREVIOUS):
                    shutil.rmtree(folder / other, ignore_errors=True)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
