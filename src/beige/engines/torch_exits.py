"""Rerankers that can stop early: a head after each of their later layers, and passages that grow shorter on the way.

bge-reranker-v2-minicpm-layerwise and bge-reranker-v2.5-gemma2-lightweight. Shapes in the comments: b texts, t tokens,
h hidden, e exits.
"""

from collections.abc import Mapping
from typing import Any

import torch

from beige.engines.batches import Batch
from beige.engines.exits import Exits
from beige.engines.torch_decoder import Decoder
from beige.engines.torch_weights import Linear, Weights
from beige.errors import EngineError, UsageError
from beige.models.checkpoint import Checkpoint

ARCHITECTURES = ("minicpm", "cost_wise_gemma")
RATIOS = (1, 2, 4, 8)
"""How many tokens may become one."""


class ExitModel:
    """Scores pairs at the last token, after each layer asked for.

    Raises:
        UsageError: the model has no such exits, or does not compress.
        EngineError: its configuration asks for what is not computed.
        CheckpointError: a tensor is missing or of a wrong shape.
    """

    def __init__(self, checkpoint: Checkpoint, weights: Weights, exits: Exits) -> None:
        config = checkpoint.config
        depth = int(config["num_hidden_layers"])
        self._exits = exits.layers or (depth,)
        self._ratio = exits.compression
        self._compressed = set(exits.compressed) if exits.compression > 1 else set()
        _refuse(checkpoint, self._exits, exits)
        self._cap: float | None = config.get("final_logit_softcapping")
        self._decoder = Decoder(checkpoint, weights, depth=max(self._exits))
        hidden = int(config["hidden_size"])
        heads = _heads(checkpoint, sorted(set(self._exits)))
        self._heads = {
            layer: weights.linear(f"lm_head{number}.linear_head", 1, hidden, bias=False)
            for layer, number in heads.items()
        }

    def __call__(
        self, batch: Batch, ids: torch.Tensor, lengths: torch.Tensor, outputs: tuple[str, ...]
    ) -> dict[str, torch.Tensor]:
        """See `Model`: "score" (b, e)."""
        if outputs != ("score",):
            raise EngineError(f"a reranker gives only 'score', not {', '.join(map(repr, outputs))}")
        passages = torch.tensor([text.passage or (0, 0) for text in batch.texts], device=ids.device)  # (b, 2)
        x = self._decoder.embed(ids)  # (b, t, h)
        at = 0
        scores: dict[int, torch.Tensor] = {}
        for stop in sorted({*self._exits, *self._compressed}):
            if stop > max(self._exits):
                break
            x, at = self._decoder.run(x, at, stop), stop
            if stop in self._heads:
                scores[stop] = self._score(self._heads[stop], x, lengths)
            if stop in self._compressed:
                x, passages, lengths = compress(x, passages, lengths, self._ratio)
        return {"score": torch.cat([scores[layer] for layer in self._exits], 1)}  # (b, e)

    def _score(self, head: Linear, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        last = self._decoder.norm(x[torch.arange(len(x), device=x.device), lengths - 1])  # (b, h)
        score = head(last)  # (b, 1)
        return (score if self._cap is None else torch.tanh(score / self._cap) * self._cap).float()


def compress(
    x: torch.Tensor, passages: torch.Tensor, lengths: torch.Tensor, ratio: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bring neighbouring tokens of each passage together into their mean; the last group may be smaller.

    Args:
        x: states, padded at the right, (b, t, h).
        passages: where each text's passage begins and ends, (b, 2).
        lengths: real tokens of each text, (b,).
        ratio: tokens of a group.

    Returns:
        The three again, shorter.
    """
    first, last = passages[:, :1], passages[:, 1:]  # (b, 1)
    groups = (last - first + ratio - 1) // ratio  # (b, 1)
    saved = last - first - groups  # (b, 1)
    shorter = lengths - saved.squeeze(1)  # (b,)
    place = torch.arange(int(shorter.max()), device=x.device)  # (s,)
    grouped = (place >= first) & (place < first + groups)  # (b, s)
    begins = torch.where(grouped, first + (place - first) * ratio, place + saved * (place >= first))  # (b, s)
    counts = torch.where(grouped, (last - begins).clamp(max=ratio), 1)  # (b, s)
    step = torch.arange(ratio, device=x.device)
    members = (begins[..., None] + step).clamp(max=x.shape[1] - 1)  # (b, s, r)
    share = ((step < counts[..., None]) / counts[..., None]).to(x.dtype)  # (b, s, r)
    rows = torch.arange(len(x), device=x.device)[:, None, None]
    means = (x[rows, members] * share[..., None]).sum(2)  # (b, s, h)
    return means, torch.cat((first, first + groups), 1), shorter


def _heads(checkpoint: Checkpoint, layers: list[int]) -> dict[int, str]:
    """By layer, what stands behind `lm_head` in the name of its head."""
    config = checkpoint.config
    if checkpoint.architecture == "minicpm":
        start = int(config["start_layer"])
        return {layer: f".{layer - start}" if config.get("head_multi", True) else "" for layer in layers}
    # The reference takes its heads in the order of the exits asked for, whatever their layers are. The published
    # scores are made that way, so it is done here too: the score of an exit depends on how many are asked for before.
    return {layer: f".{number}" for number, layer in enumerate(layers)}


def _refuse(checkpoint: Checkpoint, layers: tuple[int, ...], exits: Exits) -> None:
    config, name = checkpoint.config, checkpoint.name
    start, depth = int(config["start_layer"]), int(config["num_hidden_layers"])
    can = range(start, depth + 1, int(config.get("layer_sep", 1)))
    if unknown := [layer for layer in layers if layer not in can]:
        raise UsageError(
            f"{name} has no exit after layer {unknown[0]}: take some of {can.start} to {can[-1]} in steps of {can.step}"
        )
    if exits.compression not in RATIOS:
        raise UsageError(f"compression is {exits.compression}; it must be one of {', '.join(map(str, RATIOS))}")
    if exits.compression > 1 and checkpoint.architecture != "cost_wise_gemma":
        raise UsageError(f"{name} does not compress: take compression 1")
    if exits.compression > 1 and not any(0 < layer < max(layers) for layer in exits.compressed):
        raise UsageError(
            f"compression before layer {', '.join(map(str, exits.compressed))} changes nothing when {name} stops after "
            f"layer {max(layers)}"
        )
    _refuse_heads(config, name)


def _refuse_heads(config: Mapping[str, Any], name: str) -> None:
    if config.get("head_type", "simple") != "simple" or not config.get("layer_wise", True):
        raise EngineError(f"{name}: only heads of one number after each layer are computed here")
