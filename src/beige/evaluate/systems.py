"""Systems under test, by one spelling everywhere: what retrieves, how it is fused, reranked and stored.

    bge-small-en-v1.5                  a model that Beige runs, by name or folder
    st:all-MiniLM-L6-v2                a model that sentence-transformers runs, by name or folder
    openai:text-embedding-3-small      a provider's model: openai, cohere, voyage
    http://host/v1#model               a model of any server with OpenAI's routes
    bm25                               words
    dense                              the vectors of the index that is evaluated
    bge-small-en-v1.5+bm25             both, fused
    …,rerank=bge-reranker-base         the best of them reranked
    …,vectors=int8,dimensions=128      as a smaller index would keep them

It knows the spelling and nothing of what runs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import unquote

from beige.errors import UsageError
from beige.search.fusion import FUSIONS
from beige.values import Role

Runner = Literal["beige", "st", "openai", "cohere", "voyage", "server", "index"]
"""Who turns text into vectors: Beige, sentence-transformers, a provider, any server with OpenAI's routes, or the
evaluated index's own model, whose vectors are there already."""

Storage = Literal["float32", "float16", "int8", "binary"]
"""How a document's vector is kept, `binary` with rescoring."""

_PREFIXES: Mapping[str, Runner] = {name: name for name in ("st", "openai", "cohere", "voyage")}
_WORDS, _INDEX = "bm25", "dense"


@dataclass(frozen=True, slots=True)
class Model:
    """What makes vectors.

    Attributes:
        runner: who runs it.
        name: of the model, or its folder.
        url: the base of a server's routes, such as `http://host/v1`; None for all other runners.
        precision: that Beige's engine computes in; None for its own choice.
        instruction: put before a query, which goes in the place of a `{text}` in it; None for the model's own, "" for
            none.
    """

    runner: Runner
    name: str
    url: str | None = None
    precision: str | None = None
    instruction: str | None = None

    def written(self, text: str, role: Role) -> str:
        """The text as the instruction has it; only queries have one."""
        if role == "document" or self.instruction is None:
            return text
        return self.instruction.replace("{text}", text) if "{text}" in self.instruction else self.instruction + text


@dataclass(frozen=True, slots=True)
class System:
    """What is measured.

    Attributes:
        name: as it was spelled.
        model: of the dense leg; None without one.
        words: whether BM25 is a leg.
        fusion: how two legs become one score, one of `FUSIONS`.
        rerank: the reranker's name or folder; None without one.
        vectors: how documents' vectors are kept.
        dimensions: how many of a vector's first numbers are kept; None for all.
    """

    name: str
    model: Model | None
    words: bool
    fusion: str = "convex"
    rerank: str | None = None
    vectors: Storage = "float32"
    dimensions: int | None = None

    @classmethod
    def parse(cls, text: str) -> "System":
        """The system of this spelling.

        Raises:
            UsageError: a leg or an option that does not exist, or a value out of its bounds.
        """
        if text and Path(text).expanduser().is_dir():  # whatever commas and plus signs its name has
            return cls(text, Model("beige", text), words=False)
        head, *options = text.split(",")
        legs = [leg.strip() for leg in head.split("+")]
        if not all(legs):
            raise UsageError(f"{text!r} is not a system: a leg's name is missing; write MODEL, bm25 or MODEL+bm25")
        dense = [leg for leg in legs if leg != _WORDS]
        if len(dense) > 1:
            raise UsageError(f"{text!r} has {len(dense)} models: a system is one model, bm25, or MODEL+bm25")
        if len(legs) - len(dense) > 1:
            raise UsageError(f"{text!r} names bm25 twice")
        system = cls(text, _model(dense[0]) if dense else None, words=len(legs) > len(dense))
        for option in options:
            system = _with(system, option)
        return system

    @property
    def dense(self) -> bool:
        """Whether it has vectors."""
        return self.model is not None


def parse_all(texts: Iterable[str]) -> tuple[System, ...]:
    """The systems of these spellings.

    Raises:
        UsageError: as for `System.parse`; or a system stands twice.
    """
    systems = tuple(map(System.parse, texts))
    for number, system in enumerate(systems):
        if system.name in {other.name for other in systems[:number]}:
            raise UsageError(f"the system {system.name} stands twice")
    return systems


def _model(leg: str) -> Model:
    if leg == _INDEX:
        return Model("index", leg)
    if leg.startswith(("http://", "https://")):
        url, _, name = leg.partition("#")
        if not name:
            raise UsageError(f"{leg!r} names no model: write {leg}#MODEL")
        return Model("server", unquote(name), url.rstrip("/"))
    prefix, colon, name = leg.partition(":")
    if colon and prefix in _PREFIXES:
        if not name:
            raise UsageError(f"{leg!r} names no model: write {leg}MODEL")
        return Model(_PREFIXES[prefix], name)
    if colon and not Path(leg).expanduser().is_dir():
        known = ", ".join(f"{name}:MODEL" for name in _PREFIXES)
        raise UsageError(f"{leg!r}: nothing is called {prefix!r}; there are {known} and http://host/v1#MODEL")
    return Model("beige", leg)


def _with(system: System, option: str) -> System:
    key, equals, value = option.lstrip().partition("=")
    if key not in _OPTIONS or not equals or not value:
        known = ", ".join(f"{name}=…" for name in _OPTIONS)
        raise UsageError(f"{system.name!r} has no option {option!r}; there are {known}")
    return _OPTIONS[key](system, value)


def _rerank(system: System, value: str) -> System:
    return replace(system, rerank=value)


def _fusion(system: System, value: str) -> System:
    if system.model is None or not system.words:
        raise UsageError(f"{system.name!r} has one leg, and nothing to fuse")
    return replace(system, fusion=_among(FUSIONS, "fusion", value))


def _vectors(system: System, value: str) -> System:
    kinds: dict[str, Storage] = {kind: kind for kind in get_args(Storage)}
    _needs_model(system, "vectors")
    return replace(system, vectors=kinds[_among(kinds, "vectors", value)])


def _dimensions(system: System, value: str) -> System:
    _needs_model(system, "dimensions")
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"dimensions={value}: a whole number from 1 is expected")
    return replace(system, dimensions=int(value))


def _precision(system: System, value: str) -> System:
    model = _needs_model(system, "precision")
    if model.runner != "beige":
        raise UsageError(f"{system.name!r}: the precision of {model.name} is not ours to choose")
    return replace(system, model=replace(model, precision=value))


def _instruction(system: System, value: str) -> System:
    model = _needs_model(system, "instruction")
    if model.runner == "index":
        raise UsageError(f"{system.name!r}: the index's own queries are written as its manifest says; name its model")
    return replace(system, model=replace(model, instruction="" if value == "none" else unquote(value)))


_OPTIONS: Mapping[str, Callable[[System, str], System]] = {
    "rerank": _rerank,
    "fusion": _fusion,
    "vectors": _vectors,
    "dimensions": _dimensions,
    "precision": _precision,
    "instruction": _instruction,
}
"""What may follow a comma; in an instruction, %2C stands for a comma."""


def _needs_model(system: System, option: str) -> Model:
    if system.model is None:
        raise UsageError(f"{system.name!r} has no vectors, which {option}= is about")
    return system.model


def _among(known: Iterable[str], option: str, value: str) -> str:
    if value not in known:
        raise UsageError(f"{option}={value}: there are {', '.join(known)}")
    return value
