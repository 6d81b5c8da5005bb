"""BERT's forward pass in plain numpy, one text at a time, to hold the engine's graph against."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from beige.models.checkpoint import Checkpoint

_erf = np.vectorize(math.erf)


def forward(checkpoint: Checkpoint, ids: np.ndarray) -> np.ndarray:
    """The unit vector, float64, of one text."""
    tensors: Mapping[str, Any] = {name: np.asarray(array, np.float64) for name, array in checkpoint.tensors().items()}
    config = checkpoint.config
    heads = config["num_attention_heads"]

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + config["layer_norm_eps"])
        return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def split(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), heads, -1).transpose(1, 0, 2)  # (n, t, d)

    table = "embeddings.{}_embeddings.weight"
    x = tensors[table.format("word")][ids]  # (t, h)
    x = x + tensors[table.format("position")][: len(ids)] + tensors[table.format("token_type")][0]
    x = norm("embeddings.LayerNorm", x)
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        query, key, value = (split(linear(f"{layer}.attention.self.{part}", x)) for part in ("query", "key", "value"))
        scores = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1]))  # (n, t, t)
        mixed = (scores / scores.sum(-1, keepdims=True)) @ value  # (n, t, d)
        mixed = mixed.transpose(1, 0, 2).reshape(x.shape)
        x = norm(f"{layer}.attention.output.LayerNorm", linear(f"{layer}.attention.output.dense", mixed) + x)
        inner = linear(f"{layer}.intermediate.dense", x)
        inner = inner * 0.5 * (1 + _erf(inner / math.sqrt(2)))
        x = norm(f"{layer}.output.LayerNorm", linear(f"{layer}.output.dense", inner) + x)
    pooled = x[0] if checkpoint.pooling == "cls" else x.mean(0)
    return pooled / np.linalg.norm(pooled)
