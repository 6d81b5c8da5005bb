"""The end of the wire inside a peer's environment: JSON lines in, JSON lines out. Standard library and numpy only.

A peer's script gives `serve` a function that loads its model and returns its encoder. The first line out says how long
that took. Then each line in is `{"texts", "each", "settings", "save"}`: encode all texts at once, or with `each` one by
one; the answer is `{"seconds": [...]}`. With `save`, the vectors go to that file, in the texts' order.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Encode = Callable[..., NDArray[np.float32]]
"""Texts, and settings by name, to unit vectors (n, d)."""


def serve(load: Callable[..., Encode]) -> None:
    """Load with the settings of the command line's one argument, then answer lines until there are no more."""
    # Libraries print to stdout as they please; the answers need a stream of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    started = time.perf_counter()
    encode = load(**json.loads(sys.argv[1]))
    encode(["The first text compiles and allocates."])
    answer({"seconds": [time.perf_counter() - started]})
    for line in sys.stdin:
        request = json.loads(line)
        texts = request["texts"]
        seconds, vectors = [], []
        for batch in [[text] for text in texts] if request["each"] else [texts]:
            started = time.perf_counter()
            vectors.append(encode(batch, **request["settings"]))
            seconds.append(time.perf_counter() - started)
        if request["save"]:
            np.save(request["save"], np.concatenate(vectors).astype(np.float32))
        answer({"seconds": seconds})
