"""The value objects that cross rooms: roles, outputs, and what an embedder returns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["query", "document"]
"""What a text is for; it decides the template."""

Output = Literal["dense", "sparse", "multi"]
"""What a model gives for a text: one vector, weights by token id, or one vector a token."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Sparse:
    """A sparse vector: distinct ids in ascending order, each with a weight above zero."""

    ids: NDArray[np.uint32]  # (k,)
    weights: Floats  # (k,)

    def __len__(self) -> int:
        return len(self.ids)

    def dot(self, other: "Sparse") -> float:
        """The sum over shared ids of the product of the weights."""
        _, mine, theirs = np.intersect1d(self.ids, other.ids, assume_unique=True, return_indices=True)
        return float(self.weights[mine] @ other.weights[theirs])


@dataclass(frozen=True, eq=False)
class Embedding:
    """One text's outputs; those not asked for are None.

    Attributes:
        dense: unit vector, float32, (d,).
        sparse: lexical weights.
        multi: unit vectors, float32, (t, d).
        tokens: how many tokens the text has, special tokens and template included, before any cut.
        truncated: whether the text was cut to the model's length.
    """

    dense: Floats | None
    sparse: Sparse | None
    multi: Floats | None
    tokens: int
    truncated: bool


@dataclass(frozen=True, eq=False)
class Embeddings:
    """A batch of texts' outputs, in the order of the inputs; `len`, indexing and iteration give `Embedding`s.

    Attributes:
        dense: unit vectors, float32, (n, d).
        sparse: n lexical weights.
        multi: n arrays of unit vectors, float32, (t_i, d).
        tokens: token counts before any cut, int32, (n,).
        truncated: whether each text was cut, bool, (n,).
    """

    dense: Floats | None
    sparse: tuple[Sparse, ...] | None
    multi: tuple[Floats, ...] | None
    tokens: Ints
    truncated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, position: int) -> Embedding:
        return Embedding(
            dense=None if self.dense is None else self.dense[position],
            sparse=None if self.sparse is None else self.sparse[position],
            multi=None if self.multi is None else self.multi[position],
            tokens=int(self.tokens[position]),
            truncated=bool(self.truncated[position]),
        )

    def __iter__(self) -> Iterator[Embedding]:
        return (self[position] for position in range(len(self)))
