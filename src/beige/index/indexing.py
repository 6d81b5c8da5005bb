"""Bringing an index up to date with files, and with texts that have names."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from beige.index.given import Given, Item
from beige.index.lease import lease
from beige.index.origins import FromPaths, FromTexts, FromUploads, Origin, Terms
from beige.index.pipeline import Pipeline
from beige.index.report import Change, Report
from beige.index.serving import Serving
from beige.index.store import Store
from beige.models.layout import TOKENIZER


@dataclass(frozen=True, slots=True)
class Indexing:
    """A run.

    Attributes:
        index: what is brought up to date.
        ttl: how long the documents are found, as for `Index.add`.
        tell: called with each change once it is durable, from one thread at a time.
    """

    index: Serving
    ttl: str | float | timedelta | None
    tell: Callable[[Change], None]

    def add(self, what: Sequence[Item]) -> Report:
        """Store files and texts, and remove the files that are gone; see `Index.add`."""
        given = Given.of(what)

        def origins(store: Store, terms: Terms) -> Iterator[Origin]:
            if given.paths:
                yield FromPaths(given.paths, self.index.home.folder, store, self.index.base, terms)
            if given.uploads:
                yield FromUploads(given.uploads, store, terms)
            yield FromTexts(given.texts, store, terms)

        return self._run(origins)

    def update(self, paths: Sequence[str | Path], changed: Collection[Path]) -> Report:
        """The same with paths of which it is known what has changed; see `Index.update`."""

        def origins(store: Store, terms: Terms) -> Iterator[Origin]:
            yield FromPaths(paths, self.index.home.folder, store, self.index.base, terms, within=changed)

        return self._run(origins, merge=False)

    def _run(self, origins: Callable[[Store, Terms], Iterator[Origin]], *, merge: bool = True) -> Report:
        index, now = self.index, time.time()
        until = lease(self.ttl, now)
        store = index.place.open(write=True)  # before the models: no migration changes them from now on
        try:
            index.look()
            manifest, analyser, encoders = index.manifest, index.analyser, index.encoders
            embedders, first = encoders.all(), encoders.of(manifest.encoders[0].model)
            terms = Terms(first.checkpoint.path / TOKENIZER, manifest.chunk_tokens, until, now)
            report = Pipeline(store, embedders, analyser, self.tell).run(list(origins(store, terms)))
        finally:
            store.close(merge=merge)
        index.look()
        report.notices += store.notices
        return report
