"""BERT's and XLM-RoBERTa's forward pass in plain numpy, one text at a time, to hold the engine's graph against."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from beige.models.checkpoint import Checkpoint

_erf = np.vectorize(math.erf)


def states(checkpoint: Checkpoint, ids: np.ndarray, types: np.ndarray | int = 0) -> np.ndarray:
    """The last layer's states, float64, of one text, (t, h)."""
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
    first = 0 if checkpoint.architecture == "bert" else config["pad_token_id"] + 1
    x = x + tensors[table.format("position")][first : first + len(ids)] + tensors[table.format("token_type")][types]
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
    return x


def forward(checkpoint: Checkpoint, ids: np.ndarray) -> np.ndarray:
    """The unit vector, float64, of one text."""
    x = states(checkpoint, ids)  # (t, h)
    pooled = x[0] if checkpoint.pooling == "cls" else x.mean(0)
    return unit(pooled)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
