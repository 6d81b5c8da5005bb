"""FlagEmbedding's reranker; a score and 1, so that cosines compare scores."""

from worker import Encode, serve


def load(model: str, query: str) -> Encode:
    import numpy as np
    from FlagEmbedding import FlagReranker

    reranker = FlagReranker(model, devices="cpu")

    def encode(texts):  # type: ignore[no-untyped-def]
        scores = np.asarray(reranker.compute_score([(query, text) for text in texts]), np.float32).reshape(-1)
        return np.stack([scores, np.ones_like(scores)], axis=1)

    return encode


serve(load)
