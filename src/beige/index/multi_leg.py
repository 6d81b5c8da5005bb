"""How a leg of token vectors is held: in the database alone, for it only scores chunks that other legs found."""

from collections.abc import Sequence

import numpy as np

from beige.errors import StoreError
from beige.index.codec import Blobs, decode_multi, encode_multi
from beige.index.manifest import Leg
from beige.index.store import Vector, Vectors
from beige.scores import multi_score
from beige.values import Floats


class MultiLeg:
    """A leg of one vector a token; it has no cache.

    Args:
        number: the leg's place in the manifest.
        leg: its name and dimension.
    """

    def __init__(self, number: int, leg: Leg) -> None:
        assert leg.dimension is not None
        self.number = number
        self._name = leg.name
        self._dimension = leg.dimension

    def encode(self, vectors: Vectors, source: str) -> list[bytes]:
        """A document's vectors as they are stored, one blob a chunk."""
        return encode_multi(vectors, self._dimension, f"leg {self._name!r} of {source}")

    def decode(self, blobs: Sequence[bytes]) -> Sequence[Vector]:
        """Token vectors (t, d) as they are stored, in float32."""
        return [decode_multi(blob, self._dimension) for blob in blobs]

    def check(self, query: Vector) -> None:
        """Refuse a query of another shape, or that is not finite."""
        if not isinstance(query, np.ndarray) or query.shape[1:] != (self._dimension,) or not np.isfinite(query).all():
            raise StoreError(f"the leg {self._name!r} needs a query of vectors of {self._dimension} finite values")

    def scores(self, query: Floats, blobs: Blobs) -> Floats:
        """The mean of the query's maxima over each chunk's vectors: (n,).

        One chunk at a time: a chunk's score has the same bits whichever others are scored with it.
        """
        return np.array([multi_score(query, decode_multi(blob, self._dimension)) for _, blob in blobs], np.float32)
