"""Writes ONNX files without the onnx package: enough protobuf for graphs that hold named tensors.

The files have what an export of a BERT has and the import reads: tables, biases and LayerNorms as named constants,
each Linear's weight transposed, as the constant of a MatMul named after its module. They compute nothing sensible.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

FLOAT = 1


def write_bert(path: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    """Write tensors by their PyTorch names."""
    nodes, constants, inputs, outputs = [], [], [], []
    for number, (name, tensor) in enumerate(tensors.items()):
        linear = tensor.ndim == 2 and not name.startswith("embeddings.")
        constant = f"onnx::MatMul_{number}" if linear else name
        stored = tensor.T if linear else tensor
        module = name.removesuffix(".weight").replace(".", "/").replace("layer/", "layer.")
        node = f"/{module}/MatMul" if linear else f"/{module}/Add"
        kind = "MatMul" if linear else "Add"
        # A node whose value leaves the graph is known by the value's name: both have the node's.
        nodes.append(_text(1, f"in{number}") + _text(1, constant) + _text(2, node) + _text(3, node) + _text(4, kind))
        constants.append(_tensor(constant, stored))
        inputs.append(_value(f"in{number}", (1, stored.shape[0]) if linear else stored.shape))
        outputs.append(_value(node, (1, stored.shape[1]) if linear else stored.shape))
    graph = b"".join(
        [
            *(_bytes(1, node) for node in nodes),
            _text(2, "graph"),
            *(_bytes(5, constant) for constant in constants),
            *(_bytes(11, value) for value in inputs),
            *(_bytes(12, value) for value in outputs),
        ]
    )
    opset = _text(1, "") + _number(2, 14)
    path.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, opset))
    return path


def _tensor(name: str, array: np.ndarray) -> bytes:
    dims = b"".join(_number(1, size) for size in array.shape)
    return dims + _number(2, FLOAT) + _text(8, name) + _bytes(9, np.ascontiguousarray(array, np.float32).tobytes())


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(_bytes(1, _number(1, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, dims)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
