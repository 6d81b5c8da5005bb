"""The CPU engine: one graph compiled by OpenVINO for many texts, several infer requests at once, and for one alone."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np

from beige._openvino import ov
from beige.engines.batches import Batch, batches, in_order, pad
from beige.engines.openvino_graph import Graph, build
from beige.engines.openvino_weights import GROUP
from beige.engines.precision import Choice
from beige.engines.results import Raw, by_text, finite
from beige.environment import cores
from beige.errors import EngineError, NotFiniteError
from beige.models.checkpoint import Checkpoint
from beige.models.tokenizer import Tokens
from beige.values import Ints

BUDGET = 1024
"""Tokens of a batch, padding included: the fastest of 512, 768, 1024, 1536 and 2048 on two cores with AMX."""

_HINTS = {
    "fp32": {"INFERENCE_PRECISION_HINT": "f32"},
    "bf16": {"INFERENCE_PRECISION_HINT": "bf16"},
    "int8": {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(GROUP)},
}
"""OpenVINO's properties for each precision; int8 weights are in the graph, activations are quantised as they come."""

_RELEASE = 0.1
"""Seconds between two releases of pages while a graph is compiled."""

STREAMS = 16
"""The most batches that are computed at once, a core each or, on larger machines, some cores each.

Two streams of one thread are a fifth faster than one of two; each takes memory for its batch, 20 to 40 MB with
bge-small, which would add up on a machine of a hundred cores.
"""

ALONE = range(10_000_000, 150_000_000)
"""Bytes of a graph's constants with which it is compiled again for texts that come alone, one stream with all cores.

On two cores a question to bge-small takes 4.2 ms so and 6.6 ms on one of two streams. The weights are packed again, for
which large models are too large; the smallest have too little to share out among cores.
"""

_PATIENCE = 100
"""Milliseconds between looks at pending signals while a batch runs, so that Ctrl-C stops at once."""


class OpenVINOEngine:
    """Runs encoders on the CPU. Threads share the compiled graph, each with requests of its own; no lock is held."""

    device = "cpu"
    budget = BUDGET

    def __init__(self, checkpoint: Checkpoint, choice: Choice) -> None:
        self.choice = choice
        self._checkpoint = checkpoint
        self._pad_id = int(checkpoint.config.get("pad_token_id") or 0)
        self.streams = min(cores(), STREAMS)
        self._graph = build(checkpoint, int8=choice.precision == "int8")
        self._many = self._compile(self.streams)
        self._alone: _Compiled | None = None
        self._asked_alone = False
        self._compiling = threading.Lock()

    def run(self, texts: Iterable[Tokens], outputs: tuple[str, ...]) -> Iterator[Raw]:
        """See `Engine.run`."""
        self._check(outputs)
        return in_order(self._results(batches(texts, BUDGET, self.streams), outputs))

    def run_batch(self, texts: Sequence[Tokens], outputs: tuple[str, ...]) -> list[Raw | NotFiniteError]:
        """See `Engine.run_batch`."""
        self._check(outputs)
        batch = Batch(tuple(range(len(texts))), tuple(texts))
        compiled = self._compiled_for([batch])
        request = compiled.start(_inputs(batch, self._pad_id, outputs))
        try:
            found = [raw for _, raw in self._land(batch, request, outputs)]
            compiled.end(request)
        finally:
            compiled.busy.discard(request)  # one that failed is not used again
        return found

    def _check(self, outputs: tuple[str, ...]) -> None:
        for output in outputs:
            if output not in self._graph.outputs:
                raise EngineError(f"{self._checkpoint.name} gives no output {output!r}")

    def _compile(self, streams: int) -> "_Compiled":
        """Compile the graph, and run it once."""
        with _letting_go(self._graph.release):
            compiled = _Compiled(self._graph, streams, self.choice)
            shortest = Batch((0,), (Tokens(np.full(2, self._pad_id, np.int32), 2, False),))
            request = compiled.start(_inputs(shortest, self._pad_id, self._graph.outputs))
            request.wait()
            compiled.end(request)
        return compiled

    def _compiled_for(self, batches: Sequence[Batch]) -> "_Compiled":
        """What is to run these, of which there are more where there are two.

        A text comes alone where nothing else runs. The second one has the graph compiled for such: whoever asks one
        question of a command need not wait for that.
        """
        if len(batches) != 1 or len(batches[0].texts) != 1 or self._many.busy or self.streams == 1:
            return self._many
        if self._alone is None and self._graph.size in ALONE:
            self._prepare_alone()
        return self._many if self._alone is None or self._alone.busy else self._alone

    def _prepare_alone(self) -> None:
        if not self._compiling.acquire(blocking=False):  # another thread does
            return
        try:
            if self._alone is None and self._asked_alone:
                self._alone = self._compile(1)
            self._asked_alone = True
        finally:
            self._compiling.release()

    def _results(self, stream: Iterator[Batch], outputs: tuple[str, ...]) -> Iterator[tuple[int, Raw]]:
        start = list(islice(stream, 2))
        compiled = self._compiled_for(start)
        flying: deque[tuple[Batch, Any]] = deque()
        try:
            for batch in chain(start, stream):
                # Two requests a stream: one runs, one is ready to follow while Python reads the results of a third.
                if len(flying) == 2 * self.streams:
                    yield from finite(self._land(*flying[0], outputs))
                    compiled.end(flying.popleft()[1])
                flying.append((batch, compiled.start(_inputs(batch, self._pad_id, outputs))))
            while flying:
                yield from finite(self._land(*flying[0], outputs))
                compiled.end(flying.popleft()[1])
        finally:
            # An error, Ctrl-C, or a caller that wants no more; these requests are not used again.
            for _, request in flying:
                request.cancel()
            for _, request in flying:
                with contextlib.suppress(RuntimeError):  # what a cancelled request says
                    request.wait()
                compiled.busy.discard(request)

    def _land(self, batch: Batch, request: Any, outputs: tuple[str, ...]) -> Iterator[tuple[int, Raw | NotFiniteError]]:
        try:
            while not request.wait_for(_PATIENCE):
                pass
        except RuntimeError as error:
            raise EngineError(f"OpenVINO could not run {self._checkpoint.name}: {error}") from error
        places = {output: self._graph.outputs.index(output) for output in outputs}
        arrays = {output: request.get_output_tensor(place).data.copy() for output, place in places.items()}
        yield from by_text(batch, arrays, self._checkpoint, self.choice)


