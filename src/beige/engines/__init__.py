"""How tensors run on a device: batches by token budget, the OpenVINO graph."""

from beige.engines.engine import Engine, open_engine
from beige.engines.gate import Gate, read_gate, write_gate
from beige.engines.precision import Choice, Precision, capabilities, choose, choose_for
from beige.engines.results import Raw

__all__ = [
    "Choice",
    "Engine",
    "Gate",
    "Precision",
    "Raw",
    "capabilities",
    "choose",
    "choose_for",
    "open_engine",
    "read_gate",
    "write_gate",
]
