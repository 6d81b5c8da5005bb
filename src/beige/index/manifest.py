"""What an index says of itself: which models made its vectors, which legs it has, how its words were analysed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

from beige.analyser import AVERAGE_LENGTH
from beige.errors import StoreError, UsageError
from beige.values import Output

Storage = Literal["float32", "int8", "binary"]
"""How a dense leg's cache keeps the numbers of vectors; the database keeps float16, whose scores count."""


def storage_of(name: str) -> Storage:
    """The storage of a name.

    Raises:
        UsageError: there is none.
    """
    for storage in get_args(Storage):
        if name == storage:
            return cast("Storage", storage)
    raise UsageError(f"no storage {name!r}; there are: {', '.join(get_args(Storage))}")


FEEDBACK = "feedback"
"""What a search calls likeness to its best candidates, so that no leg has this name."""

FIXED = ("legs", "base", "created")
"""What cannot change while the index lives: what is stored depends on it."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """A model that makes vectors of an index.

    Attributes:
        model: what opens it again: its card's name, else its folder. Legs name it by this.
        fingerprint: of what makes the vectors.
        precision: that the engine ran in when the index was made.
        query_template: how queries are to be written for the model.
        document_template: how documents were.
    """

    model: str
    fingerprint: str
    precision: str
    query_template: str
    document_template: str


@dataclass(frozen=True, slots=True)
class Leg:
    """One way to retrieve.

    Attributes:
        name: lower-case letters, digits and underscores.
        kind: which output it holds: "dense" for unit vectors scored by dot product, "sparse" for weights by id, "multi"
            for token vectors scored by the mean of maxima, which only rescores what other legs find.
        dimension: of its vectors; None for a sparse leg.
        idf: whether a sparse leg's ids count times their live IDF.
        storage: how a dense leg's cache keeps vectors where a graph serves; may change while the index lives.
        pool: how many token vectors of a multi leg became one.
        encoder: the model that makes its vectors; None for the analyser, which makes words of texts.
    """

    name: str
    kind: Output
    dimension: int | None = None
    idf: bool = False
    storage: Storage = "float32"
    pool: int = 1
    encoder: str | None = None

    def __post_init__(self) -> None:
        if not self.name.isascii() or not self.name.replace("_", "a").isalnum() or self.name != self.name.lower():
            raise ValueError(f"the leg's name {self.name!r} is not of lower-case letters, digits and underscores")
        if self.name == FEEDBACK:
            raise ValueError(f"no leg can have the name {FEEDBACK!r}: a search calls likeness to its best so")
        if self.storage not in get_args(Storage) or (self.storage != "float32" and self.kind != "dense"):
            raise ValueError(f"the leg {self.name!r} cannot be kept as {self.storage!r}")
        if (self.kind == "sparse") != (self.dimension is None):
            raise ValueError(f"the leg {self.name!r} needs a dimension unless, and only unless, it is sparse")
        if self.pool < 1 or (self.pool > 1 and self.kind != "multi"):
            raise ValueError(f"the leg {self.name!r} cannot bring {self.pool} vectors together")


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the strengths of some legs become a relevance, fitted on judgements; see `beige.search.relevance`.

    Attributes:
        weights: what one unit of each leg's strength adds to the log-odds, 0 or more; it holds for just these legs.
        bias: the log-odds where every strength is 0.
        pairs: how many pairs of a query and a chunk it was fitted on.
        relevant: how many of them were judged relevant.
    """

    weights: Mapping[str, float]
    bias: float
    pairs: int
    relevant: int

    def __post_init__(self) -> None:
        if not all(0 <= weight < math.inf for weight in self.weights.values()) or not math.isfinite(self.bias):
            raise ValueError("a calibration needs finite weights of 0 or more and a finite bias")