_SHAPES = 128
"""Kernels of each kind that a stream keeps, some for each shape of a batch: with bge-small 340 MB are resident with 64
after a thousand abstracts in bf16, 470 with 256; indexing 10 MB of text takes 632 MB with 128, 736 with 256. A question
of a new length takes up to a tenth longer with 64 than with 256."""


class _Compiled:
    """A compiled graph with the requests that wait for work, and those that work.

    Requests are made when none is idle, so that a caller which pauses between two results blocks no other.
    """

    def __init__(self, graph: Graph, streams: int, choice: Choice) -> None:
        self._idle: deque[Any] = deque()
        self.busy: set[Any] = set()
        options = {
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": str(cores()),
            "CPU_RUNTIME_CACHE_CAPACITY": str(_SHAPES),
        }
        self._model = ov.Core().compile_model(graph.model, "CPU", {**_HINTS[choice.precision], **options})
        self._graph = graph  # keeps the constants alive; they go after what was compiled from them

    def start(self, inputs: Mapping[str, Ints]) -> Any:
        try:
            request = self._idle.popleft()
        except IndexError:
            request = self._model.create_infer_request()
        self.busy.add(request)
        request.start_async({number: inputs[name] for number, name in enumerate(self._graph.inputs)})
        return request

    def end(self, request: Any) -> None:
        self.busy.discard(request)
        self._idle.append(request)


def _inputs(batch: Batch, fill: int, outputs: tuple[str, ...]) -> dict[str, Ints]:
    """What a graph may ask for: see `Graph.inputs`."""
    ids, lengths = pad(batch, fill)  # (b, t), (b,)
    longest = ids.shape[1]
    starts = [text.passage[0] if text.passage else longest for text in batch.texts]
    return {
        "ids": ids,
        "lengths": lengths,
        "rows": np.array([1 if outputs == ("dense",) else longest], np.int32),
        "vectors": np.array([longest if "multi" in outputs else 1], np.int32),
        "passages": np.array(starts, np.int32),
    }


@contextlib.contextmanager
def _letting_go(release: Callable[[], None]) -> Iterator[None]:
    """Release a graph's pages over and over while it is compiled and first run.

    OpenVINO reads every page then, some several times, and packs what it reads: without this the whole file and all
    that is packed of it would be in memory together.
    """
    done = threading.Event()

    def work() -> None:
        while not done.wait(_RELEASE):
            release()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        release()
