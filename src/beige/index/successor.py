"""The generation that an index moves to: what it says of itself, and its models."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from beige.analyser import Analyser, language_of
from beige.errors import UsageError
from beige.index.creation import manifest_of
from beige.index.manifest import Manifest
from beige.index.plan import Plan
from beige.index.serving import Serving

if TYPE_CHECKING:
    from beige.embedder import Embedder


@dataclass(frozen=True, eq=False, slots=True)
class Successor:
    """What comes after the generation that serves.

    Attributes:
        manifest: of the next generation.
        embedders: its models, by name, the first one first.
    """

    manifest: Manifest
    embedders: Mapping[str, "Embedder"]

    @classmethod
    def of(cls, index: Serving, embedder: "Embedder") -> Self:
        """The generation by another model in place of the index's first one.

        Raises:
            UsageError: the index is of this model already, or the model does not give what a leg holds.
        """
        old = index.manifest
        if embedder.fingerprint == old.encoders[0].fingerprint and _is_current(old.analyser):
            raise UsageError(f"the index {index.place} is of {old.encoders[0].model} already: name another model")
        plan = Plan.succeeding(old, embedder, {one.model: index.encoders.of(one.model) for one in old.encoders[1:]})
        made = manifest_of(plan, language_of(old.analyser), old.base)
        manifest = replace(made.kept_as(old.storage), chunk_tokens=min(old.chunk_tokens, made.chunk_tokens))
        models = (encoder.model for encoder in plan.encoders)
        return cls(manifest, dict(zip(models, plan.embedders, strict=True)))


def _is_current(analyser: str) -> bool:
    """Whether words are still analysed as they were by this analyser."""
    return Analyser(language_of(analyser)).name == analyser
