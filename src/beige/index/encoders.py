"""The models of an index: each is loaded when it is first used, and checked against what made the vectors."""

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from beige.errors import FingerprintError
from beige.index.manifest import Encoder, Manifest

if TYPE_CHECKING:
    from beige.embedder import Embedder
    from beige.index.place import Place
    from beige.models.checkpoint import Checkpoint

Models: TypeAlias = "Embedder | str | Sequence[Embedder | str] | None"
"""An embedder or the name of its model, or several of these, the first one first; None for none."""


class Encoders:
    """Embedders by the names that an index has for them; safe to use from several threads.

    Args:
        place: of the index, for errors.
        manifest: of the index.
        given: embedders that are there already; the others are loaded by name.

    Raises:
        FingerprintError: one that is given made no vectors of the index.
    """

    def __init__(self, place: "Place", manifest: Manifest, given: Iterable["Embedder"] = ()) -> None:
        self._place = place
        self._manifest = manifest
        self._loaded = {self.check(embedder).model: embedder for embedder in given}
        self._lock = threading.Lock()

    def of(self, model: str) -> "Embedder":
        """The embedder of a model.

        Raises:
            FingerprintError: the model of that name has changed since.
        """
        with self._lock:
            if model not in self._loaded:
                embedder = load(model)
                self.check(embedder)
                self._loaded[model] = embedder
            return self._loaded[model]

    def after(self, manifest: Manifest) -> "Encoders":
        """Those of the index that has taken this one's place; what both have stays loaded."""
        made = {encoder.fingerprint for encoder in manifest.encoders}
        with self._lock:
            kept = [embedder for embedder in self._loaded.values() if embedder.fingerprint in made]
        return Encoders(self._place, manifest, kept)

    def all(self) -> dict[str, "Embedder"]:
        """Every model that makes vectors of the index, by name."""
        made = dict.fromkeys(leg.encoder for leg in self._manifest.legs)
        return {model: self.of(model) for model in made if model is not None}

    def check(self, embedder: "Embedder") -> Encoder:
        """What the manifest says of an embedder that made vectors of the index.

        Raises:
            FingerprintError: it made none.
        """
        for encoder in self._manifest.encoders:
            if encoder.fingerprint == embedder.fingerprint:
                return encoder
        model, made = name_of(embedder.checkpoint), self._manifest.models
        known = model in (encoder.model for encoder in self._manifest.encoders)
        said = f"by another version of {model}" if known else f"by {made}, not by {model}"
        raise FingerprintError(f"the index {self._place} was made {said}; {self._place.with_model(model)}")


def load(model: str) -> "Embedder":
    """The embedder of a model, in the precision that suits this machine."""
    from beige.embedder import Embedder

    return Embedder(model)


def embedders_of(models: Models) -> tuple["Embedder", ...]:
    """The embedders that are meant; those that are named are loaded."""
    if models is None:
        return ()
    several = models if isinstance(models, Sequence) and not isinstance(models, str) else (models,)
    return tuple(load(model) if isinstance(model, str) else model for model in several)


def name_of(checkpoint: "Checkpoint") -> str:
    """What opens a model again: its card's name, else its folder."""
    return checkpoint.card.name if checkpoint.card else str(checkpoint.folder.resolve())
