"""A BERT encoder as an OpenVINO graph, op by op from its tensors: no torch, no ONNX file.

Formulas: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, as transformers' `BertModel` computes them. Shapes in
the comments: b texts, t tokens, h hidden, n heads of width d.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beige._openvino import ops, ov
from beige.errors import CheckpointError, EngineError
from beige.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    Node = Any  # an output of an openvino node; its package has no usable types for these

ACTIVATIONS: Mapping[str, Callable[["Node"], "Node"]] = {
    "gelu": lambda x: ops.gelu(x, "erf"),
    "gelu_new": lambda x: ops.gelu(x, "tanh"),
    "gelu_pytorch_tanh": lambda x: ops.gelu(x, "tanh"),
    "relu": ops.relu,
}
"""By the configuration's `hidden_act`."""

HIDDEN = np.float32(-1e9)
"""What is added to the score of a padding token: its weight after the softmax is exactly 0."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph that is ready to compile.

    Attributes:
        model: inputs `ids` (b, t) and `lengths` (b,), int32; one float32 output for each output asked for.
        constants: the arrays whose memory the model shares. They must outlive it and all that is compiled from it:
            OpenVINO holds bare pointers, and crashes without them.
    """

    model: "ov.Model"
    constants: tuple[NDArray[Any], ...]


def build(checkpoint: Checkpoint, outputs: tuple[str, ...], *, int8: bool = False) -> Graph:
    """Build the graph of a BERT checkpoint.

    Args:
        checkpoint: whose tensors, configuration and pooling to take.
        outputs: what the graph gives; ("dense",) is all that BERT has.
        int8: whether the matrices are held in 8 bits, symmetric, with one scale for each row of output.

    Raises:
        EngineError: this graph does not cover the architecture, pooling, activation or output.
        CheckpointError: a tensor is missing or of a wrong shape.
    """
    config = checkpoint.config
    for what, value, covered in (
        ("architecture", checkpoint.architecture, ("bert",)),
        ("pooling", checkpoint.pooling, ("cls", "mean")),
        ("hidden_act", config.get("hidden_act", "gelu"), tuple(ACTIVATIONS)),
        ("position_embedding_type", config.get("position_embedding_type", "absolute"), ("absolute",)),
        *(("output", output, ("dense",)) for output in outputs),
    ):
        if value not in covered:
            raise EngineError(
                f"{checkpoint.name}: the OpenVINO engine has no {what} {value!r}, only {', '.join(covered)}"
            )
    return _Builder(checkpoint, int8).graph()


