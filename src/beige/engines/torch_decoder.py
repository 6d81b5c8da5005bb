"""Mistral, Gemma, Gemma 2, Qwen 2, Qwen 3 and MiniCPM in PyTorch, over the checkpoint's own tensors.

They are one architecture, Llama's (https://arxiv.org/abs/2302.13971), with the differences that `_FAMILIES` lists. The
layers can be run piece by piece, which is what layer exits and token compression need. Texts are padded at the right:
a token sees only what stands before it, so that padding changes nothing and needs no mask. Shapes in the comments: b
texts, t tokens, h hidden, n heads of width d, of which k are keys' and values'.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from beige.engines.torch_encoder import ACTIVATIONS
from beige.engines.torch_weights import Linear, RMSNorm, Weights
from beige.errors import EngineError
from beige.models.checkpoint import Checkpoint

_BLOCK = 1024
"""Queries whose capped scores are held at once: no scores of a whole long text by itself."""


@dataclass(frozen=True, slots=True)
class _Family:
    """How an architecture differs from Llama's.

    Attributes:
        biased: whether query, key and value have biases.
        normed: whether queries and keys are normalised head by head.
        centred: whether norms scale by one plus their weight, and embeddings are scaled by the root of their width.
        sandwich: whether the results of attention and of the feed-forward part are normalised too.
        capped: whether scores of attention pass through a tanh, where the configuration says how wide it is. The
            reference leaves it out of its reranker with layer exits, and so its published scores are without.
        activation: the configuration's default.
    """

    biased: bool = False
    normed: bool = False
    centred: bool = False
    sandwich: bool = False
    capped: bool = False
    activation: str = "silu"


_GEMMA_ACTIVATION = "gelu_pytorch_tanh"  # also where an old configuration says "gelu": transformers reads it so
_FAMILIES: Mapping[str, _Family] = {
    "mistral": _Family(),
    "qwen2": _Family(biased=True),
    "qwen3": _Family(normed=True),
    "gemma": _Family(centred=True, activation=_GEMMA_ACTIVATION),
    "gemma2": _Family(centred=True, sandwich=True, capped=True, activation=_GEMMA_ACTIVATION),
    "cost_wise_gemma": _Family(centred=True, sandwich=True, activation=_GEMMA_ACTIVATION),
    "minicpm": _Family(),
}
ARCHITECTURES = tuple(_FAMILIES)
"""Of the configuration's `model_type`."""