@dataclass(frozen=True, slots=True)
class Choice:
    """A way of searching that an index was tuned to.

    Attributes:
        legs: that are searched.
        fusion: how they become one score.
        weights: of the legs in it; none for its own.
        depth: candidates of each leg.
        feedback: what likeness to the best candidates weighs, as a part of what the legs weigh together.
        rerank: the reranker's model; None for none.
        read: candidates that it reads.
    """

    legs: tuple[str, ...]
    fusion: str = "convex"
    weights: Mapping[str, float] = field(default_factory=dict)
    depth: int = 100
    feedback: float = 0.0
    rerank: str | None = None
    read: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """An index's own description, kept as rows of its database.

    Attributes:
        encoders: the models that make its vectors; the first one's tokens are what chunks are measured in.
        legs: in the order in which their tables were made.
        chunk_tokens: the most tokens of a chunk.
        analyser: language and version of what makes words of text.
        average_length: tokens of an average text, for BM25; where an older Beige made the index, its first texts' mean.
        base: the folder that relative sources are relative to: seen from the index's folder where that lies beneath it,
            so that both can be moved together, else absolute.
        created: when, ISO 8601 in UTC.
        calibration: how relevance follows from the legs, one a set of legs; none until judgements were fitted.
        choice: how the index is searched unless a search says otherwise; None until it was tuned.
    """

    encoders: tuple[Encoder, ...]
    legs: tuple[Leg, ...]
    chunk_tokens: int
    analyser: str
    average_length: float = AVERAGE_LENGTH
    base: str = ".."
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    calibration: tuple[Calibration, ...] = ()
    choice: Choice | None = None

    def __post_init__(self) -> None:
        models = [encoder.model for encoder in self.encoders]
        for leg in self.legs:
            if leg.encoder is not None and leg.encoder not in models:
                raise ValueError(f"the leg {leg.name!r} is of {leg.encoder}, which is not among the index's models")

    def encoder(self, model: str) -> Encoder:
        """The encoder of this model.

        Raises:
            StoreError: the index has no vectors of it.
        """
        for encoder in self.encoders:
            if encoder.model == model:
                return encoder
        raise StoreError(f"the index has no vectors of {model}; it has those of {self.models}")

    @property
    def models(self) -> str:
        """Its models' names, for a sentence."""
        return ", ".join(encoder.model for encoder in self.encoders) or "no model"

    def legs_of(self, model: str | None) -> tuple[Leg, ...]:
        """The legs that a model makes; of None, the analyser."""
        return tuple(leg for leg in self.legs if leg.encoder == model)

    def leg(self, name: str) -> Leg:
        """The leg of this name.

        Raises:
            StoreError: the index has no such leg.
        """
        for leg in self.legs:
            if leg.name == name:
                return leg
        raise StoreError(f"the index has no leg {name!r}; it has {', '.join(leg.name for leg in self.legs)}")

    @property
    def storage(self) -> Storage:
        """How the caches of its dense legs keep vectors."""
        return next((leg.storage for leg in self.legs if leg.kind == "dense"), "float32")

    def kept_as(self, storage: Storage) -> "Manifest":
        """This manifest with another storage of its dense legs."""
        return replace(
            self, legs=tuple(replace(leg, storage=storage) if leg.kind == "dense" else leg for leg in self.legs)
        )

    def calibrated(self, fitted: Calibration) -> tuple[Calibration, ...]:
        """Its calibrations with this one in the place of that for the same legs."""
        return (*(one for one in self.calibration if set(one.weights) != set(fitted.weights)), fitted)

    def changed(self, **changes: Any) -> "Manifest":
        """This manifest with some values replaced.

        Raises:
            StoreError: a name is unknown, or its value is fixed while the index lives.
        """
        known = {attribute.name for attribute in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise StoreError(f"a manifest has no value {name!r}; it has {', '.join(sorted(known))}")
            if name in FIXED and not (name == "legs" and self._kept_otherwise(value)):
                raise StoreError(f"{name!r} is fixed while an index lives; make a new one with beige index --rebuild")
        return replace(self, **changes)

    def _kept_otherwise(self, legs: Sequence[Leg]) -> bool:
        """Whether these legs differ from the manifest's in their storage only."""
        return replace(self, legs=tuple(legs)).kept_as("float32").legs == self.kept_as("float32").legs

    def to_rows(self) -> dict[str, str]:
        """Each value as JSON, by name."""
        rows = {attribute.name: getattr(self, attribute.name) for attribute in fields(self)}
        rows |= {name: [asdict(one) for one in rows[name]] for name in ("encoders", "legs", "calibration")}
        rows["choice"] = self.choice and asdict(self.choice)
        return {name: json.dumps(value) for name, value in rows.items()}

    @classmethod
    def from_rows(cls, rows: Mapping[str, str]) -> "Manifest":
        """The inverse of `to_rows`.

        Raises:
            StoreError: a value is missing, unknown or malformed.
        """
        try:
            values = {name: json.loads(text) for name, text in rows.items()}
            if values.get("average_length", 0) is None:  # an older Beige's, without a word so far
                del values["average_length"]
            values["encoders"] = tuple(Encoder(**encoder) for encoder in values["encoders"])
            values["legs"] = tuple(Leg(**leg) for leg in values["legs"])
            values["calibration"] = tuple(Calibration(**fitted) for fitted in values.get("calibration", ()))
            if choice := values.get("choice"):
                values["choice"] = Choice(**{**choice, "legs": tuple(choice["legs"])})
            return cls(**values)
        except (TypeError, ValueError, KeyError) as error:
            raise StoreError(
                f"the index's manifest cannot be understood ({error}): it is damaged or of another version of Beige; "
                "update Beige, or make the index anew with beige index --rebuild"
            ) from error
