"""A process that writes to an index until it is killed: `python -m tests.index.writing FOLDER FIRST [DIE]`.

Step n is the same in every process. What is acknowledged is printed: "n" once step n is durable, "ready" at the start.
DIE names a moment of a merge, `leg:moment`, at which the process kills itself.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from beige.index.cache_file import CacheWriter
from beige.index.sqlite_store import SqliteStore
from beige.index.store import Store
from beige.index.writing import Writing
from tests.index.samples import PlainStore, entry

EXACT_ROWS, TAIL_ROWS = 30, 12
MOMENTS = (
    "dense:opened",
    "dense:written",
    "dense:renamed",
    "bm25:opened",
    "bm25:written",
    "sparse:renamed",
    ":history",
)


def step(store: Store | PlainStore, number: int) -> None:
    """One change, of several documents at once."""
    rng = np.random.default_rng(number)
    sources = [f"doc{n}" for n in rng.integers(0, 25, 3)]
    if number % 5 == 4:
        store.delete(sources)
    else:
        store.upsert([entry(source, int(rng.integers(1000))) for source in sources])


def die_at(wanted: str) -> None:
    """Have the process killed at a moment of the next merge."""
    leg, _, moment = wanted.partition(":")

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    enter, leave = CacheWriter.__enter__, CacheWriter.__exit__

    def entering(self: CacheWriter) -> CacheWriter:
        opened = enter(self)
        if moment == "opened" and self.temporary.name.startswith(leg):
            die()
        return opened

    def leaving(self: CacheWriter, *error: Any) -> None:
        if moment == "written" and self.temporary.name.startswith(leg):
            die()
        leave(self, *error)
        if moment == "renamed" and self.temporary.name.startswith(leg):
            die()

    CacheWriter.__enter__, CacheWriter.__exit__ = entering, leaving  # type: ignore[method-assign, assignment]
    if moment == "history":
        Writing.forget_history = lambda *_: die()  # type: ignore[method-assign, assignment]


def main(folder: str, first: str, moment: str = "") -> None:
    """Write until killed."""
    store = SqliteStore.open(Path(folder), write=True, exact_rows=EXACT_ROWS, tail_rows=TAIL_ROWS)
    if moment:
        die_at(moment)
    print("ready", flush=True)
    number = int(first)
    while True:
        step(store, number)
        print(number, flush=True)
        number += 1
        if moment:
            store.merge()


if __name__ == "__main__":
    main(*sys.argv[1:])
