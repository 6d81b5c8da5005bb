"""The kinds of numbers that checkpoints store, by their safetensors names, and how their bytes become arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BFLOAT16 = "BF16"

DTYPES: Mapping[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    BFLOAT16: np.dtype([(BFLOAT16, "<u2")]),  # numpy has no bfloat16; the record says what the bits are
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
"""How each is stored."""


def native(stored: NDArray[Any]) -> NDArray[Any]:
    """Numbers as they lie in a file, aligned, contiguous, in the machine's byte order; themselves where they are so."""
    return np.require(stored, stored.dtype.newbyteorder("="), ["C", "A"])


def is_bfloat16(array: NDArray[Any]) -> bool:
    """Whether an array is of the record that stands for bfloat16."""
    return array.dtype.names is not None


def widen(array: NDArray[Any]) -> NDArray[Any]:
    """An array that can be computed with: bfloat16 as float32, exactly; any other itself."""
    if is_bfloat16(array):
        return (array[BFLOAT16].astype(np.uint32) << 16).view(np.float32)
    return array