class _Builder:
    """Holds what every part of one graph needs: configuration, tensors, and the constants made so far."""

    def __init__(self, checkpoint: Checkpoint, int8: bool) -> None:
        config = checkpoint.config
        self.checkpoint = checkpoint
        self.tensors = checkpoint.tensors()
        self.int8 = int8
        self.hidden = int(config["hidden_size"])
        self.heads = int(config["num_attention_heads"])
        self.width = self.hidden // self.heads
        self.inner = int(config["intermediate_size"])
        self.epsilon = float(config.get("layer_norm_eps", 1e-12))
        self.activation = ACTIVATIONS[config.get("hidden_act", "gelu")]
        self.constants: list[NDArray[Any]] = []

    def graph(self) -> Graph:
        config = self.checkpoint.config
        ids = ops.parameter([-1, -1], np.int32, name="ids")  # (b, t)
        lengths = ops.parameter([-1], np.int32, name="lengths")  # (b,)
        longest = ops.gather(ops.shape_of(ids, "i32"), _ints(1), _ints(0))  # (1,)
        places = ops.range(np.int32(0), ops.squeeze(longest, _ints(0)), np.int32(1), "i32")  # (t,)
        real = ops.less(ops.unsqueeze(places, _ints(0)), ops.unsqueeze(lengths, _ints(1)))  # (b, t)
        mask = ops.unsqueeze(ops.select(real, np.float32(0), HIDDEN), _ints(1, 2))  # (b, 1, 1, t)

        x = self.embed(ids, longest)  # (b, t, h)
        first_only = self.checkpoint.pooling == "cls"
        layers = int(config["num_hidden_layers"])
        for number in range(layers):
            last = first_only and number == layers - 1
            x = self.layer(f"encoder.layer.{number}", x, mask, first_only=last)  # (b, t or 1, h)
        if first_only:
            pooled = _first(x)  # (b, 1, h)
        else:
            weights = ops.unsqueeze(ops.convert(real, "f32"), _ints(2))  # (b, t, 1)
            # The unit length makes the sum as good as the mean.
            pooled = ops.reduce_sum(ops.multiply(x, weights), _ints(1), keep_dims=True)  # (b, 1, h)
        dense = ops.normalize_l2(ops.squeeze(pooled, _ints(1)), _ints(1), 1e-24, "max")  # (b, h)
        return Graph(ov.Model([dense], [ids, lengths], self.checkpoint.name), tuple(self.constants))

    def embed(self, ids: "Node", longest: "Node") -> "Node":
        config = self.checkpoint.config
        words = self.tensor("embeddings.word_embeddings.weight", int(config["vocab_size"]), self.hidden)
        positions = self.tensor(
            "embeddings.position_embeddings.weight", int(config["max_position_embeddings"]), self.hidden
        )
        kinds = self.tensor("embeddings.token_type_embeddings.weight", int(config["type_vocab_size"]), self.hidden)
        shifts = ops.slice(self.constant(positions + kinds[0]), _ints(0), longest, _ints(1), _ints(0))  # (t, h)
        x = ops.add(ops.gather(self.constant(words), ids, _ints(0)), shifts)  # (b, t, h)
        return self.norm("embeddings.LayerNorm", x)

    def layer(self, name: str, x: "Node", mask: "Node", *, first_only: bool) -> "Node":
        """One encoder layer; with `first_only` its result is that of the first token alone, (b, 1, h)."""
        asking = _first(x) if first_only else x
        attended = self.attention(f"{name}.attention.self", asking, x, mask)
        attended = self.linear(f"{name}.attention.output.dense", attended, self.hidden, self.hidden)
        x = self.norm(f"{name}.attention.output.LayerNorm", ops.add(attended, asking))
        inner = self.activation(self.linear(f"{name}.intermediate.dense", x, self.inner, self.hidden))
        return self.norm(
            f"{name}.output.LayerNorm",
            ops.add(self.linear(f"{name}.output.dense", inner, self.hidden, self.inner), x),
        )

    def attention(self, name: str, asking: "Node", asked: "Node", mask: "Node") -> "Node":
        # Plain matmul, softmax, matmul: the CPU plugin fuses them into one kernel that is 6 % faster than what it
        # makes of ScaledDotProductAttention. One matrix for query, key and value together is 7 % slower than three.
        query, key, value = (
            self.split(self.linear(f"{name}.{part}", source, self.hidden, self.hidden))  # (b, n, t, d)
            for part, source in (("query", asking), ("key", asked), ("value", asked))
        )
        scores = ops.multiply(ops.matmul(query, key, False, True), np.float32(self.width**-0.5))  # (b, n, t, t)
        mixed = ops.matmul(ops.softmax(ops.add(scores, mask), -1), value, False, False)  # (b, n, t, d)
        return ops.reshape(ops.transpose(mixed, _ints(0, 2, 1, 3)), _ints(0, 0, self.hidden), True)  # (b, t, h)

    def split(self, x: "Node") -> "Node":
        return ops.transpose(ops.reshape(x, _ints(0, 0, self.heads, self.width), True), _ints(0, 2, 1, 3))

    def linear(self, name: str, x: "Node", rows: int, columns: int) -> "Node":
        matrix = self.tensor(f"{name}.weight", rows, columns)
        weight = self.quantised(matrix) if self.int8 else self.constant(matrix)
        return ops.add(ops.matmul(x, weight, False, True), self.constant(self.tensor(f"{name}.bias", rows)))

    def quantised(self, matrix: NDArray[Any]) -> "Node":
        scale = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / 127  # (rows, 1)
        whole = self.constant(np.rint(matrix / scale).astype(np.int8))
        return ops.multiply(ops.convert(whole, "f32"), self.constant(scale))

    def norm(self, name: str, x: "Node") -> "Node":
        scaled = ops.multiply(
            ops.mvn(x, _ints(-1), True, self.epsilon, "inside_sqrt"),
            self.constant(self.tensor(f"{name}.weight", self.hidden)),
        )
        return ops.add(scaled, self.constant(self.tensor(f"{name}.bias", self.hidden)))

    def constant(self, array: NDArray[Any]) -> "Node":
        array = np.ascontiguousarray(array)
        # OpenVINO shares only what is writable, though it never writes: a view that does not say that it is mapped
        # read-only, and that keeps the mapping alive.
        interface = {**array.__array_interface__, "data": (array.ctypes.data, False)}
        view = np.asarray(SimpleNamespace(__array_interface__=interface, array=array))
        self.constants.append(view)
        return ov.op.Constant(view, shared_memory=True)

    def tensor(self, name: str, *shape: int) -> NDArray[Any]:
        """A tensor in float32; the file's own memory where that is what it holds."""
        if name not in self.tensors:
            raise CheckpointError(f"{self.checkpoint.path} has no tensor {name}: pull the checkpoint again")
        tensor = self.tensors[name]
        if tensor.shape != shape:
            raise CheckpointError(
                f"{self.checkpoint.path}: tensor {name} has shape {tensor.shape}, its config.json means {shape}"
            )
        return np.asarray(tensor, np.float32)


def _first(x: "Node") -> "Node":
    return ops.slice(x, _ints(0), _ints(1), _ints(1), _ints(1))  # (b, 1, h)


def _ints(*values: int) -> "Node":
    return ops.constant(np.array(values, np.int32))
