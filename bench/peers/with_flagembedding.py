"""FlagEmbedding as its documentation shows it; on a CPU it computes in fp32 whatever it is asked for."""

from worker import Encode, serve


def load(model: str) -> Encode:
    from FlagEmbedding import FlagModel

    embedder = FlagModel(model, devices="cpu")

    def encode(texts, batch_size=256):  # type: ignore[no-untyped-def]
        return embedder.encode(texts, batch_size=batch_size)

    return encode


serve(load)
