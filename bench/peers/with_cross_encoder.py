"""sentence-transformers' CrossEncoder; a score and 1, so that cosines compare scores."""

from worker import Encode, serve


def load(model: str, query: str, dtype: str = "float32") -> Encode:
    import numpy as np
    import torch
    from sentence_transformers import CrossEncoder

    encoder = CrossEncoder(model, device="cpu", model_kwargs={"dtype": dtype})

    def encode(texts, batch_size=32):  # type: ignore[no-untyped-def]
        pairs = [(query, text) for text in texts]
        scores = encoder.predict(
            pairs, batch_size=batch_size, activation_fn=torch.nn.Identity(), show_progress_bar=False
        ).astype(np.float32)
        return np.stack([scores, np.ones_like(scores)], axis=1)

    return encode


serve(load)
