"""BERT and XLM-RoBERTa in PyTorch, over the checkpoint's own tensors.

Formulas: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, as transformers' `BertModel` and `XLMRobertaModel`
compute them. Shapes in the comments: b texts, t tokens, h hidden, n heads of width d.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from beige.engines.encoders import ENCODERS
from beige.engines.torch_weights import LayerNorm, Weights
from beige.errors import EngineError
from beige.models.checkpoint import Checkpoint

ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}
"""By the configuration's `hidden_act`."""


class Encoder:
    """A bidirectional encoder.

    Args:
        checkpoint: whose configuration to follow.
        weights: where its tensors come from.

    Raises:
        EngineError: the configuration asks for what this encoder does not compute.
        CheckpointError: a tensor is missing or of a wrong shape.
    """

    def __init__(self, checkpoint: Checkpoint, weights: Weights) -> None:
        config = checkpoint.config
        for what, value, covered in (
            ("hidden_act", config.get("hidden_act", "gelu"), ACTIVATIONS),
            ("position_embedding_type", config.get("position_embedding_type", "absolute"), ("absolute",)),
        ):
            if value not in covered:
                raise EngineError(f"{checkpoint.name}: PyTorch has no {what} {value!r} here, only {', '.join(covered)}")
        hidden = int(config["hidden_size"])
        rows = {
            "word": int(config["vocab_size"]),
            "position": int(config["max_position_embeddings"]),
            "token_type": int(config["type_vocab_size"]),
        }
        tables = {
            kind: weights.take(f"embeddings.{kind}_embeddings.weight", count, hidden) for kind, count in rows.items()
        }
        self._words, self._positions, self._types = tables["word"], tables["position"], tables["token_type"]
        self._first = ENCODERS[checkpoint.architecture].first_position(config)
        self._norm = norm(weights, "embeddings.LayerNorm", config)
        self._layers = [
            _Layer(weights, f"encoder.layer.{number}", config) for number in range(int(config["num_hidden_layers"]))
        ]

    def __call__(
        self, ids: torch.Tensor, lengths: torch.Tensor, types: torch.Tensor | None = None, *, first_only: bool = False
    ) -> torch.Tensor:
        """Hidden states of the last layer.

        Args:
            ids: (b, t), padded at the right.
            lengths: real tokens of each text, (b,).
            types: token types, (b, t); None means 0, as does a model that has but one.
            first_only: whether the last layer computes the first token alone.

        Returns:
            (b, t, h), or (b, 1, h) with `first_only`; what stands at padding means nothing.
        """
        places = torch.arange(ids.shape[1], device=ids.device)  # (t,)
        real = places < lengths[:, None]  # (b, t)
        mask = None if bool(real.all()) else real[:, None, None]  # (b, 1, 1, t)
        kinds = self._types[0] if types is None or len(self._types) == 1 else self._types[types]  # (h,) or (b, t, h)
        x = self._norm(self._words[ids] + self._positions[places + self._first] + kinds)  # (b, t, h)
        for layer in self._layers[:-1]:
            x = layer(x, x, mask)
        return self._layers[-1](x[:, :1] if first_only else x, x, mask)


class _Layer:
    def __init__(self, weights: Weights, name: str, config: Mapping[str, Any]) -> None:
        hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
        self._heads = int(config["num_attention_heads"])
        self._activation = ACTIVATIONS[config.get("hidden_act", "gelu")]
        self._query, self._key, self._value = (
            weights.linear(f"{name}.attention.self.{part}", hidden, hidden, bias=True)
            for part in ("query", "key", "value")
        )
        self._mixed = weights.linear(f"{name}.attention.output.dense", hidden, hidden, bias=True)
        self._norm = norm(weights, f"{name}.attention.output.LayerNorm", config)
        self._inner = weights.linear(f"{name}.intermediate.dense", inner, hidden, bias=True)
        self._outer = weights.linear(f"{name}.output.dense", hidden, inner, bias=True)
        self._last_norm = norm(weights, f"{name}.output.LayerNorm", config)

    def __call__(self, asking: torch.Tensor, asked: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        query, key, value = (
            linear(x).view(*x.shape[:2], self._heads, -1).transpose(1, 2)  # (b, n, t, d)
            for linear, x in ((self._query, asking), (self._key, asked), (self._value, asked))
        )
        mixed = F.scaled_dot_product_attention(query, key, value, mask)  # (b, n, t, d)
        x = self._norm(self._mixed(mixed.transpose(1, 2).flatten(2)) + asking)  # (b, t, h)
        return self._last_norm(self._outer(self._activation(self._inner(x))) + x)


def norm(weights: Weights, name: str, config: Mapping[str, Any]) -> LayerNorm:
    """A layer normalisation of the configuration's width."""
    hidden = int(config["hidden_size"])
    epsilon = float(config.get("layer_norm_eps", 1e-12))
    return LayerNorm(weights.take(f"{name}.weight", hidden), weights.take(f"{name}.bias", hidden), epsilon)
