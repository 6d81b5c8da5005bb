"""A checkpoint's tensors as constants of an OpenVINO graph, checked as they are taken, sharing the file's memory."""

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beige._openvino import ops, ov
from beige.models.checkpoint import Checkpoint
from beige.models.dtypes import is_bfloat16, widen

GROUP = 32
"""Neighbouring numbers of a row that share a scale in int8: of weights here, of activations in the engine.

The lowest cosine to fp32 over some 80 texts of eight scripts, bge-small-en-v1.5 and -zh-v1.5: .9956 and .9963 with one
scale a row and activations by 128; .9985 and .9984 by 64; .9990 and .9989 by 32; .9993 and .9994 by 32 with `EXACT` in
fp32, a quarter slower than the first.
"""

EXACT = (".attention.self.value", ".attention.output.dense")
"""The linear layers whose matrices are never held in 8 bits: what they give goes straight into the sum of layers."""

if TYPE_CHECKING:
    Node = Any  # an output of an openvino node; its package has no usable types for these


class Weights:
    """Makes constants and layers of tensors.

    Args:
        checkpoint: whose tensors.
        int8: whether the matrices of linear layers are held in 8 bits, symmetric, a scale for each `GROUP` of a row.

    Attributes:
        tensors: the checkpoint's.
        constants: the arrays whose memory the graph shares; see `Graph`.
    """

    def __init__(self, checkpoint: Checkpoint, int8: bool) -> None:
        self.constants: list[NDArray[Any]] = []
        self.tensors = checkpoint.tensors()
        self._hidden = int(checkpoint.config["hidden_size"])
        self._int8 = int8

    def linear(self, name: str, x: "Node", rows: int, columns: int, *, biased: bool = True) -> "Node":
        """`x W^T + b` by tensors, or `x W^T`: (..., columns) to (..., rows)."""
        matrix, bias = self.tensors.take(f"{name}.weight", rows, columns), self.tensors.take(f"{name}.bias", rows)
        return self.layer(x, matrix, bias if biased else None, exact=name.endswith(EXACT))

    def layer(self, x: "Node", matrix: NDArray[Any], bias: NDArray[Any] | None, *, exact: bool = False) -> "Node":
        """`x W^T + b` by arrays (rows, columns) and (rows,), or `x W^T`."""
        weight = self._quantised(matrix) if self._int8 and not exact else self.constant(matrix)
        product = ops.matmul(x, weight, False, True)
        return product if bias is None else ops.add(product, self.constant(bias))

    def norm(self, name: str, x: "Node", epsilon: float) -> "Node":
        """Layer normalisation, Ba et al. 2016, https://arxiv.org/abs/1607.06450: (..., h) to (..., h)."""
        scaled = ops.multiply(
            ops.mvn(x, ints(-1), True, epsilon, "inside_sqrt"),
            self.constant(self.tensors.take(f"{name}.weight", self._hidden)),
        )
        return ops.add(scaled, self.constant(self.tensors.take(f"{name}.bias", self._hidden)))

    def constant(self, array: NDArray[Any]) -> "Node":
        """An array in its own dtype, read as float32."""
        constant = self._shared(np.ascontiguousarray(array))
        return constant if array.dtype == np.float32 else ops.convert(constant, "f32")

    def _shared(self, array: NDArray[Any]) -> "Node":
        # OpenVINO shares only what is writable, though it never writes: a view that does not say that it is mapped
        # read-only, and that keeps the mapping alive.
        kind = "<u2" if is_bfloat16(array) else array.dtype.str
        interface = {"shape": array.shape, "typestr": kind, "data": (array.ctypes.data, False), "version": 3}
        view = np.asarray(SimpleNamespace(__array_interface__=interface, array=array))
        self.constants.append(view)
        if is_bfloat16(array):
            return ov.op.Constant(ov.Tensor(view, ov.Shape(array.shape), ov.Type.bf16), shared_memory=True).output(0)
        return ov.op.Constant(view, shared_memory=True).output(0)

    def _quantised(self, matrix: NDArray[Any]) -> "Node":
        rows, columns = matrix.shape
        groups = np.asarray(widen(matrix), np.float32).reshape(
            rows, -1, math.gcd(columns, GROUP)
        )  # (rows, groups, columns)
        scale = np.maximum(np.abs(groups).max(axis=2, keepdims=True), np.finfo(np.float32).tiny) / 127
        whole = self._shared(np.rint(groups / scale).astype(np.int8))
        return ops.reshape(ops.multiply(ops.convert(whole, "f32"), self.constant(scale)), ints(rows, columns), False)


def ints(*values: int) -> "Node":
    """A constant of whole numbers."""
    return ops.constant(np.array(values, np.int32))


def first(x: "Node", rows: "Node") -> "Node":
    """The first `rows` (1,) tokens: (b, t, h) to (b, rows, h)."""
    return ops.slice(x, ints(0), rows, ints(1), ints(1))
