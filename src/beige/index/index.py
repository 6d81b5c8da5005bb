"""An index of documents, as a program holds it in its hands.

It knows which models made its vectors and how its words were analysed. How vectors are kept is the store's, how files
become vectors the pipeline's, how a query becomes hits `beige.search`'s.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from beige.analyser import Analyser
from beige.documents.chunk import Failure
from beige.documents.text import Text
from beige.documents.upload import Upload
from beige.index.encoders import Encoders, Models, embedders_of
from beige.index.making import Making
from beige.index.manifest import Calibration, Choice, Manifest, storage_of
from beige.index.place import Place, Where, place_of
from beige.index.removal import remove
from beige.index.report import Change, Report, silent
from beige.index.serving import Serving
from beige.index.status import Status
from beige.index.store import Passage, Store

if TYPE_CHECKING:
    from beige.embedder import Embedder

Answer = TypeVar("Answer")


class Index:
    """Documents with their chunks and vectors in a folder or a collection; safe to use from several threads.

    Searching goes on, here and in other processes, while one `add` at a time writes, and sees what `add` has told of.
    Where another index takes the place of this one (a rebuild, a migration, a restored backup), it is opened instead;
    its models are then loaded, unless they are those of before.
    """

    def __init__(self, place: Place, store: Store, given: Sequence["Embedder"], home: Place | None = None) -> None:
        self._serving = Serving(place, store, given, home)

    @classmethod
    def open(
        cls,
        path: Where = None,
        embedder: Models = None,
        *,
        legs: Sequence[str] | None = None,
        dimensions: int | None = None,
        untrained: bool = False,
        language: str | None = None,
    ) -> Self:
        """Open an index, or make an empty one where there is none and an embedder is given.

        Args:
            path: its folder, or the address of its collection, such as
                "qdrant+http://host:6333/name"; None for `BEIGE_INDEX`, else `.beige` in the current folder.
            embedder: an `Embedder`, or the name of its model, or several of these, of which the first one's tokens
                measure chunks; None for the models that made the index.
            legs: what a new index is to be searched by: "bm25", an output of the first model ("dense", "sparse"), or
                "name=output:model" of any; by default words, and what the first model gives one vector of.
            dimensions: how many of a dense vector's first numbers a new index keeps, by default all.
            untrained: also of a model that was not trained for it, with a warning.
            language: of the words that BM25 stems, by name or ISO 639-1, or "auto" for each document's own; None for
                the index's own, "auto" for a new one.

        Raises:
            StoreError: there is no index and no embedder, or the index is damaged or of another version.
            FingerprintError: another model made the index.
            UsageError: the index was made with other legs, dimensions or another language, there is no stemmer for it,
                or a model does not give what a leg needs.
        """
        place, given = place_of(path), embedders_of(embedder)
        making = Making(legs, dimensions, untrained, language)
        if given and not place.exists():
            manifest, given = making.of(given, place)
            place.create(manifest).close()
        store = place.open()
        try:
            index = cls(place, store, given)
            making.check(index._serving)
        except BaseException:
            store.close()
            raise
        return index

    @classmethod
    @contextmanager
    def anew(
        cls,
        path: Where,
        embedder: Models,
        *,
        legs: Sequence[str] | None = None,
        dimensions: int | None = None,
        untrained: bool = False,
        language: str | None = None,
    ) -> Iterator[Self]:
        """An empty index that takes the place of the one at `path` when the block ends without an error.

        Until then the old one is searched as before; after an error, or a kill, it is as it was. It may be damaged.

        Args:
            path: as for `open`.
            embedder: as for `open`; None for the models of the old index.
            legs: as for `open`; by default those of the old index where its first model is the same.
            dimensions: as for `open`, by default likewise.
            untrained: as for `open`.
            language: as for `open`; None for the old index's, "auto" where there is none.

        Raises:
            LockedError: another process writes to the index.
            StoreError: there is no embedder and no old index.
            UsageError: as for `open`.
        """
        home = place_of(path)
        old = home.manifest()
        making = Making(legs, dimensions, untrained, language)
        manifest, given = making.of(embedders_of(embedder), home, old)
        with home.replaced() as place:
            place.create(manifest).close()
            with cls(place, place.open(), given, home=home) as index:
                yield index

    @property
    def place(self) -> Place:
        """Where it is."""
        return self._serving.place

    @property
    def path(self) -> Path:
        """Its folder.

        Raises:
            UsageError: it is in a collection.
        """
        return self.place.only_folder("a path")

    @property
    def store(self) -> Store:
        """The place of the vectors, open for reading."""
        return self._serving.store

    def steadily(self, read: Callable[[], Answer]) -> Answer:
        """What `read` gives of one index: it is asked again where another one has taken its place meanwhile."""
        return self._serving.steadily(read)

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself."""
        return self._serving.manifest

    @property
    def base(self) -> str:
        """The folder that relative sources are relative to: the current one when the index was made."""
        return self._serving.base

    @property
    def encoders(self) -> Encoders:
        """The models that made the vectors."""
        return self._serving.encoders

    @property
    def embedder(self) -> "Embedder":
        """The embedder of the index's first model, loaded at the first use.

        Raises:
            FingerprintError: the model of that name has changed since.
        """
        return self.encoders.of(self.manifest.encoders[0].model)

    @property
    def analyser(self) -> Analyser:
        """What makes BM25's words of the index's texts and queries.

        Raises:
            StoreError: they were analysed by another version of Beige.
        """
        return self._serving.analyser

    def add(
        self,
        *what: str | Path | Text | Upload | Iterable[Text | Failure],
        ttl: str | float | timedelta | None = None,
        tell: Callable[[Change], None] | None = None,
    ) -> Report:
        """Bring the index up to date with the files at and beneath paths, and with texts that have names.

        Unchanged files are not read again, changed ones replaced, those that vanished from beneath the paths removed;
        a file that cannot be read keeps its last version. A text or an upload replaces what has its name; no run over
        paths removes it. What was told is durable, also if this is interrupted.

        Args:
            what: files and folders; files with names (`Upload`); texts, or iterables of them, which are taken as they
                are needed.
            ttl: how long all these documents are found, from now on: seconds, a `timedelta`, "30d" (s, m, h, d, w) or
                "never". Without it each keeps the time that it has, and a new one has none.
            tell: called with each change once it is durable, from one thread at a time.

        Raises:
            InputError: a path does not exist, or something is neither a path nor a text.
            UsageError: the time to live is none.
            LockedError: another process writes to the index.
            FingerprintError: a model has changed since the index was made.
        """
        from beige.index.indexing import Indexing

        return Indexing(self._serving, ttl, tell or silent).add(what)

    def update(
        self,
        paths: Sequence[str | Path],
        changed: Collection[Path],
        *,
        ttl: str | float | timedelta | None = None,
        tell: Callable[[Change], None] | None = None,
    ) -> Report:
        """What `add` does with paths, where it is known what has changed; the caches are left behind, see `merge`.

        Args:
            paths: files and folders.
            changed: absolute paths; only what lies at and beneath them, and beneath the paths, is looked at.
            ttl: as for `add`.
            tell: as for `add`.

        Raises:
            BeigeError: as for `add`.
        """
        from beige.index.indexing import Indexing

        return Indexing(self._serving, ttl, tell or silent).update(paths, changed)

    def watch(
        self,
        *paths: str | Path,
        ttl: str | float | timedelta | None = None,
        tell: Callable[[Change], None] | None = None,
        done: Callable[[Report], None] | None = None,
        say: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Keep the index up to date with paths as they change. Begins with an `add` of all of them.

        Vectors of files that are renamed or moved beneath the paths are kept. A path that goes away keeps its documents
        until it is back. Others may write to the index in between; what they hold up is done afterwards.

        Args:
            paths: files and folders.
            ttl: how long documents are found after the last change that was seen, or the beginning; as for `add`.
            tell: called with each change once it is durable, from one thread at a time.
            done: called with what each round of changes did.
            say: called with sentences on what is waited for.
            stop: ends it; without it, an interrupt does. What was told is durable.

        Raises:
            InputError: a path does not exist at the beginning.
            MissingExtraError: watchfiles is not installed.
            BeigeError: the system watches no more folders, or whatever `add` raises.
        """
        from beige.index.following import Following

        following = Following(self, ttl, tell or silent, done or silent, say or silent)
        following.run(paths, self._serving.home.folder, stop)

    def merge(self) -> None:
        """Fold what changed into the caches, and remove what has expired.

        Raises:
            LockedError: another process writes to the index.
        """
        self.place.open(write=True).close()

    def prefer(self, choice: Choice | None, calibration: Calibration | None = None) -> None:
        """Have searches go another way unless they say otherwise, as `beige tune` found.

        Args:
            choice: how; None leaves it as it is.
            calibration: by which relevance follows from these legs; it takes the place of the one for the same legs.

        Raises:
            LockedError: another process writes to the index.
        """
        changes: dict[str, object] = {} if choice is None else {"choice": choice}
        if calibration is not None:
            changes["calibration"] = self.manifest.calibrated(calibration)
        self._change(**changes)

    def keep_as(self, storage: str) -> None:
        """Have the caches of the dense legs keep vectors otherwise; nothing is embedded again.

        Graphs are built anew from the database, which takes minutes where there are millions of chunks; searches go on
        with the old ones meanwhile. Small indexes, which are scanned exactly, stay as they are.

        Args:
            storage: "float32" (bf16 in a graph), "int8" or "binary".

        Raises:
            UsageError: there is no such storage.
            LockedError: another process writes to the index.
        """
        legs = self.manifest.kept_as(storage_of(storage)).legs
        if legs != self.manifest.legs:
            self._change(legs=legs)
            self.merge()  # who opens to write rebuilds what is kept otherwise

    def _change(self, **changes: Any) -> None:
        with self.place.open(write=True) as store:
            store.update_manifest(**changes)
        self._serving.look()

    def migrate(
        self,
        embedder: "Embedder | str",
        *,
        approve: "Callable[[Index], bool] | None" = None,
        tell: Callable[[Change], None] | None = None,
    ) -> Report | None:
        """Move to another model in place of the first one, from the stored texts, while the index is searched.

        A second generation is made beside the one that serves, with what is added, changed and deleted meanwhile, and
        takes its place when it is whole. Interrupted or killed, it goes on where it was when it is called again. The
        old generation is kept for `rollback` until `finish`. Chunks stay as they are; they are not split anew.

        Args:
            embedder: of the next model, or its name.
            approve: asked with the next generation, open for searching, whether it shall serve; None for yes.
            tell: called with each document that is durable in the next generation.

        Returns:
            What was done; None where it was not approved: then it is there still, until it is approved or `finish`ed.

        Raises:
            UsageError: the index is of this model already, or the model does not give what a leg holds.
            StoreError: another generation is in the way.
            LockedError: another process migrates the index.
        """
        from beige.index.migration import Migration
        from beige.index.successor import Successor

        migration = Migration(self.place, tell or silent)
        (given,) = embedders_of(embedder)
        successor = Successor.of(self._serving, given)
        approved = None if approve is None else partial(self._asked, approve, tuple(successor.embedders.values()))
        report = migration.forth(successor.manifest, lambda _: successor.embedders, approved)
        self._serving.look()
        return report

    def _asked(self, approve: "Callable[[Index], bool]", embedders: Sequence["Embedder"], place: Place) -> bool:
        with type(self)(place, place.open(), embedders, home=self._serving.home) as index:
            return approve(index)

    def rollback(self, *, tell: Callable[[Change], None] | None = None) -> Report:
        """Return to the generation before the last migration, with what has changed since; the other one is kept.

        Raises:
            StoreError: none is kept.
            LockedError: another process migrates the index.
        """
        from beige.index.migration import Migration

        migration = Migration(self.place, tell or silent)
        report = migration.back(lambda manifest: self.encoders.after(manifest).all())
        self._serving.look()
        return report

    def finish(self) -> list[str]:
        """Drop the generations that do not serve, also one that is not whole yet; returns their models.

        Raises:
            LockedError: another process migrates the index.
        """
        from beige.index.migration import Migration

        return Migration(self.place, silent).finish()

    def delete(
        self,
        *sources: str,
        prefix: bool = False,
        from_here: bool = False,
        tell: Callable[[Change], None] | None = None,
    ) -> Report:
        """Remove documents; the model is not needed for it. A file that stays where it is comes back with the next run.

        Args:
            sources: as hits name them.
            prefix: whether all documents are meant whose source begins with one of these.
            from_here: whether files are named by paths in the current folder, and not as they are stored.
            tell: called with each removal once it is durable.

        Returns:
            What was removed; a source that is not there is among the failures.

        Raises:
            UsageError: an empty prefix, which would mean everything.
            LockedError: another process writes to the index.
        """
        with self.place.open(write=True) as store:
            base = self.base if from_here else None
            report = remove(store, sources, prefix=prefix, base=base, tell=tell or silent)
            report.notices += store.notices
        return report

    def passages(self) -> Iterator[Passage]:
        """Every stored chunk once, in an order that is the store's."""
        return self.store.scan()

    def count(self) -> tuple[int, int]:
        """How many documents and chunks it holds."""
        return self.store.count()

    def check(
        self, *, legs: Sequence[str] | None = None, dimensions: int | None = None, language: str | None = None
    ) -> None:
        """Make sure that the index was made with these legs, dimensions and this language, where they are given.

        Raises:
            UsageError: it was made with others.
        """
        Making(legs, dimensions, language=language).check(self._serving)

    def status(self) -> Status:
        """What it holds, and how its files are."""
        return self.place.status(self.store)

    def close(self) -> None:
        """Let go of its files; the embedder stays usable."""
        self._serving.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
