"""What an index is made with: which models, and which legs of what they can give."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, get_args

from beige.errors import ModelNotFoundError, StoreError, UsageError
from beige.index.encoders import load, name_of
from beige.index.manifest import FEEDBACK, Encoder, Leg, Manifest
from beige.values import Output

if TYPE_CHECKING:
    from beige.embedder import Embedder

_log = logging.getLogger("beige")

WORDS = "bm25"
"""The leg that the analyser makes; it needs no model."""

_SPELLING = re.compile(
    r"(?P<name>[a-z0-9_]+)(?:=(?P<output>[a-z]+))?(?:/(?P<pool>[1-9][0-9]{0,3}))?(?::(?P<model>.+))?"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A leg that is asked for.

    Attributes:
        name: how it is called.
        output: which output of a model it holds; None for the words of BM25.
        model: that gives it; None for the index's first.
        pool: how many token vectors become one.
    """

    name: str
    output: Output | None
    model: str | None = None
    pool: int = 1


def wanted(spelling: str) -> Wanted:
    """Read how a leg is asked for: `bm25`, or `[NAME=]OUTPUT[/POOL][:MODEL]`.

    `sparse` is that output of the index's first model, `splade=sparse:naver/splade-v3` of another one under a name of
    its own, `multi/2` token vectors of which two at a time become one.

    Raises:
        UsageError: it is none of these.
    """
    found = _SPELLING.fullmatch(spelling.strip())
    outputs: dict[str, Output] = {output: output for output in get_args(Output)}
    if spelling.strip() == WORDS:
        return Wanted(WORDS, None)
    if found is None or (found["output"] or found["name"]) not in outputs:
        raise UsageError(
            f"the leg {spelling!r} is not understood: write {WORDS}, {', '.join(outputs)} or NAME=OUTPUT:MODEL"
        )
    if found["name"] == FEEDBACK:
        raise UsageError(f"the leg {spelling!r} needs another name: a search calls likeness to its best {FEEDBACK!r}")
    output, pool = outputs[found["output"] or found["name"]], int(found["pool"] or 1)
    if pool > 1 and output != "multi":
        raise UsageError(f"the leg {spelling!r} has one vector a chunk: only multi can bring vectors together")
    return Wanted(found["name"], output, found["model"], pool)


@dataclass(frozen=True, slots=True)
class Plan:
    """What an index is made with.

    Attributes:
        embedders: its models; the first one's tokens measure chunks.
        encoders: what the manifest says of them.
        legs: what it says of what they make.
    """

    embedders: tuple["Embedder", ...]
    encoders: tuple[Encoder, ...]
    legs: tuple[Leg, ...]

    @classmethod
    def of(
        cls,
        given: Sequence["Embedder"],
        legs: Sequence[str] | None,
        old: Manifest | None = None,
        *,
        dimensions: int | None = None,
        untrained: bool = False,
    ) -> Self:
        """The plan of a new index.

        Args:
            given: its embedders, the first one first; models that only `legs` names are loaded.
            legs: what is asked for; by default the legs of `old` where its first model is the same, else words and
                what the first model gives one vector of.
            old: the index that is replaced, whose models serve where none is given.
            dimensions: how many of a dense vector's first numbers are kept; None for those of `old` where its first
                model is the same, else for all.
            untrained: also of a model that was not trained for it, with a warning.

        Raises:
            StoreError: there is neither an embedder nor an old index.
            UsageError: there is no leg, two have one name, a model does not give what a leg needs, an embedder
                beside the first serves no leg, or vectors cannot be cut to these dimensions.
        """
        embedders = {name_of(embedder.checkpoint): embedder for embedder in given}
        if not embedders and old is None:
            raise StoreError("there is no index to take the model from: name one with --model")
        former = old.encoders[0].model if old else None
        first = next(iter(embedders), former)
        assert first is not None
        if first not in embedders:
            embedders[first] = load(first)
        if legs is not None:
            asked = [wanted(leg) for leg in legs]
        elif old and first == former:
            asked = [_as_asked(leg) for leg in old.legs]
        else:
            asked = _usual(embedders[first])
        made = _legs(asked, first, embedders)
        if dimensions is not None:
            made = tuple(_cut(leg, dimensions, embedders, untrained=untrained) for leg in made)
        elif old and first == former:
            kept = {leg.name: leg.dimension for leg in old.legs if leg.kind == "dense"}
            made = tuple(replace(leg, dimension=kept.get(leg.name, leg.dimension)) for leg in made)
        used = {first, *(leg.encoder for leg in made)}
        if idle := [model for model in embedders if model not in used]:
            raise UsageError(f"no leg is of the model {idle[0]}: add NAME=OUTPUT:{idle[0]} to the legs")
        return cls(
            embedders=tuple(embedders.values()),
            encoders=tuple(_encoder(model, embedder) for model, embedder in embedders.items()),
            legs=made,
        )

    @classmethod
    def succeeding(cls, old: Manifest, embedder: "Embedder", others: Mapping[str, "Embedder"]) -> Self:
        """The plan of an index that another model makes in place of the first one; its legs are the same.

        Args:
            old: the index.
            embedder: of the model that takes the place of its first.
            others: its other models, by name.

        Raises:
            UsageError: the model does not give what a leg of the first one holds.
        """
        first, former = name_of(embedder.checkpoint), old.encoders[0].model
        # The first of a name stays: the new model may be one of the others.
        embedders = {first: embedder} | {model: one for model, one in others.items() if model not in (first, former)}
        asked = [_as_asked(leg) for leg in old.legs]
        asked = [replace(one, model=first) if one.model == former else one for one in asked]
        return cls(
            embedders=tuple(embedders.values()),
            encoders=tuple(_encoder(model, one) for model, one in embedders.items()),
            legs=_legs(asked, first, dict(embedders)),
        )


