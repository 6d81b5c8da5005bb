"""From a batch's arrays to each text's numbers: padding goes, and what is not finite is named."""

from collections.abc import Iterator, Mapping

import numpy as np

from beige.engines.batches import Batch
from beige.engines.engine import Raw, not_finite
from beige.engines.precision import Choice
from beige.models.checkpoint import Checkpoint
from beige.values import Floats

_SKIPPED: Mapping[str, int] = {"sparse": 0, "multi": 1}
"""The outputs that have a row for each token, and how many tokens at the start have none."""


def by_text(
    batch: Batch, arrays: Mapping[str, Floats], checkpoint: Checkpoint, choice: Choice
) -> Iterator[tuple[int, Raw]]:
    """Each text's place in the input and its numbers.

    Args:
        batch: b texts, the longest of t tokens.
        arrays: by output, as the model gives them, texts first.
        checkpoint: for the error.
        choice: for the error.

    Raises:
        NotFiniteError: a number is NaN or infinite.
    """
    for row, (place, text) in enumerate(zip(batch.positions, batch.texts, strict=True)):
        raw = {}
        for output, array in arrays.items():
            skipped = _SKIPPED.get(output)
            numbers = array[row] if skipped is None else array[row, : len(text.ids) - skipped]
            if not np.isfinite(numbers).all():
                raise not_finite(place, checkpoint, choice)
            raw[output] = numbers
        yield place, raw
