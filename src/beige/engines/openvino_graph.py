"""A checkpoint as one OpenVINO graph: its encoder, and above it everything that the checkpoint gives.

Shapes in the comments: b texts, t tokens, h hidden, o numbers of a token's vector, v words of the vocabulary.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beige._openvino import ops, ov
from beige.engines.encoders import ENCODERS, WORDS
from beige.engines.openvino_encoder import Encoded, Encoder, Inputs
from beige.engines.openvino_weights import Weights, first, ints
from beige.errors import EngineError
from beige.models.card import MCLS_STRIDE, SPLADE
from beige.models.checkpoint import Checkpoint
from beige.models.heads import FILES, Head, open_head

if TYPE_CHECKING:
    from beige.engines.openvino_weights import Node


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph that is ready to compile.

    Attributes:
        model: float32 results, one for each of `outputs`.
        inputs: names of the model's parameters in order, int32: "ids" (b, t); "lengths" (b,); "rows" (1,), for how many
            tokens of each text the last layer is computed; "vectors" (1,), how many tokens at the start of each text
            the head of "multi" sees; "passages" (b,), where a pair's passage begins. A graph has those it needs.
        outputs: what it gives.
        constants: the arrays whose memory the model shares. They must outlive it and all that is compiled from it:
            OpenVINO holds bare pointers, and crashes without them.
        release: lets the system have the memory of the files' pages, which are read once and packed; they come back
            where they are read again.
    """

    model: "ov.Model"
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: tuple[NDArray[Any], ...]
    release: Callable[[], None]

    @property
    def size(self) -> int:
        """Bytes of the constants."""
        return sum(constant.nbytes for constant in self.constants)


def build(checkpoint: Checkpoint, *, int8: bool = False) -> Graph:
    """Build the graph of a checkpoint.

    There is one graph for all outputs rather than one for each choice of them, because compiled graphs do not share
    the weights that they pack. What is not asked for is still not computed: "rows" and "vectors" say how little will
    do.

    Args:
        checkpoint: whose tensors, configuration, heads and pooling to take.
        int8: whether the matrices are held in 8 bits.

    Raises:
        EngineError: there is no such architecture, pooling or activation here.
        CheckpointError: a tensor is missing or of a wrong shape.
    """
    weights, inputs = Weights(checkpoint, int8), Inputs()
    encoder = Encoder(checkpoint, weights, inputs)
    if checkpoint.kind == "reranker":
        results = {
            "score": _score(checkpoint, encoder, weights, encoder.encode(ints(1), pairs=checkpoint.types_passages))
        }
    elif checkpoint.pooling in SPLADE:
        results = {"words": _words(checkpoint, encoder, weights, encoder.encode(None))}
    else:
        results = _vectors(checkpoint, encoder, weights, inputs)
    model = ov.Model(list(results.values()), list(inputs.made.values()), checkpoint.name)
    return Graph(model, tuple(inputs.made), tuple(results), tuple(weights.constants), weights.tensors.release)


def _vectors(checkpoint: Checkpoint, encoder: Encoder, weights: Weights, inputs: Inputs) -> dict[str, "Node"]:
    """The dense vector, and what the heads give that lie beside the checkpoint."""
    if checkpoint.pooling not in _POOLINGS:
        covered = ", ".join(_POOLINGS)
        raise EngineError(
            f"{checkpoint.name}: the OpenVINO engine has no pooling {checkpoint.pooling!r}, only {covered}"
        )
    heads = {
        output: open_head(checkpoint.path, output, encoder.hidden) for output in FILES if output in checkpoint.outputs
    }
    rows = None
    if checkpoint.pooling == "cls":
        rows = inputs.get("rows", 1) if heads else ints(1)
    encoded = encoder.encode(rows)
    pooled = _POOLINGS[checkpoint.pooling](encoded)  # (b, h)
    results = {"dense": _unit(pooled, 1)}
    if "sparse" in heads:
        results["sparse"] = ops.squeeze(ops.relu(_head(weights, heads["sparse"], encoded.states)), ints(2))  # (b, t)
    if "multi" in heads:
        seen = ops.slice(encoded.states, ints(1), inputs.get("vectors", 1), ints(1), ints(1))  # (b, t - 1, h)
        results["multi"] = _unit(_head(weights, heads["multi"], seen), 2)  # (b, t - 1, o)
    return results


