"""The CPU engine: one graph compiled by OpenVINO, several infer requests of it at once."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from beige._openvino import ov
from beige.engines.batches import Batch, batches, in_order, pad
from beige.engines.engine import Raw, not_finite
from beige.engines.openvino_graph import Graph, build
from beige.engines.precision import Choice
from beige.environment import cores
from beige.errors import EngineError
from beige.models.checkpoint import Checkpoint
from beige.models.tokenizer import Tokens

BUDGET = 1024
"""Tokens of a batch, padding included: the fastest of 512, 768, 1024, 1536 and 2048 on two cores with AMX."""

_HINTS = {
    "fp32": {"INFERENCE_PRECISION_HINT": "f32"},
    "bf16": {"INFERENCE_PRECISION_HINT": "bf16"},
    "int8": {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "128"},
}
"""OpenVINO's properties for each precision; int8 weights are in the graph, activations are quantised as they come."""

_PATIENCE = 100
"""Milliseconds between looks at pending signals while a batch runs, so that Ctrl-C stops at once."""


class OpenVINOEngine:
    """Runs BERT on the CPU. Threads share the compiled graph, each with requests of its own; no lock is held."""

    device = "cpu"

    def __init__(self, checkpoint: Checkpoint, choice: Choice) -> None:
        self.choice = choice
        self._checkpoint = checkpoint
        self._pad_id = int(checkpoint.config.get("pad_token_id") or 0)
        self._streams = cores()
        self._lock = threading.Lock()
        self._compiled: dict[tuple[str, ...], _Compiled] = {}
        self._compile(("dense",))

    def run(self, texts: Iterable[Tokens], outputs: tuple[str, ...]) -> Iterator[Raw]:
        """See `Engine.run`."""
        return in_order(self._results(self._compile(outputs), batches(texts, BUDGET)))

    def _compile(self, outputs: tuple[str, ...]) -> "_Compiled":
        with self._lock:
            if outputs not in self._compiled:
                graph = build(self._checkpoint, outputs, int8=self.choice.precision == "int8")
                self._compiled[outputs] = _Compiled(graph, outputs, self._streams, self.choice)
            return self._compiled[outputs]

    def _results(self, compiled: "_Compiled", stream: Iterable[Batch]) -> Iterator[tuple[int, Raw]]:
        flying: deque[tuple[Batch, Any]] = deque()
        try:
            for batch in stream:
                # Two requests a stream: one runs, one is ready to follow while Python reads the results of a third.
                if len(flying) == 2 * self._streams:
                    yield from self._land(compiled, *flying[0])
                    compiled.idle.append(flying.popleft()[1])
                flying.append((batch, compiled.start(pad(batch, self._pad_id))))
            while flying:
                yield from self._land(compiled, *flying[0])
                compiled.idle.append(flying.popleft()[1])
        finally:
            # An error, Ctrl-C, or a caller that wants no more; these requests are not used again.
            for _, request in flying:
                request.cancel()
            for _, request in flying:
                with contextlib.suppress(RuntimeError):  # what a cancelled request says
                    request.wait()

    def _land(self, compiled: "_Compiled", batch: Batch, request: Any) -> Iterator[tuple[int, Raw]]:
        try:
            while not request.wait_for(_PATIENCE):
                pass
        except RuntimeError as error:
            raise EngineError(f"OpenVINO could not run {self._checkpoint.name}: {error}") from error
        arrays = [request.get_output_tensor(number).data.copy() for number in range(len(compiled.outputs))]
        for array in arrays:
            bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)  # (b,)
            if bad.any():
                raise not_finite(batch.positions[int(bad.argmax())], self._checkpoint, self.choice)
        for row, place in enumerate(batch.positions):
            yield place, {name: array[row] for name, array in zip(compiled.outputs, arrays, strict=True)}


class _Compiled:
    """A compiled graph with the requests that wait for work.

    Requests are made when none is idle, so that a caller which pauses between two results blocks no other.
    """

    def __init__(self, graph: Graph, outputs: tuple[str, ...], streams: int, choice: Choice) -> None:
        self.outputs = outputs
        self.idle: deque[Any] = deque()
        self._model = ov.Core().compile_model(
            graph.model, "CPU", {**_HINTS[choice.precision], "NUM_STREAMS": str(streams)}
        )
        self._graph = graph  # keeps the constants alive; they go after what was compiled from them

    def start(self, inputs: tuple[Any, Any]) -> Any:
        try:
            request = self.idle.popleft()
        except IndexError:
            request = self._model.create_infer_request()
        request.start_async(dict(enumerate(inputs)))
        return request
