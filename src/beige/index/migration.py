"""Moving an index to another model while it is searched: a second generation grows beside the one that serves.

The next generation grows from the stored texts. What both hold is compared document by document, so that what a killed
run has left to do, and what was added, changed or deleted meanwhile, are the same thing: a difference. When there is
none left, with writers locked out, the one takes the place of the other. The old one is kept, and going back to it is
the same again in the other direction. How one takes the place of another is for `Generations` to know.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from beige.analyser import Analyser, language_of
from beige.errors import StoreError
from beige.index.generations import NEXT, PREVIOUS
from beige.index.manifest import Manifest
from beige.index.origins import FromStore
from beige.index.pipeline import Pipeline
from beige.index.place import Place, manifest_at
from beige.index.report import Change, Report
from beige.index.store import Store

if TYPE_CHECKING:
    from beige.embedder import Embedder

ROUNDS = 5
"""How often differences are looked for before writers are locked out for those that are left."""

Tell = Callable[[Change], None]
Encode = Callable[[Manifest], Mapping[str, "Embedder"]]
Approve = Callable[[Place], bool]


class Migration:
    """Changes the model of an index, by one process at a time.

    Args:
        place: of the index.
        tell: called with each document that is durable in the next generation ("unchanged" where it was before).
    """

    def __init__(self, place: Place, tell: Tell) -> None:
        self._place = place
        self._generations = place.generations()
        self._tell = tell

    def forth(self, manifest: Manifest, encoders: Encode, approve: Approve | None) -> Report | None:
        """Move to another model, or go on with that.

        Args:
            manifest: of the next generation.
            encoders: gives the embedders of a generation's manifest, by name.
            approve: asked, when the next generation is whole but for what is changed meanwhile, with its place,
                whether it shall serve; None for yes.

        Returns:
            What was done; None where it was not approved: the next generation stays where it is.

        Raises:
            StoreError: another generation is in the way.
            LockedError: another process migrates the index.
        """
        with self._generations.alone():
            if (kept := manifest_at(self._place.beside(PREVIOUS))) is not None:
                raise StoreError(
                    f"the index {self._place} still keeps its generation by {kept.models}: return to it with beige "
                    "migrate --rollback, or drop it with beige migrate --finish"
                )
            begun = manifest_at(self._place.beside(NEXT))
            if begun is None:
                self._place.beside(NEXT).create(manifest).close()
            elif _vectors(begun) != _vectors(manifest):
                raise StoreError(
                    f"the index {self._place} is on its way to {begun.models}: go on with beige migrate --model "
                    f"{begun.encoders[0].model}, or drop what there is of it with beige migrate --finish"
                )
            return self._move(NEXT, encoders, approve)

    def back(self, encoders: Encode) -> Report:
        """Return to the generation that served before, with what has changed since.

        Args:
            encoders: gives the embedders of a generation's manifest, by name.

        Raises:
            StoreError: none is kept.
            LockedError: another process migrates the index.
        """
        with self._generations.alone():
            if manifest_at(self._place.beside(PREVIOUS)) is None:
                raise StoreError(f"the index {self._place} keeps no earlier generation: there is nothing to return to")
            report = self._move(PREVIOUS, encoders, None)
            assert report is not None
            return report

    def finish(self) -> list[str]:
        """Drop every generation but the one that serves; returns their models.

        Raises:
            LockedError: another process migrates the index.
        """
        with self._generations.alone():
            dropped = []
            for name in (NEXT, PREVIOUS):
                if (made := manifest_at(self._place.beside(name))) is not None:
                    self._generations.drop(name)
                    dropped.append(made.models)
            return dropped

    def _move(self, name: str, encoders: Encode, approve: Approve | None) -> Report | None:
        total, beside = Report(), self._place.beside(name)
        with beside.open(write=True) as new:
            embedders = encoders(new.manifest)
            for again in range(ROUNDS):
                if not self._catch_up(new, embedders, total, again=again > 0):
                    break
            new.merge()
            if approve is not None and not approve(beside):
                return None
            with self._generations.locked_out() as swap:
                self._catch_up(new, embedders, total, again=True)
                swap(name, new)
        return total

    def _catch_up(self, new: Store, embedders: Mapping[str, "Embedder"], total: Report, *, again: bool) -> bool:
        """Make the next generation hold what the old one holds now; returns whether there was anything to do."""
        with self._place.open() as old:
            analyser = Analyser(language_of(new.manifest.analyser))
            pipeline = Pipeline(new, embedders, analyser, self._tell, beside=old)
            report = pipeline.run([FromStore(old, new, again=again)])
        total.include(report)
        return any(report.documents[kind] for kind in ("added", "updated", "removed"))


def _vectors(manifest: Manifest) -> tuple[object, ...]:
    """What tells the vectors of two generations apart."""
    return tuple(encoder.fingerprint for encoder in manifest.encoders), manifest.kept_as("float32").legs
