"""Parity: the cosines of Beige's vectors to sentence-transformers', on the same checkpoint folder."""

import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from beige.evaluate.data import read_retrieval
from beige.models.tokenizer import Tokenizer
from beige.values import Floats

LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 63, 79, 100, 126, 158, 199, 251, 316, 398, 460, 510)
"""Tokens of a text, without the special ones: the longest fills 512."""

SCRIPTS = ("xquad_r-en", "xquad_r-de", "xquad_r-zh", "xquad_r-ar", "xquad_r-es", "scifact", "cmrc2018-dev")
EACH = 2
"""Texts of each length and source."""


def parity_texts(data: Path, tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """Data sets and texts of theirs, of every length: running text that begins anywhere, always the same."""
    choose = random.Random(0)
    texts = []
    for name in SCRIPTS:
        records = list(read_retrieval(data / "retrieval" / name).documents.values())
        for length in LENGTHS:
            for _ in range(EACH):
                start = choose.randrange(len(records))
                text = " ".join(record.whole for record in (records + records)[start : start + 60])[:8000]
                spans = tokenizer.spans(text)  # (t, 2)
                texts.append((name, text[: spans[min(length, len(spans)) - 1][1]]))
    return texts


def cosines(ours: Floats, theirs: Floats) -> Floats:
    """The cosine of two vectors of one text, (n,)."""
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    found: Floats = (ours * theirs).sum(1) / lengths
    return found


def spread(vectors: Floats) -> float:
    """The mean cosine of different texts: parity means something where this is well below 1."""
    mean = vectors.mean(0)
    return float(mean @ mean)


FLOORS: Mapping[str, float] = {"fp32": 0.99999, "bf16": 0.9999, "int8": 0.999}
"""The lowest cosine that will do, by precision."""
