"""What an index says of itself: which model made its vectors, which legs it has, how its words were analysed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from beige.errors import StoreError

Storage = Literal["float32", "int8", "binary"]
"""How a dense leg's cache keeps the numbers of vectors; the database keeps float16, whose scores count."""

FIXED = ("dimension", "legs", "base", "created")
"""What cannot change while the index lives: what is stored depends on it."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One way to retrieve.

    Attributes:
        name: lower-case letters, digits and underscores.
        kind: "dense" for unit vectors scored by dot product, "sparse" for weights by id.
        dimension: of a dense leg; None for a sparse one.
        idf: whether a sparse leg's ids count times their live IDF.
        storage: how a dense leg's cache keeps vectors where a graph serves; may change while the index lives.
    """

    name: str
    kind: Literal["dense", "sparse"]
    dimension: int | None = None
    idf: bool = False
    storage: Storage = "float32"

    def __post_init__(self) -> None:
        if not self.name.isascii() or not self.name.replace("_", "a").isalnum() or self.name != self.name.lower():
            raise ValueError(f"the leg's name {self.name!r} is not of lower-case letters, digits and underscores")
        if (self.kind == "dense") != (self.dimension is not None):
            raise ValueError(f"the leg {self.name!r} needs a dimension if, and only if, it is dense")
        if self.storage not in get_args(Storage) or (self.storage != "float32" and self.kind != "dense"):
            raise ValueError(f"the leg {self.name!r} cannot be kept as {self.storage!r}")


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
class Manifest:
    """An index's own description, kept as rows of its database.

    Attributes:
        model: the name of the model card or folder.
        fingerprint: of the model that made the vectors.
        precision: that the engine ran in.
        query_template: how queries are to be written for the model.
        document_template: how documents were.
        dimension: of the dense vectors.
        legs: in the order in which their tables were made.
        chunk_tokens: the most tokens of a chunk.
        analyser: language and version of what makes words of text.
        average_length: mean weight-giving length of a document for BM25, fixed when the index is made.
        base: the folder that relative sources are relative to: seen from the index's folder where that lies beneath it,
            so that both can be moved together, else absolute.
        created: when, ISO 8601 in UTC.
        calibration: how relevance follows from the legs, one a set of legs; none until judgements were fitted.
    """

    model: str
    fingerprint: str
    precision: str
    query_template: str
    document_template: str
    dimension: int
    legs: tuple[Leg, ...]
    chunk_tokens: int
    analyser: str
    average_length: float | None = None
    base: str = ".."
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    calibration: tuple[Calibration, ...] = ()

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
        rows["legs"] = [{a.name: getattr(leg, a.name) for a in fields(leg)} for leg in self.legs]
        rows["calibration"] = [asdict(fitted) for fitted in self.calibration]
        return {name: json.dumps(value) for name, value in rows.items()}

    @classmethod
    def from_rows(cls, rows: Mapping[str, str]) -> "Manifest":
        """The inverse of `to_rows`.

        Raises:
            StoreError: a value is missing, unknown or malformed.
        """
        try:
            values = {name: json.loads(text) for name, text in rows.items()}
            values["legs"] = tuple(Leg(**leg) for leg in values["legs"])
            values["calibration"] = tuple(Calibration(**fitted) for fitted in values.get("calibration", ()))
            return cls(**values)
        except (TypeError, ValueError, KeyError) as error:
            raise StoreError(
                f"the index's manifest cannot be understood ({error}): it is damaged or of another version of Beige; "
                "update Beige, or make the index anew with beige index --rebuild"
            ) from error
