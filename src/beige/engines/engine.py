"""What an engine is: a checkpoint's tensors on a device, tokens in, numbers out.

It knows nothing of text, templates or vectors' meaning; an embedder or reranker does.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from beige.engines.precision import Choice, choose_for
from beige.errors import UsageError
from beige.models.checkpoint import Checkpoint
from beige.models.tokenizer import Tokens
from beige.values import Floats

Raw = Mapping[str, Floats]
"""One text's numbers by output, float32, without padding: "dense" is (d,), unit length."""

DEVICES = ("cpu",)


class Engine(Protocol):
    """Runs a checkpoint. Safe to use from several threads at once.

    Attributes:
        device: where it runs, "cpu".
        choice: the precision it runs in, and why.
    """

    device: str
    choice: Choice

    def run(self, texts: Iterable[Tokens], outputs: tuple[str, ...]) -> Iterator[Raw]:
        """Run texts through the model.

        The texts are read window by window and packed by length into batches, several of which run at once; memory
        does not grow with their number, and a text's numbers do not depend on its neighbours beyond rounding.

        Args:
            texts: tokens, at most the checkpoint's length each.
            outputs: what to compute; nothing else is.

        Yields:
            One text's numbers at a time, in the order of the texts.

        Raises:
            NotFiniteError: a number is NaN or infinite; the error names the text by its place, from 0.
            EngineError: the device failed. The engine stays usable.
        """
        ...


def open_engine(checkpoint: Checkpoint, device: str = "auto", precision: str = "auto") -> Engine:
    """The engine for a checkpoint on this machine.

    Args:
        checkpoint: what to run.
        device: "cpu", or "auto".
        precision: "fp32", "bf16", "int8", or "auto": the fastest that keeps the vectors (see `choose`).

    Raises:
        UsageError: there is no such device or precision.
        EngineError: the CPU lacks the precision, or no engine runs this architecture.
        CheckpointError: tensors are missing or of a wrong shape.
    """
    if device not in ("auto", *DEVICES):
        raise UsageError(f"there is no device {device!r}: take one of auto, {', '.join(DEVICES)}")
    from beige.engines.openvino_engine import OpenVINOEngine

    return OpenVINOEngine(checkpoint, choose_for(checkpoint, precision))
