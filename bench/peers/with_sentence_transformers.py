"""sentence-transformers, on torch in some dtype or on its OpenVINO backend."""

from worker import Encode, serve


def load(model: str, backend: str = "torch", dtype: str = "float32") -> Encode:
    from sentence_transformers import SentenceTransformer

    # The OpenVINO backend exports the torch checkpoint when it loads.
    options = {"dtype": dtype} if backend == "torch" else {"export": True}
    transformer = SentenceTransformer(model, device="cpu", backend=backend, model_kwargs=options)

    def encode(texts, batch_size=32):  # type: ignore[no-untyped-def]
        return transformer.encode(texts, batch_size=batch_size, show_progress_bar=False)

    return encode


serve(load)
