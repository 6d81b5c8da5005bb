"""What one process needs to load a model and embed: `python -m bench.footprint MODEL PRECISION TOKENS`, JSON out."""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from beige import Embedder


def measure(model: Path, precision: str, tokens: int) -> dict[str, Any]:
    """Seconds until it is ready, and the most memory in MB until then and after one text of so many tokens."""
    started = time.perf_counter()
    embedder = Embedder(model, precision=precision, device="cpu")
    ready = time.perf_counter() - started
    loaded = _peak()
    found = embedder.encode(" ".join(["the"] * (tokens - 2)), outputs=embedder.checkpoint.outputs)
    return {
        "precision": precision,
        "ready_seconds": ready,
        "peak_mb": loaded,
        "tokens": found.tokens,
        "peak_after_mb": _peak(),
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
