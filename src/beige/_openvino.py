"""The only importer of openvino: it blocks the telemetry first.

`import openvino` starts `openvino_telemetry`, which forks a sender that calls out and writes a file under the home
folder. With the module blocked, openvino falls back to a stub of its own. A test traces the import.
"""

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None is how Python spells "blocked"

import openvino as ov
from openvino import opset13 as ops

__all__ = ["ops", "ov"]
