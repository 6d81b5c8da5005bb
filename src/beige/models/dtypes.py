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
    BFLOAT16: np.dtype("<u2"),  # widened when it is read: numpy has no bfloat16
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


def finish(stored: NDArray[Any], dtype: str) -> NDArray[Any]:
    """An array that can be computed with: aligned, contiguous, in the machine's byte order, bfloat16 as float32.

    Args:
        stored: numbers as they lie in a file, in the dtype that `DTYPES` gives or its other byte order.
        dtype: their safetensors name.

    Returns:
        `stored` itself where nothing has to change.
    """
    native = np.require(stored, stored.dtype.newbyteorder("="), ["C", "A"])
    if dtype == BFLOAT16:
        return (native.astype(np.uint32) << 16).view(np.float32)
    return native
