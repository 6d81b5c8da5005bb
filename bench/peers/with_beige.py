"""Beige."""

from worker import Encode, serve


def load(model: str, precision: str) -> Encode:
    from pathlib import Path

    from beige import Embedder

    embedder = Embedder(Path(model), precision=precision)

    def encode(texts, outputs=("dense",)):  # type: ignore[no-untyped-def]
        return embedder.encode(texts, "document", tuple(outputs)).dense

    return encode


serve(load)