class Decoder:
    """A causal decoder.

    Args:
        checkpoint: whose configuration to follow.
        weights: where its tensors come from.
        depth: how many layers to take; all by default.

    Attributes:
        depth: how many layers it has.
        words: the embedding table, (v, h).
        norm: what comes after the last layer.

    Raises:
        EngineError: the configuration asks for what this decoder does not compute.
        CheckpointError: a tensor is missing or of a wrong shape.
    """

    def __init__(self, checkpoint: Checkpoint, weights: Weights, depth: int | None = None) -> None:
        config = checkpoint.config
        family = _FAMILIES[checkpoint.architecture]
        _refuse_unknown(checkpoint, family)
        hidden = int(config["hidden_size"])
        self.depth = depth or int(config["num_hidden_layers"])
        self.words = weights.take("embed_tokens.weight", int(config["vocab_size"]), hidden)
        # The root is rounded to the dtype, as transformers does.
        scale = hidden**0.5 if family.centred else float(config.get("scale_emb", 1))
        self._scale = torch.tensor(scale, dtype=weights.dtype, device=weights.device)
        self._frequencies = _frequencies(config).to(weights.device)  # (d / 2,)
        self._layers = [
            _Layer(weights, f"layers.{number}", family, config, _window(checkpoint, number))
            for number in range(self.depth)
        ]
        self.norm = _norm(weights, "norm", hidden, family, config)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Tokens' states before the first layer: ids (b, t) to (b, t, h)."""
        return self.words[ids] * self._scale

    def run(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Run the layers from number `first` up to, not including, `last`: (b, t, h) to (b, t, h), not normalised."""
        angles = torch.arange(x.shape[1], device=x.device)[:, None] * self._frequencies  # (t, d / 2)
        angles = torch.cat((angles, angles), -1)  # (t, d)
        turn = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        for layer in self._layers[first:last]:
            x = layer(x, turn)
        return x

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Normalised hidden states of the last layer: ids (b, t), padded at the right, to (b, t, h)."""
        return self.norm(self.run(self.embed(ids), 0, self.depth))


class _Layer:
    def __init__(
        self, weights: Weights, name: str, family: _Family, config: Mapping[str, Any], window: int | None
    ) -> None:
        hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
        heads = int(config["num_attention_heads"])
        keys = int(config.get("num_key_value_heads") or heads)
        self._width = width = _width(config)
        self._window = window
        self._scale = float(config.get("query_pre_attn_scalar") or width) ** -0.5
        self._cap: float | None = config.get("attn_logit_softcapping") if family.capped else None
        # MiniCPM's scaling of what each part adds, https://arxiv.org/abs/2404.06395
        depth = config.get("scale_depth")
        self._share = depth / math.sqrt(int(config["num_hidden_layers"])) if depth else 1.0
        self._activation = _activation(config, family)
        self._query, self._key, self._value = (
            weights.linear(f"{name}.self_attn.{part}_proj", count * width, hidden, bias=family.biased)
            for part, count in (("q", heads), ("k", keys), ("v", keys))
        )
        self._mixed = weights.linear(f"{name}.self_attn.o_proj", hidden, heads * width, bias=False)
        self._gate, self._up = (
            weights.linear(f"{name}.mlp.{part}_proj", inner, hidden, bias=False) for part in ("gate", "up")
        )
        self._down = weights.linear(f"{name}.mlp.down_proj", hidden, inner, bias=False)

        def norm(part: str, size: int = hidden) -> RMSNorm:
            return _norm(weights, f"{name}.{part}", size, family, config)

        self._query_norm, self._key_norm = (
            norm(f"self_attn.{part}_norm", width) if family.normed else _same for part in ("q", "k")
        )
        self._before_attention = norm("input_layernorm")
        if family.sandwich:
            self._after_attention: Callable[[torch.Tensor], torch.Tensor] = norm("post_attention_layernorm")
            self._before_feeding = norm("pre_feedforward_layernorm")
            self._after_feeding: Callable[[torch.Tensor], torch.Tensor] = norm("post_feedforward_layernorm")
        else:
            self._after_attention = self._after_feeding = _same
            self._before_feeding = norm("post_attention_layernorm")

    def __call__(self, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x = x + self._after_attention(self._attend(self._before_attention(x), turn)) * self._share
        fed = self._before_feeding(x)
        fed = self._down(self._activation(self._gate(fed)) * self._up(fed))
        return x + self._after_feeding(fed) * self._share

    def _attend(self, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        query = _turned(self._query_norm(self._split(self._query, x)), turn)  # (b, n, t, d)
        key = _turned(self._key_norm(self._split(self._key, x)), turn)  # (b, k, t, d)
        value = self._split(self._value, x)  # (b, k, t, d)
        if self._cap:
            mixed = self._capped(query, key, value, self._cap)
        elif self._window is None or x.shape[1] <= self._window:
            mixed = F.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=self._scale, enable_gqa=True
            )
        else:
            seen = _seen(0, x.shape[1], x.shape[1], self._window, x.device)  # (t, t)
            mixed = F.scaled_dot_product_attention(query, key, value, seen, scale=self._scale, enable_gqa=True)
        return self._mixed(mixed.transpose(1, 2).flatten(2))  # (b, t, h)

    def _capped(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cap: float) -> torch.Tensor:
        """Attention whose scores pass through a tanh, which no fused kernel computes: some queries at a time."""
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)  # (b, n, t, d)
        mixed = torch.empty_like(query)
        for first in range(0, query.shape[2], _BLOCK):
            block = query[:, :, first : first + _BLOCK]  # (b, n, q, d)
            last = first + block.shape[2]
            scores = block @ key[:, :, :last].transpose(2, 3) * self._scale  # (b, n, q, last)
            scores = torch.tanh(scores / cap) * cap
            seen = _seen(first, last, last, self._window, query.device)  # (q, last)
            scores = scores.masked_fill(~seen, -torch.inf)
            weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
            mixed[:, :, first:last] = weights @ value[:, :, :last]
        return mixed

    def _split(self, linear: Linear, x: torch.Tensor) -> torch.Tensor:
        return linear(x).view(*x.shape[:2], -1, self._width).transpose(1, 2)


def _seen(first: int, last: int, keys: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Which keys the queries from `first` to `last` see: those not after them and, with a window, not far before."""
    query = torch.arange(first, last, device=device)[:, None]
    key = torch.arange(keys, device=device)
    seen = key <= query
    return seen if window is None else seen & (key > query - window)


def _turned(x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Rotary positions, Su et al. 2021, https://arxiv.org/abs/2104.09864, halves paired as in Llama."""
    cos, sin = turn  # (t, d)
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


def _same(x: torch.Tensor) -> torch.Tensor:
    return x


def _width(config: Mapping[str, Any]) -> int:
    """Numbers of an attention head."""
    return int(config.get("head_dim") or int(config["hidden_size"]) // int(config["num_attention_heads"]))


def _norm(weights: Weights, name: str, size: int, family: _Family, config: Mapping[str, Any]) -> RMSNorm:
    epsilon = float(config.get("rms_norm_eps", 1e-6))
    return RMSNorm(weights.take(f"{name}.weight", size), epsilon, family.centred)


def _activation(config: Mapping[str, Any], family: _Family) -> Callable[[torch.Tensor], torch.Tensor]:
    stated = config.get("hidden_activation") or config.get("hidden_act") or family.activation
    return ACTIVATIONS[family.activation if family.centred and stated == "gelu" else stated]


def _frequencies(config: Mapping[str, Any]) -> torch.Tensor:
    width = _width(config)
    theta = float(config.get("rope_theta") or (config.get("rope_parameters") or {}).get("rope_theta") or 10000.0)
    return theta ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)


def _window(checkpoint: Checkpoint, number: int) -> int | None:
    """How far back a layer sees, in tokens; None for everything."""
    config, architecture = checkpoint.config, checkpoint.architecture
    size = config.get("sliding_window")
    kinds = config.get("layer_types")
    if kinds:
        slides = kinds[number] == "sliding_attention"
    elif architecture in {"gemma2", "cost_wise_gemma"}:
        slides = number % 2 == 0
    elif architecture.startswith("qwen"):
        slides = bool(config.get("use_sliding_window")) and number >= int(config.get("max_window_layers", 28))
    else:
        slides = architecture == "mistral"
    return int(size) if slides and size else None


def _refuse_unknown(checkpoint: Checkpoint, family: _Family) -> None:
    config = checkpoint.config
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    stated = config.get("hidden_activation") or config.get("hidden_act") or family.activation
    for what, value, covered in (
        ("activation", stated, tuple(ACTIVATIONS)),
        ("rope scaling", rope.get("rope_type", rope.get("type", "default")), ("default",)),
        ("attention", "causal" if config.get("is_causal", True) else "bidirectional", ("causal",)),
        ("bias of attention", bool(config.get("attention_bias")), (False,)),
    ):
        if value not in covered:
            raise EngineError(
                f"{checkpoint.name}: PyTorch has no {what} {value!r} here, only {', '.join(map(str, covered))}"
            )
