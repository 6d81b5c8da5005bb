"""The index that serves at a place: its store, its models and its words, until another one takes its place."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from beige.analyser import Analyser, language_of
from beige.errors import GoneError, StoreError
from beige.index.encoders import Encoders
from beige.index.manifest import Manifest
from beige.index.place import Place
from beige.index.store import Store

if TYPE_CHECKING:
    from beige.embedder import Embedder

LOOK = 1.0
"""Seconds after which it is looked again what the index says of itself, and where it is on a server, whether another
one has taken its place: a folder tells that at once."""

Answer = TypeVar("Answer")


class Serving:
    """An open index; safe to use from several threads.

    Where another index takes the place of this one, it is opened instead; its models are then loaded, unless they are
    those of before.

    Args:
        place: where it is.
        store: open for reading; closed with this.
        given: embedders that are there already.
        home: where the index will be when it is whole; None for `place`.

    Attributes:
        place: where it is.
        home: where it is, or will be when it is whole.
        encoders: the models that made the vectors.

    Raises:
        FingerprintError: an embedder that is given made no vectors of the index.
    """

    def __init__(self, place: Place, store: Store, given: Sequence["Embedder"], home: Place | None = None) -> None:
        self.place = place
        self.home = home or place
        self.encoders = Encoders(place, store.manifest, given)
        self._store = store
        self._looked = time.monotonic()
        self._words: tuple[Store, Analyser] | None = None
        self._opening = threading.Lock()
        self._closed = False

    @property
    def store(self) -> Store:
        """The place of the vectors, open for reading."""
        if not self._closed:
            if time.monotonic() - self._looked > LOOK:
                self.look()
            if self._store.replaced:
                self._follow()
        return self._store

    def look(self) -> None:
        """Find out now what the index says of itself, and whether another one has taken its place."""
        self._looked = time.monotonic()
        with suppress(GoneError):  # the store says so
            self._store.reload_manifest()

    def _follow(self) -> None:
        with self._opening:
            if self._closed or not self._store.replaced:  # somebody else has just been here
                return
            store = self.place.open()
            self.encoders = self.encoders.after(store.manifest)
            old, self._store = self._store, store
            old.close()

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself, also where another process has changed it, as `beige tune` does."""
        return self.store.manifest

    @property
    def base(self) -> str:
        """The folder that relative sources are relative to: the current one when the index was made."""
        return self.home.absolute(self.manifest.base)

    @property
    def analyser(self) -> Analyser:
        """What makes BM25's words of the index's texts and queries.

        Raises:
            StoreError: they were analysed by another version of Beige.
        """
        store = self.store
        if self._words is None or self._words[0] is not store:
            made = store.manifest.analyser
            analyser = Analyser(language_of(made), store.languages)
            if analyser.name != made:
                raise StoreError(
                    f"the words of the index {self.place} were analysed by another version of Beige "
                    f"({made}, here {analyser.name}); {self.place.anew} PATH"
                )
            self._words = store, analyser
            return analyser
        return self._words[1]

    def steadily(self, read: Callable[[], Answer]) -> Answer:
        """What `read` gives of one index: it is asked again where another one has taken its place meanwhile."""
        while True:
            store = self.store
            try:
                answer = read()
            except Exception as error:
                if isinstance(error, GoneError):
                    self.look()
                if self.store is store:
                    raise
            else:
                if self._store is store:
                    return answer

    def close(self) -> None:
        """Let go of its files; the embedders stay usable."""
        with self._opening:
            self._closed = True
            self._store.close()
