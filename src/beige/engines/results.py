"""What engines give: from a batch's arrays to each text's numbers: padding goes, and what is not finite is named."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from beige.engines.batches import Batch
from beige.engines.precision import Choice
from beige.errors import NotFiniteError
from beige.models.checkpoint import Checkpoint
from beige.values import Floats

Raw = Mapping[str, Floats]
"""One text's numbers by output, float32, without padding.

"dense" (d,), unit length; "sparse" (t,), a weight for each token; "multi" (t - 1, o), a unit vector for each token but
the first; "words" (v,), a weight for each word of the vocabulary; "score" (e,), of a pair, a raw score for each exit.
"""

_SKIPPED: Mapping[str, int] = {"sparse": 0, "multi": 1}
"""The outputs that have a row for each token, and how many tokens at the start have none."""


def by_text(
    batch: Batch, arrays: Mapping[str, Floats], checkpoint: Checkpoint, choice: Choice
) -> Iterator[tuple[int, Raw | NotFiniteError]]:
    """Each text's place in the input and its numbers, or the error that one of them is NaN or infinite.

    Args:
        batch: b texts, the longest of t tokens.
        arrays: by output, as the model gives them, texts first.
        checkpoint: for the error.
        choice: for the error.
    """
    for row, (place, text) in enumerate(zip(batch.positions, batch.texts, strict=True)):
        raw = {}
        for output, array in arrays.items():
            skipped = _SKIPPED.get(output)
            raw[output] = array[row] if skipped is None else array[row, : len(text.ids) - skipped]
        whole = all(np.isfinite(numbers).all() for numbers in raw.values())
        yield place, raw if whole else _not_finite(place, checkpoint, choice)


def finite(results: Iterable[tuple[int, Raw | NotFiniteError]]) -> Iterator[tuple[int, Raw]]:
    """The same, for those who want all or none.

    Raises:
        NotFiniteError: one of them is that.
    """
    for place, raw in results:
        if isinstance(raw, NotFiniteError):
            raise raw
        yield place, raw


def _not_finite(place: int, checkpoint: Checkpoint, choice: Choice) -> NotFiniteError:
    return NotFiniteError(
        f"text {place} (counted from 0) gives a vector that is not finite with {checkpoint.name} in "
        f"{choice.precision}: try precision 'fp32', or pull the checkpoint again"
    )
