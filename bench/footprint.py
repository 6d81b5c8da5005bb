"""What one process needs to load a model and embed: `python -m bench.footprint MODEL PRECISION TOKENS...`, JSON out."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beige import Embedder


def measure(model: Path, precision: str, lengths: Sequence[int]) -> dict[str, Any]:
    """Seconds until a model is ready, and the most memory until then and after each of some texts.

    Args:
        model: a checkpoint's folder.
        precision: see `Embedder`.
        lengths: tokens of the texts, the shortest first.

    Returns:
        With "peak_mb" until it was ready, and in "texts" the same after each.
    """
    started = time.perf_counter()
    embedder = Embedder(model, precision=precision, device="cpu")
    ready = time.perf_counter() - started
    found: dict[str, Any] = {"precision": precision, "ready_seconds": ready, "peak_mb": peak(), "texts": []}
    for length in lengths:
        text = " ".join(["the"] * (length - 2))
        tokens = embedder.encode(text, outputs=embedder.checkpoint.outputs).tokens
        found["texts"].append({"tokens": tokens, "peak_mb": peak()})
    return found


def peak() -> float:
    """The most resident memory of this process so far, in MB.

    As Linux tells it of the program alone: what `getrusage` tells begins with that of the process it was started from.
    """
    return _memory("self", "VmHWM")


def resident(pid: int) -> float:
    """The memory of a process that is resident now, in MB, as Linux tells it."""
    return _memory(str(pid), "VmRSS")


def _memory(process: str, field: str) -> float:
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2], [int(length) for length in sys.argv[3:]])))
