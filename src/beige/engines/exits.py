"""Where a reranker that can stop early does so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exits:
    """Where a reranker that can stop early does so.

    Attributes:
        layers: after how many layers to score; one score for each. Empty for the last layer alone.
        compression: how many neighbouring tokens of the passage become one: 1, 2, 4 or 8.
        compressed: before which layers they are brought together, counted from 0.
    """

    layers: tuple[int, ...] = ()
    compression: int = 1
    compressed: tuple[int, ...] = (8,)
