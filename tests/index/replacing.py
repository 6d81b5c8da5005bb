"""Searches while other indexes take the place of the one that is searched, wherever it is."""

import threading
import time

from beige import Text
from beige.index import Index
from beige.search import Searcher
from tests.standin import StandIn


def give(where: str, embedder: StandIn, *names: str) -> None:
    """Add a text of each name, which says the name."""
    with Index.open(where, embedder) as index:
        index.add(Text(name, f"the stone of {name}") for name in names)


def check_searches(where: str, embedder: StandIn, documents: int, replacements: int) -> None:
    """Two threads search while the index is replaced again and again.

    Each index has documents of one name only, and of another number: an answer of two of them would show.

    Args:
        where: an index's place, where there is none.
        embedder: of all of them.
        documents: of the first one; each has one more than that before it.
        replacements: how many.
    """
    give(where, embedder, *(f"0-{n}" for n in range(documents)))
    stop = threading.Event()
    wrong: list[object] = []
    seen: set[str] = set()

    def search() -> None:
        try:
            while not stop.is_set():
                hits = searcher.search("stone of", 100)
                names = {hit.source.partition("-")[0] for hit in hits}
                if len(names) != 1 or len(hits) != documents + int(next(iter(names))):
                    wrong.append([hit.source for hit in hits])
                if any(hit.text != f"the stone of {hit.source}" for hit in hits):
                    wrong.append(hits)
                seen.update(names)
        except Exception as error:
            wrong.append(error)

    with Index.open(where, embedder) as index, Searcher(index, embedder) as searcher:
        threads = [threading.Thread(target=search) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(1, replacements + 1):
            with Index.anew(where, embedder) as new:
                new.add(Text(f"{number}-{n}", f"the stone of {number}-{n}") for n in range(documents + number))
            while not wrong and str(number) not in seen:
                time.sleep(0.01)
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
