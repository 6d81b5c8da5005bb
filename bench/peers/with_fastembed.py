"""fastembed with the checkpoint's own ONNX file, registered as a custom model."""

from worker import Encode, serve


def load(model: str, onnx: str, pooling: str, dimension: int) -> Encode:
    import numpy as np
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="bench/model",
        pooling=PoolingType[pooling.upper()],
        normalization=True,
        sources=ModelSource(hf="bench/model"),  # asked for, and not used: the folder below is
        dim=dimension,
        model_file=onnx,
    )
    embedding = TextEmbedding("bench/model", specific_model_path=model)

    def encode(texts, batch_size=256):  # type: ignore[no-untyped-def]
        return np.stack(list(embedding.embed(texts, batch_size=batch_size)))

    return encode


serve(load)
