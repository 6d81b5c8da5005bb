"""From documents to stored vectors: read, embed, store, each stage working while the others do.

A thread reads (files in worker processes), the calling thread embeds, another thread stores; bounded channels lie
between them, so that memory does not grow with the corpus. The unit of storing is the document: it is told of once it
is durable as a whole. A large one passes part by part, so that memory grows with its text alone.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from beige.analyser import Analyser
from beige.index.channel import Channel
from beige.index.files import Step
from beige.index.manifest import Leg, Manifest
from beige.index.origins import Origin
from beige.index.piece import Piece, characters, pieces
from beige.index.report import Change, Report
from beige.index.store import Entry, Part, Store, Vector, Vectors
from beige.index.vectors import gathered, of_chunk

if TYPE_CHECKING:
    from beige.embedder import Embedder

WINDOW_SECONDS = 2.0
"""How long the texts that are embedded together should take: long enough to pack well, short enough to lose little."""

FIRST_WINDOW = 50_000  # characters, while the speed of the model is not known
SMALLEST_WINDOW = 10_000
WAITING = 4_000_000  # characters, and bytes of token vectors, that may wait between two stages
LARGE = 1_000_000  # characters of a document past which it passes in parts
LARGEST_WINDOW = 200_000  # characters, where a leg keeps a vector for each token: M3's of so many are 200 MB
PAGE = 1000  # documents removed in one transaction
PATIENCE = 0.5  # seconds that a window waits for slow files
ENDING = 2.0  # seconds that a run that is broken off waits for its reading to end: whoever gives texts may be silent


@dataclass(frozen=True, eq=False, slots=True)
class _Ready:
    """A piece, and the vectors of its chunks for each leg that a model makes.

    Attributes:
        change: the step's, with what the piece cost.
    """

    piece: Piece
    vectors: Mapping[str, Vectors]
    change: Change


class Pipeline:
    """One run.

    Args:
        store: open for writing.
        encoders: every model that makes vectors of the store, by name.
        analyser: of the store's manifest.
        tell: called with each change, from one thread at a time but not always the same.
        beside: another store, whose vectors are taken where the same model made them.
    """

    def __init__(
        self,
        store: Store,
        encoders: Mapping[str, "Embedder"],
        analyser: Analyser,
        tell: Callable[[Change], None],
        beside: Store | None = None,
    ) -> None:
        self._store = store
        self._beside = beside
        self._encoders = encoders
        self._analyser = analyser
        self._tell = tell
        self._telling = threading.Lock()
        self._report = Report()
        self._by_token = any(leg.kind == "multi" for leg in store.manifest.legs)
        self._read: Channel[Step] = Channel(WAITING)
        self._embedded: Channel[list[_Ready]] = Channel(WAITING)
        self._large = LARGEST_WINDOW if self._by_token else LARGE
        self._window = FIRST_WINDOW

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
                    self._read.give((document, change), characters(chunks))
        self._read.close()

    # Embedding, in the thread that called.

    def _embed_all(self) -> None:
        while steps := self._read.take(self._window, PATIENCE):
            for some in pieces(steps, self._large, lambda: self._window):
                started = time.monotonic()
                ready, embedded = self._embed(some)
                self._embedded.give(ready, sum(map(_weight, ready)))
                if embedded:
                    self._adapt(embedded / (time.monotonic() - started))
        self._embedded.close()

    def _adapt(self, pace: float) -> None:
        """Have the next window take the time that it should.

        Args:
            pace: characters a second.
        """
        window = int(min(max(pace * WINDOW_SECONDS, self._window / 2), self._window * 2))
        self._window = min(max(SMALLEST_WINDOW, window), LARGEST_WINDOW if self._by_token else window)

    def _embed(self, some: Sequence[Piece]) -> tuple[list[_Ready], int]:
        """The pieces with their vectors, and how many characters had to be embedded for them."""
        keys = [[chunk.key for chunk in piece.chunks] for piece in some]
        texts = {
            key: chunk.embedded_text
            for piece, names in zip(some, keys, strict=True)
            for key, chunk in zip(names, piece.chunks, strict=True)
        }
        vectors: dict[str, dict[str, Vector]] = {}  # by leg and key
        spent: dict[str, tuple[int, bool]] = {}  # by key, its tokens and whether they were too many
        embedded = 0
        for model in self._encoders:
            embedded += self._embed_by(model, texts, vectors, spent)
        ready = []
        for piece, names in zip(some, keys, strict=True):
            found = {
                leg.name: gathered(leg, [vectors[leg.name][key] for key in names])
                for leg in self._store.manifest.legs
                if leg.encoder is not None
            }
            costs = [spent.pop(key, (0, False)) for key in names]
            told = replace(
                piece.change,
                chunks=0 if piece.change.kind == "unchanged" else len(names),
                tokens=sum(tokens for tokens, _ in costs),
                cut=sum(cut for _, cut in costs),
            )
            ready.append(_Ready(piece, found, told))
        return ready, embedded

    def _embed_by(
        self,
        model: str,
        texts: Mapping[str, str],
        vectors: dict[str, dict[str, Vector]],
        spent: dict[str, tuple[int, bool]],
    ) -> int:
        """Add what a model makes of these texts, in one pass over those that are new; returns their characters."""
        legs = self._store.manifest.legs_of(model)
        for leg in legs:
            vectors[leg.name] = dict(self._store.known(leg.name, list(texts)))
            if self._beside is not None and _alike(leg, self._store.manifest, self._beside.manifest):
                missing = [key for key in texts if key not in vectors[leg.name]]
                vectors[leg.name] |= self._beside.known(leg.name, missing)
        fresh = {key: text for key, text in texts.items() if any(key not in vectors[leg.name] for leg in legs)}
        if fresh:
            outputs = tuple(dict.fromkeys(leg.kind for leg in legs))
            embeddings = self._encoders[model].encode_document(list(fresh.values()), outputs)
            for key, embedding in zip(fresh, embeddings, strict=True):
                for leg in legs:
                    vectors[leg.name][key] = of_chunk(leg, embedding)
                tokens, cut = spent.get(key, (0, False))
                spent[key] = (tokens + embedding.tokens, cut or embedding.truncated)
        return sum(map(len, fresh.values()))

    # Storing, in a thread of its own.

    def _store_all(self) -> None:
        embedded = iter(self._embedded)
        for ready in embedded:
            if not ready[0].piece.whole:
                self._store_large(ready[0], embedded)
                continue
            self._store.upsert([Entry(r.piece.document, self._complete(r)) for r in ready if r.piece.document])
            gone = [r.change.source for r in ready if not r.piece.document]
            for start in range(0, len(gone), PAGE):
                self._store.delete(gone[start : start + PAGE])
            for r in ready:
                self._say(r.change)

    def _store_large(self, begun: _Ready, embedded: Iterator[list[_Ready]]) -> None:
        """Store a document whose other parts are the next that were embedded."""
        document = begun.piece.document
        assert document is not None
        costs: list[Change] = []

        def parts() -> Iterator[Part]:
            for (ready,) in chain([[begun]], embedded):
                costs.append(ready.change)
                yield self._complete(ready)
                if ready.piece.last:
                    return

        self._store.upsert_in_parts(document, parts())
        sums = {name: sum(getattr(cost, name) for cost in costs) for name in ("chunks", "tokens", "cut")}
        self._say(replace(begun.change, **sums))

    def _complete(self, ready: _Ready) -> Part:
        """The vectors of a piece with its words."""
        document, average = ready.piece.document, self._store.manifest.average_length
        words = tuple(
            self._analyser.document(chunk.embedded_text, average, document.language if document else "")
            for chunk in ready.piece.chunks
        )
        return {**ready.vectors, **{leg.name: words for leg in self._store.manifest.legs_of(None)}}

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


def _alike(leg: Leg, manifest: Manifest, other: Manifest) -> bool:
    """Whether another index has this leg too, of the same vectors."""
    made = {one.name: one for one in other.legs}.get(leg.name)
    if made is None or made.encoder is None or leg.encoder is None:
        return False
    same = manifest.encoder(leg.encoder).fingerprint == other.encoder(made.encoder).fingerprint
    return same and (made.kind, made.pool) == (leg.kind, leg.pool)


def _weight(ready: _Ready) -> int:
    """What waits: characters, and bytes of token vectors, which take more than their text."""
    arrays = (one for vectors in ready.vectors.values() if isinstance(vectors, tuple) for one in vectors)
    return characters(ready.piece.chunks) + sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))
