"""From documents to stored vectors: read, embed, store, each stage working while the others do.

A thread reads (files in worker processes), the calling thread embeds, another thread stores; bounded channels lie
between them, so that memory does not grow with the corpus. The unit of storing is the document: it is told of once it
is durable as a whole.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from beige.analyser import Analyser
from beige.documents.chunk import Document
from beige.index.channel import Channel
from beige.index.files import Step
from beige.index.origins import Origin
from beige.index.report import Change, Report
from beige.index.sqlite_store import SqliteStore
from beige.index.store import Entry
from beige.values import Floats

if TYPE_CHECKING:
    from beige.embedder import Embedder

WINDOW_SECONDS = 2.0
"""How long the texts that are embedded together should take: long enough to pack well, short enough to lose little."""

DENSE, BM25 = "dense", "bm25"  # the legs

FIRST_WINDOW = 50_000  # characters, while the speed of the model is not known
SMALLEST_WINDOW = 10_000
WAITING = 4_000_000  # characters that may wait between two stages
PAGE = 1000  # documents removed in one transaction
PATIENCE = 0.5  # seconds that a window waits for slow files
ENDING = 2.0  # seconds that a run that is broken off waits for its reading to end: whoever gives texts may be silent


@dataclass(frozen=True, eq=False, slots=True)
class _Ready:
    """A step, and the dense vectors of its document's chunks, (chunks, d)."""

    document: Document | None
    vectors: Floats
    change: Change


class Pipeline:
    """One run.

    Args:
        store: open for writing.
        embedder: of the store's fingerprint.
        analyser: of the store's manifest.
        tell: called with each change, from one thread at a time but not always the same.
    """

    def __init__(
        self,
        store: SqliteStore,
        embedder: "Embedder",
        analyser: Analyser,
        tell: Callable[[Change], None],
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._analyser = analyser
        self._tell = tell
        self._telling = threading.Lock()
        self._report = Report()
        self._read: Channel[Step] = Channel(WAITING)
        self._embedded: Channel[list[_Ready]] = Channel(WAITING)
        self._empty = np.empty((0, store.manifest.dimension), np.float32)

    def run(self, origins: Sequence[Origin]) -> Report:
        """Bring the store up to date with what comes from these origins, one after the other."""
        started = time.monotonic()
        reading = self._stage("beige-read", lambda: self._read_all(origins))
        storing = self._stage("beige-store", self._store_all)
        try:
            self._embed_all()
            storing.join()
            self._embedded.take()  # raises what the storing stage failed with
        except BaseException as error:
            self._break_off(error)
            for origin in origins:
                origin.close()  # it may wait for a slow file
            reading.join(ENDING)
            storing.join()  # it ends with the transaction that it is at
            raise
        self._report.seconds = time.monotonic() - started
        return self._report

    # Reading, in a thread of its own.

    def _read_all(self, origins: Sequence[Origin]) -> None:
        for origin in origins:
            for document, change in origin.steps(self._say):
                if document is None and change.kind != "removed":
                    self._say(change)
                else:
                    chunks = document.chunks if document else ()
                    self._read.give((document, change), sum(len(chunk.text) for chunk in chunks))
        self._read.close()

    # Embedding, in the thread that called.

    def _embed_all(self) -> None:
        window = FIRST_WINDOW
        while steps := self._read.take(window, PATIENCE):
            started = time.monotonic()
            ready, embedded = self._embed(steps)
            self._settle(ready)
            self._embedded.give(ready, sum(len(c.text) for r in ready if r.document for c in r.document.chunks))
            if embedded:
                pace = embedded / (time.monotonic() - started)  # characters a second
                window = max(SMALLEST_WINDOW, int(min(max(pace * WINDOW_SECONDS, window / 2), window * 2)))
        self._embedded.close()

    def _embed(self, steps: Sequence[Step]) -> tuple[list[_Ready], int]:
        """The steps with their vectors, and how many characters had to be embedded for them."""
        keys = [[chunk.key for chunk in document.chunks] if document else [] for document, _ in steps]
        texts = {
            key: chunk.embedded_text
            for (document, _), names in zip(steps, keys, strict=True)
            if document
            for key, chunk in zip(names, document.chunks, strict=True)
        }
        vectors = dict(self._store.known(DENSE, list(texts)))
        fresh = {key: text for key, text in texts.items() if key not in vectors}
        spent: dict[str, tuple[int, bool]] = {}  # by key, its tokens and whether they were too many
        if fresh:
            for key, embedding in zip(fresh, self._embedder.encode_document(list(fresh.values())), strict=True):
                assert embedding.dense is not None
                vectors[key] = embedding.dense
                spent[key] = (embedding.tokens, embedding.truncated)
        ready = []
        for (document, change), names in zip(steps, keys, strict=True):
            dense = np.stack([vectors[key] for key in names]) if names else self._empty
            costs = [spent.pop(key, (0, False)) for key in names]
            told = replace(
                change,
                chunks=0 if change.kind == "unchanged" else len(names),
                tokens=sum(tokens for tokens, _ in costs),
                cut=sum(cut for _, cut in costs),
            )
            ready.append(_Ready(document, dense, told))
        return ready, sum(map(len, fresh.values()))

    def _settle(self, ready: Sequence[_Ready]) -> None:
        """Fix, from the first documents of an index, what its manifest says of all."""
        if self._store.manifest.average_length is None:
            lengths = [
                self._analyser.counts(c.embedded_text, r.document.language).total()
                for r in ready
                if r.document
                for c in r.document.chunks
            ]
            if any(lengths):
                self._store.update_manifest(average_length=sum(lengths) / len(lengths))

    # Storing, in a thread of its own.

    def _store_all(self) -> None:
        for ready in self._embedded:
            self._store.upsert([self._entry(r.document, r.vectors) for r in ready if r.document])
            gone = [r.change.source for r in ready if not r.document]
            for start in range(0, len(gone), PAGE):
                self._store.delete(gone[start : start + PAGE])
            for r in ready:
                self._say(r.change)

    def _entry(self, document: Document, dense: Floats) -> Entry:
        average = self._store.manifest.average_length or 1.0  # none: no text so far had a word
        bm25 = tuple(
            self._analyser.document(chunk.embedded_text, average, document.language) for chunk in document.chunks
        )
        return Entry(document, {DENSE: dense, BM25: bm25})

    # What the stages share.

    def _say(self, change: Change) -> None:
        with self._telling:
            self._report.count(change)
            self._tell(change)

    def _stage(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self._break_off(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def _break_off(self, error: BaseException) -> None:
        self._read.fail(error)
        self._embedded.fail(error)
