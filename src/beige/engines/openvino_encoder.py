"""BERT and XLM-RoBERTa in OpenVINO's ops, from a checkpoint's tensors: no torch, no ONNX file.

Formulas: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, as transformers' `BertModel` and `XLMRobertaModel`
compute them. Shapes in the comments: b texts, t tokens, h hidden, n heads of width d.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beige._openvino import ops
from beige.engines.encoders import ENCODERS
from beige.engines.openvino_weights import Weights, first, ints
from beige.errors import EngineError
from beige.models.checkpoint import Checkpoint
from beige.models.dtypes import widen

if TYPE_CHECKING:
    from beige.engines.openvino_weights import Node

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
class Encoded:
    """What the encoder gives to the heads.

    Attributes:
        states: of the last layer, (b, t, h); only those of the tokens asked for.
        real: whether a token is no padding, bool, (b, t).
        places: of the tokens, from 0, (t,).
        lengths: real tokens of each text, (b,).
    """

    states: "Node"
    real: "Node"
    places: "Node"
    lengths: "Node"


class Inputs:
    """Makes a graph's parameters, int32, each when it is first needed."""

    def __init__(self) -> None:
        self.made: dict[str, Node] = {}

    def get(self, name: str, *shape: int) -> "Node":
        """The parameter of a name; -1 stands for a size that varies."""
        if name not in self.made:
            self.made[name] = ops.parameter(list(shape), np.int32, name=name)
        return self.made[name]


