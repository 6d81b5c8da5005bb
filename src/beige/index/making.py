"""How a person wants an index to be made, and whether one that there is was made so."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from beige.analyser import AUTO, Analyser, language_of
from beige.errors import UsageError
from beige.index.creation import manifest_of
from beige.index.manifest import Manifest
from beige.index.place import Place
from beige.index.plan import Plan, agree
from beige.index.serving import Serving

if TYPE_CHECKING:
    from beige.embedder import Embedder


@dataclass(frozen=True, slots=True)
class Making:
    """What is asked for; None where nothing is said.

    Attributes:
        legs: what the index is searched by; see `plan.wanted`.
        dimensions: how many of a dense vector's first numbers are kept.
        untrained: also of a model that was not trained for it, with a warning.
        language: of the words that BM25 stems, by name or ISO 639-1, or "auto" for each document's own.
    """

    legs: Sequence[str] | None = None
    dimensions: int | None = None
    untrained: bool = False
    language: str | None = None

    def of(
        self, given: Sequence["Embedder"], home: Place, old: Manifest | None = None
    ) -> tuple[Manifest, tuple["Embedder", ...]]:
        """The manifest of an index that is made so, and its models.

        Args:
            given: embedders, the first one first; none for the models of `old`.
            home: where the index will be.
            old: of the index that is replaced, whose ways hold where nothing is said; see `Plan.of`.

        Raises:
            StoreError: there is neither an embedder nor an old index.
            UsageError: the models cannot do what is asked for, or there is no stemmer for the language.
        """
        plan = Plan.of(given, self.legs, old, dimensions=self.dimensions, untrained=self.untrained)
        language = self.language or (language_of(old.analyser) if old else AUTO)
        manifest = manifest_of(plan, language, home.relative(str(Path.cwd())))
        return manifest.kept_as(old.storage) if old else manifest, plan.embedders

    def check(self, index: Serving) -> None:
        """Make sure that an index was made so.

        Raises:
            UsageError: it was made otherwise.
        """
        made, place = index.manifest, index.place
        if self.legs is not None and not agree(self.legs, made.legs):
            raise UsageError(
                f"the index {place} has the legs {', '.join(leg.name for leg in made.legs)} of {made.models}; "
                f"{place.anew} --legs {','.join(self.legs)} PATH"
            )
        lengths = {leg.dimension for leg in made.legs if leg.kind == "dense"}
        if self.dimensions is not None and lengths - {self.dimensions}:
            raise UsageError(
                f"the index {place} keeps vectors of {', '.join(map(str, lengths))} dimensions; "
                f"{place.anew} --dimensions {self.dimensions} PATH"
            )
        if self.language is not None and Analyser(self.language).language != index.analyser.language:
            raise UsageError(
                f"the index {place} was made with --language {index.analyser.language}; "
                f"{place.anew} --language {self.language} PATH"
            )
