"""Beige."""

from worker import Encode, serve


def load(model: str, precision: str) -> Encode:
    from pathlib import Path

    from beige import Embedder

    embedder = Embedder(Path(model), precision=precision)

    def encode(texts):  # type: ignore[no-untyped-def]
        return embedder.encode_document(texts).dense

    return encode


serve(load)
