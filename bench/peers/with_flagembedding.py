"""FlagEmbedding as its documentation shows it; on a CPU it computes in fp32 whatever it is asked for."""

from worker import Encode, serve


def load(model: str, three: bool = False) -> Encode:
    from FlagEmbedding import BGEM3FlagModel, FlagModel

    if three:
        m3 = BGEM3FlagModel(model, devices="cpu")

        def encode_three(texts):  # type: ignore[no-untyped-def]
            given = m3.encode(texts, return_dense=True, return_sparse=True, return_colbert_vecs=True)
            return given["dense_vecs"]

        return encode_three

    embedder = FlagModel(model, devices="cpu")

    def encode(texts, batch_size=256):  # type: ignore[no-untyped-def]
        return embedder.encode(texts, batch_size=batch_size)

    return encode


serve(load)
