"""The only importer of openvino: it blocks the telemetry first, and has oneDNN keep no kernels of its own.

`import openvino` starts `openvino_telemetry`, which forks a sender that calls out and writes a file under the home
folder. With the module blocked, openvino falls back to a stub of its own. A test traces the import.

oneDNN, which computes for OpenVINO, keeps the kernels that it makes for the whole process, and finds them by what they
compute, not by how they read their weights. Two threads that make one at the same moment may each choose another
layout; then one of them packs weights for its own choice and is given the kernel of the other, which makes nonsense of
every batch of that shape (docs/decisions/openvino.md). OpenVINO keeps kernels too, for each stream, without that fault.
"""

import os
import sys
from typing import Any

import numpy as np

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None is how Python spells "blocked"

import openvino as ov
from openvino import opset13 as ops

__all__ = ["ops", "ov"]

_CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"


def _keep_no_kernels() -> Any:
    """Make oneDNN's first kernel while its cache has no room: it reads the variable once, then.

    The variable is as before afterwards, for PyTorch has a oneDNN of its own that reads it too and needs its cache.

    Returns:
        What keeps the library loaded; loaded anew, it would read the variable anew.
    """
    before = os.environ.get(_CAPACITY)
    os.environ[_CAPACITY] = "0"
    try:
        x = ops.parameter([1, 16], np.float32)
        model = ov.Model([ops.matmul(x, ops.constant(np.ones((16, 16), np.float32)), False, True)], [x], "first")
        compiled = ov.Core().compile_model(model, "CPU", {"NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1"})
        compiled.create_infer_request().infer({0: np.ones((1, 16), np.float32)})
        return compiled
    finally:
        if before is None:
            del os.environ[_CAPACITY]
        else:
            os.environ[_CAPACITY] = before


_FIRST = _keep_no_kernels()
