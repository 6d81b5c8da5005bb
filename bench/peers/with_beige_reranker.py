"""Beige's reranker; a score and 1, so that cosines compare scores."""

from worker import Encode, serve


def load(model: str, query: str, precision: str) -> Encode:
    from pathlib import Path

    import numpy as np

    from beige import Reranker

    reranker = Reranker(Path(model), precision=precision, device="cpu")

    def encode(texts):  # type: ignore[no-untyped-def]
        scores = reranker.score(query, texts)
        return np.stack([scores, np.ones_like(scores)], axis=1)

    return encode


serve(load)