def models_of(first: str | None, legs: Sequence[str] | None, old: Manifest | None, default: str) -> list[str]:
    """The models that an index needs, by name, the first one first.

    Args:
        first: its first model, if that is said.
        legs: what is asked for, if that is said.
        old: the index that is there or is replaced.
        default: the first model where nothing else says which.

    Raises:
        UsageError: what is asked for is not understood.
    """
    former = [encoder.model for encoder in old.encoders] if old else []
    if legs is None:
        return former if former and first in (None, former[0]) else [first or default]
    asked = [wanted(leg) for leg in legs]
    named = [one.model for one in asked if one.model]
    if first is None:
        beside = any(one.output and not one.model for one in asked)  # some leg is of a model that is not named
        first = former[0] if former else default if beside or not named else named[0]
    return list(dict.fromkeys([first, *named]))


def agree(asked: Sequence[str], legs: Sequence[Leg]) -> bool:
    """Whether these are the legs that are asked for, in any order.

    Raises:
        UsageError: what is asked for is not understood.
    """
    known = {leg.name: leg for leg in legs}
    found = [wanted(leg) for leg in asked]
    return sorted(one.name for one in found) == sorted(known) and all(_is(one, known[one.name]) for one in found)


def _is(asked: Wanted, leg: Leg) -> bool:
    if (asked.output, asked.pool) != (None if leg.encoder is None else leg.kind, leg.pool):
        return False
    if asked.model is None or asked.model == leg.encoder:
        return True
    from beige.models.checkpoint import open_checkpoint

    try:
        return name_of(open_checkpoint(asked.model, pull=False)) == leg.encoder
    except ModelNotFoundError:
        return False


def _as_asked(leg: Leg) -> Wanted:
    return Wanted(leg.name, None if leg.encoder is None else leg.kind, leg.encoder, leg.pool)


def _usual(embedder: "Embedder") -> list[Wanted]:
    """Words, and what the model gives one vector of; a vector for each token is for who asks for it."""
    given = [Wanted(output, output) for output in _ONE_VECTOR if output in embedder.checkpoint.outputs]
    return [*given[:1], Wanted(WORDS, None), *given[1:]]


_ONE_VECTOR: tuple[Output, ...] = ("dense", "sparse")


def _legs(asked: Sequence[Wanted], first: str, embedders: dict[str, "Embedder"]) -> tuple[Leg, ...]:
    """What the manifest says of the legs that are asked for; adds the models that only they name."""
    names = [one.name for one in asked]
    if not names:
        raise UsageError(f"an index needs a leg: {WORDS}, or an output of the model")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"two legs are called {twice[0]!r}: name one of them otherwise, as in NAME=OUTPUT:MODEL")
    made = []
    for one in asked:
        model = one.model or first
        if model not in embedders:
            embedder = load(model)
            model = name_of(embedder.checkpoint)
            embedders.setdefault(model, embedder)
        made.append(_leg(one, model, embedders))
    return tuple(made)


def _leg(asked: Wanted, model: str, embedders: Mapping[str, "Embedder"]) -> Leg:
    if asked.output is None:
        return Leg(asked.name, "sparse", idf=True)
    checkpoint = embedders[model].checkpoint
    if asked.output not in checkpoint.outputs:
        raise UsageError(
            f"{model} gives no output {asked.output!r} for the leg {asked.name!r}, only {', '.join(checkpoint.outputs)}"
        )
    dimension = None if asked.output == "sparse" else checkpoint.dimension
    if asked.output == "multi":
        dimension = checkpoint.multi_dimension
    return Leg(asked.name, asked.output, dimension, pool=asked.pool, encoder=model)


def _cut(leg: Leg, dimensions: int, embedders: Mapping[str, "Embedder"], *, untrained: bool) -> Leg:
    """A leg with the first numbers of its dense vectors only."""
    if leg.kind != "dense" or leg.encoder is None or dimensions == leg.dimension:
        return leg
    checkpoint, full = embedders[leg.encoder].checkpoint, leg.dimension or 0
    if not 1 <= dimensions <= full:
        raise UsageError(f"the vectors of {checkpoint.name} have {full} dimensions: they cannot be cut to {dimensions}")
    if not checkpoint.shortens_to(dimensions):
        said = f"{checkpoint.name} was not trained for vectors of {dimensions} dimensions and loses more by them"
        if not untrained:
            raise UsageError(f"{said}: add --untrained to cut them all the same, or choose --storage int8")
        _log.warning(said)
    return replace(leg, dimension=dimensions)


def _encoder(model: str, embedder: "Embedder") -> Encoder:
    checkpoint = embedder.checkpoint
    return Encoder(
        model=model,
        fingerprint=checkpoint.fingerprint,
        precision=embedder.precision,
        query_template=checkpoint.templates["query"],
        document_template=checkpoint.templates["document"],
    )