class Encoder:
    """Builds the encoder of a checkpoint.

    Args:
        checkpoint: whose configuration to follow.
        weights: where its tensors come from.
        inputs: the graph's parameters.

    Raises:
        EngineError: this graph does not cover the architecture, or what its configuration asks for.
    """

    def __init__(self, checkpoint: Checkpoint, weights: Weights, inputs: Inputs) -> None:
        config = checkpoint.config
        for what, value, covered in (
            ("architecture", checkpoint.architecture, tuple(ENCODERS)),
            ("hidden_act", config.get("hidden_act", "gelu"), tuple(ACTIVATIONS)),
            ("position_embedding_type", config.get("position_embedding_type", "absolute"), ("absolute",)),
        ):
            if value not in covered:
                raise EngineError(
                    f"{checkpoint.name}: the OpenVINO engine has no {what} {value!r}, only {', '.join(covered)}"
                )
        self._config = config
        self._architecture = ENCODERS[checkpoint.architecture]
        self._weights = weights
        self._inputs = inputs
        self._heads = int(config["num_attention_heads"])
        self._inner = int(config["intermediate_size"])
        self.hidden = int(config["hidden_size"])
        self.epsilon = float(config.get("layer_norm_eps", 1e-12))
        self.activation = ACTIVATIONS[config.get("hidden_act", "gelu")]

    def encode(self, rows: "Node | None", *, pairs: bool = False) -> Encoded:
        """Build it.

        Args:
            rows: for how many tokens of each text the last layer is computed, (1,); None means all.
            pairs: whether the texts are pairs of query and passage, which the tokens' types tell apart.
        """
        ids = self._inputs.get("ids", -1, -1)  # (b, t)
        lengths = self._inputs.get("lengths", -1)  # (b,)
        longest = ops.gather(ops.shape_of(ids, "i32"), ints(1), ints(0))  # (1,)
        places = ops.range(np.int32(0), ops.squeeze(longest, ints(0)), np.int32(1), "i32")  # (t,)
        real = ops.less(ops.unsqueeze(places, ints(0)), ops.unsqueeze(lengths, ints(1)))  # (b, t)
        mask = ops.unsqueeze(ops.select(real, np.float32(0), HIDDEN), ints(1, 2))  # (b, 1, 1, t)
        x = self._embed(ids, longest, places, pairs)  # (b, t, h)
        layers = int(self._config["num_hidden_layers"])
        for number in range(layers):
            x = self._layer(f"encoder.layer.{number}", x, mask, rows if number == layers - 1 else None)
        return Encoded(x, real, places, lengths)

    def _embed(self, ids: "Node", longest: "Node", places: "Node", pairs: bool) -> "Node":
        rows = {
            kind: int(self._config[f"{name}_size"]) for kind, name in (("word", "vocab"), ("token_type", "type_vocab"))
        }
        rows["position"] = int(self._config["max_position_embeddings"])
        words, kinds, positions = (
            self._weights.tensors.take(f"embeddings.{kind}_embeddings.weight", count, self.hidden)
            for kind, count in rows.items()
        )
        start = self._architecture.first_position(self._config)
        typed = pairs and len(kinds) > 1
        shifts = _values(positions)[start:] + (0 if typed else _values(kinds)[0])
        table = self._weights.constant(shifts)
        x = ops.add(
            ops.gather(self._weights.constant(words), ids, ints(0)),
            ops.slice(table, ints(0), longest, ints(1), ints(0)),  # (t, h)
        )  # (b, t, h)
        if typed:
            passages = self._inputs.get("passages", -1)  # (b,)
            within = ops.greater_equal(ops.unsqueeze(places, ints(0)), ops.unsqueeze(passages, ints(1)))  # (b, t)
            x = ops.add(x, ops.gather(self._weights.constant(kinds), ops.convert(within, "i32"), ints(0)))
        return self._weights.norm("embeddings.LayerNorm", x, self.epsilon)

    def _layer(self, name: str, x: "Node", mask: "Node", rows: "Node | None") -> "Node":
        asking = x if rows is None else first(x, rows)
        attended = self._attention(f"{name}.attention.self", asking, x, mask)
        x = self._joined(f"{name}.attention.output", asking, attended, self.hidden)
        inner = self.activation(self._weights.linear(f"{name}.intermediate.dense", x, self._inner, self.hidden))
        return self._joined(f"{name}.output", x, inner, self._inner)

    def _joined(self, name: str, stream: "Node", x: "Node", columns: int) -> "Node":
        """The sum of the stream of states and what a linear layer makes of x (b, t, columns), normalised: (b, t, h)."""
        given = self._weights.linear(f"{name}.dense", x, self.hidden, columns)
        # A slope of 1 changes no number. But in bf16 the CPU plugin keeps the stream in fp32, and with a step after the
        # product it leaves the product in fp32 too, rather than round it in between: the lowest cosine of
        # bge-small-en-v1.5 over the texts of the tests is .99995 with it and .99984 without, at the same speed.
        given = ops.prelu(given, np.ones(1, np.float32))
        return self._weights.norm(f"{name}.LayerNorm", ops.add(given, stream), self.epsilon)

    def _attention(self, name: str, asking: "Node", asked: "Node", mask: "Node") -> "Node":
        # Plain matmul, softmax, matmul: the CPU plugin fuses them into one kernel that never holds all scores, and
        # makes the same of ScaledDotProductAttention. One matrix for query, key and value together is 7 % slower than
        # three.
        # The keys' bias adds one number to all scores of a query, which the softmax takes out again. e5-small-v2's is
        # seven times what differs between its keys, and bf16 rounds what differs away: its lowest cosine to fp32 is
        # .99998 without the bias and .99992 with it.
        query, key, value = (
            self._split(self._weights.linear(f"{name}.{part}", source, self.hidden, self.hidden, biased=part != "key"))
            for part, source in (("query", asking), ("key", asked), ("value", asked))
        )  # each (b, n, t, d)
        scale = np.float32((self.hidden // self._heads) ** -0.5)
        scores = ops.multiply(ops.matmul(query, key, False, True), scale)  # (b, n, t, t)
        mixed = ops.matmul(ops.softmax(ops.add(scores, mask), -1), value, False, False)  # (b, n, t, d)
        return ops.reshape(ops.transpose(mixed, ints(0, 2, 1, 3)), ints(0, 0, self.hidden), True)  # (b, t, h)

    def _split(self, x: "Node") -> "Node":
        shape = ints(0, 0, self._heads, self.hidden // self._heads)
        return ops.transpose(ops.reshape(x, shape, True), ints(0, 2, 1, 3))


def _values(stored: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(widen(stored), np.float32)
