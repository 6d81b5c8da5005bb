"""Moving an index to another model while it is searched: a second generation grows beside the one that serves.

A generation is a database with its caches. The next one grows in a folder of its own from the stored texts. What both
hold is compared document by document, so that what a killed run has left to do, and what was added, changed or deleted
meanwhile, are the same thing: a difference. When there is none left, with writers locked out, the one database takes
the place of the other. The old one is kept, and going back to it is the same again in the other direction.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from beige.analyser import Analyser, language_of
from beige.errors import LockedError, StoreError
from beige.index.connection import explained
from beige.index.generations import NEXT, PREVIOUS, mend, swap
from beige.index.lock import WriteLock
from beige.index.manifest import Manifest
from beige.index.origins import FromStore
from beige.index.pipeline import Pipeline
from beige.index.report import Change, Report
from beige.index.sqlite_store import DATABASE, LOCK, SqliteStore

if TYPE_CHECKING:
    from beige.embedder import Embedder

MIGRATING = "migrating"
"""The lock file of whoever migrates: not that of writers, who go on."""

ROUNDS = 5
"""How often differences are looked for before writers are locked out for those that are left."""

PATIENCE = 0.5
"""Seconds between two tries to lock writers out."""

Tell = Callable[[Change], None]
Encode = Callable[[Manifest], Mapping[str, "Embedder"]]


class Migration:
    """Changes the model of an index, by one process at a time.

    Args:
        folder: of the index.
        tell: called with each document that is durable in the next generation ("unchanged" where it was before).
    """

    def __init__(self, folder: Path, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell

    def forth(self, manifest: Manifest, encoders: Encode, approve: Callable[[Path], bool] | None) -> Report | None:
        """Move to another model, or go on with that.

        Args:
            manifest: of the next generation.
            encoders: gives the embedders of a generation's manifest, by name.
            approve: asked, when the next generation is whole but for what is changed meanwhile, with its folder,
                whether it shall serve; None for yes.

        Returns:
            What was done; None where it was not approved: the next generation stays where it is.

        Raises:
            StoreError: another generation is in the way.
            LockedError: another process migrates the index.
        """
        beside = self._folder / NEXT
        with self._alone():
            if (kept := manifest_in(self._folder / PREVIOUS)) is not None:
                raise StoreError(
                    f"the index {self._folder} still keeps its generation by {kept.models}: return to it with beige "
                    "migrate --rollback, or drop it with beige migrate --finish"
                )
            begun = manifest_in(beside)
            if begun is None:
                SqliteStore.create(beside, manifest).close()
            elif _vectors(begun) != _vectors(manifest):
                raise StoreError(
                    f"the index {self._folder} is on its way to {begun.models}: go on with beige migrate --model "
                    f"{begun.encoders[0].model}, or drop what there is of it with beige migrate --finish"
                )
            return self._move(beside, encoders, approve)

    def back(self, encoders: Encode) -> Report:
        """Return to the generation that served before, with what has changed since.

        Args:
            encoders: gives the embedders of a generation's manifest, by name.

        Raises:
            StoreError: none is kept.
            LockedError: another process migrates the index.
        """
        beside = self._folder / PREVIOUS
        with self._alone():
            if manifest_in(beside) is None:
                raise StoreError(f"the index {self._folder} keeps no earlier generation: there is nothing to return to")
            report = self._move(beside, encoders, None)
            assert report is not None
            return report

    def finish(self) -> list[str]:
        """Drop every generation but the one that serves; returns their models.

        Raises:
            LockedError: another process migrates the index.
        """
        with self._alone():
            dropped = []
            for beside in (self._folder / NEXT, self._folder / PREVIOUS):
                if (made := manifest_in(beside)) is not None:
                    dropped.append(made.models)
                    shutil.rmtree(beside)
            return dropped

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from migrating, and mend what a kill has left."""
        with explained(self._folder):
            lock = WriteLock(self._folder / MIGRATING)
        with lock:
            with explained(self._folder):
                mend(self._folder)
            yield

    def _move(self, beside: Path, encoders: Encode, approve: Callable[[Path], bool] | None) -> Report | None:
        total = Report()
        with SqliteStore.open(beside, write=True) as new:
            embedders = encoders(new.manifest)
            for again in range(ROUNDS):
                if not self._catch_up(new, embedders, total, again=again > 0):
                    break
            new.merge()
            if approve is not None and not approve(beside):
                return None
            with self._locked_out():
                self._catch_up(new, embedders, total, again=True)
                new.close()
                with explained(self._folder):
                    swap(self._folder, beside, keep=self._folder / PREVIOUS)
        if beside.name == NEXT:
            shutil.rmtree(beside, ignore_errors=True)
        return total

    @contextmanager
    def _locked_out(self) -> Iterator[None]:
        """Keep writers out, once they let us."""
        while True:
            try:
                with explained(self._folder):
                    lock = WriteLock(self._folder / LOCK)
                break
            except LockedError:
                time.sleep(PATIENCE)
        with lock:
            yield

    def _catch_up(self, new: SqliteStore, embedders: Mapping[str, "Embedder"], total: Report, *, again: bool) -> bool:
        """Make the next generation hold what the old one holds now; returns whether there was anything to do."""
        with SqliteStore.open(self._folder) as old:
            analyser = Analyser(language_of(new.manifest.analyser))
            pipeline = Pipeline(new, embedders, analyser, self._tell, beside=old)
            report = pipeline.run([FromStore(old, new, again=again)])
        total.include(report)
        return any(report.documents[kind] for kind in ("added", "updated", "removed"))


def _vectors(manifest: Manifest) -> tuple[object, ...]:
    """What tells the vectors of two generations apart."""
    return tuple(encoder.fingerprint for encoder in manifest.encoders), manifest.kept_as("float32").legs


def manifest_in(folder: Path) -> Manifest | None:
    """The manifest of the generation in a folder; None where there is none."""
    if not (folder / DATABASE).exists():
        return None
    with SqliteStore.open(folder) as store:
        return store.manifest