def _score(checkpoint: Checkpoint, encoder: Encoder, weights: Weights, encoded: Encoded) -> "Node":
    """A pair's raw score, (b, 1)."""
    within, out = ENCODERS[checkpoint.architecture].classifier
    state = ops.tanh(weights.linear(within, encoded.states, encoder.hidden, encoder.hidden))  # (b, 1, h)
    return ops.squeeze(weights.linear(out, state, 1, encoder.hidden), ints(1))


def _words(checkpoint: Checkpoint, encoder: Encoder, weights: Weights, encoded: Encoded) -> "Node":
    """A weight for each word of the vocabulary, by the masked-language head, (b, v).

    Formal et al. 2021, https://arxiv.org/abs/2109.10086: the maximum over tokens of log(1 + relu(logit)). Both grow
    with the logit, so the maximum is taken first, and of a part of the vocabulary at a time, for a batch's logits of
    all words would be its largest array.
    """
    head, count = "cls.predictions", int(checkpoint.config["vocab_size"])
    states = encoder.activation(
        weights.linear(f"{head}.transform.dense", encoded.states, encoder.hidden, encoder.hidden)
    )
    states = weights.norm(f"{head}.transform.LayerNorm", states, encoder.epsilon)  # (b, t, h)
    # Padding repeats the first token, which changes no maximum.
    states = ops.select(ops.unsqueeze(encoded.real, ints(2)), states, first(states, ints(1)))
    decoder = f"{head}.decoder.weight"
    matrix = weights.tensors.take(
        decoder if decoder in weights.tensors else "embeddings.word_embeddings.weight", count, encoder.hidden
    )
    bias = weights.tensors.take(f"{head}.bias", count)
    parts = [
        ops.reduce_max(weights.layer(states, matrix[at : at + WORDS], bias[at : at + WORDS]), ints(1))
        for at in range(0, count, WORDS)
    ]  # each (b, up to WORDS)
    logs = SPLADE[checkpoint.pooling]
    return reduce(lambda x, _: ops.log(ops.add(x, np.float32(1))), range(logs), ops.relu(ops.concat(parts, 1)))


def _by_first(encoded: Encoded) -> "Node":
    return ops.squeeze(first(encoded.states, ints(1)), ints(1))


def _by_mean(encoded: Encoded) -> "Node":
    return _sum(encoded.states, encoded.real)


def _by_marks(encoded: Encoded) -> "Node":
    """Of the CLS tokens that stand every so many tokens; the last token is EOS wherever it stands."""
    marked = ops.equal(ops.mod(encoded.places, np.int32(MCLS_STRIDE + 1)), np.int32(0))  # (t,)
    ends = ops.unsqueeze(ops.subtract(encoded.lengths, np.int32(1)), ints(1))  # (b, 1)
    within = ops.less(ops.unsqueeze(encoded.places, ints(0)), ends)  # (b, t)
    return _sum(encoded.states, ops.logical_and(within, ops.unsqueeze(marked, ints(0))))


def _sum(states: "Node", kept: "Node") -> "Node":
    """The unit length makes it as good as the mean: (b, t, h) and (b, t) to (b, h)."""
    return ops.reduce_sum(ops.multiply(states, ops.unsqueeze(ops.convert(kept, "f32"), ints(2))), ints(1))


_POOLINGS: Mapping[str, Callable[[Encoded], "Node"]] = {"cls": _by_first, "mean": _by_mean, "mcls": _by_marks}
"""How the states become one, (b, h)."""


def _head(weights: Weights, head: Head, states: "Node") -> "Node":
    return weights.layer(states, head.weight, head.bias)


def _unit(x: "Node", axis: int) -> "Node":
    return ops.normalize_l2(x, ints(axis), 1e-24, "max")
