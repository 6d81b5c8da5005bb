"""What a system costs beside what it is worth: tokens, speed, latency, money, memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Cost:
    """A system's cost on a data set; None where it does not arise or nobody can tell.

    Attributes:
        tokens: that the model read of the documents, equal documents once.
        tokens_per_second: of the documents.
        latency_p50_ms: milliseconds from a query to its ranking: embedding, every leg, fusion, reranking; the median.
        latency_p95_ms: exceeded by one query in twenty.
        dollars_per_million_tokens: as listed, or as the user said.
        dollars: for embedding these documents and queries once, at that price.
        dimensions: numbers of a vector as it is kept.
        bytes_per_vector: as it is kept.
        precision: that the model computed in, such as "bf16"; of an index, its documents' vectors.
    """

    tokens: int | None = None
    tokens_per_second: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    dollars_per_million_tokens: float | None = None
    dollars: float | None = None
    dimensions: int | None = None
    bytes_per_vector: int | None = None
    precision: str | None = None


def percentiles(seconds: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Median and 95th percentile in milliseconds of those that were measured; NaN was not."""
    measured = seconds[np.isfinite(seconds)]
    if not len(measured):
        return None, None
    p50, p95 = np.percentile(1000 * measured, (50, 95))
    return float(p50), float(p95)
