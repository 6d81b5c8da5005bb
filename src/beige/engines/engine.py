"""What an engine is, and the one for a checkpoint on this machine: tokens in, numbers out.

It knows nothing of text, templates or vectors' meaning; an embedder or reranker does.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from beige.engines.device import CPU, devices
from beige.engines.exits import Exits
from beige.engines.precision import Choice, choose_for, choose_for_torch
from beige.engines.results import Raw
from beige.errors import MissingExtraError, NotFiniteError, UsageError
from beige.models.checkpoint import Checkpoint
from beige.models.tokenizer import Tokens


class Engine(Protocol):
    """Runs a checkpoint. Safe to use from several threads at once.

    Attributes:
        device: where it runs: "cpu", "cuda:0", or several of these with commas between.
        choice: the precision it runs in, and why.
        streams: how many batches it computes at once; further ones wait.
        budget: the tokens of a batch, padding included, at which it is fastest.
    """

    device: str
    choice: Choice
    streams: int

    @property
    def budget(self) -> int:
        """See the attributes."""
        ...

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

    def run_batch(self, texts: Sequence[Tokens], outputs: tuple[str, ...]) -> list[Raw | NotFiniteError]:
        """Run texts as the one batch that they are, for callers that pack by themselves.

        Args:
            texts: at least one; how many the device's memory allows, the caller must know.
            outputs: what to compute.

        Returns:
            Each text's numbers, or the error that one of them is NaN or infinite: the others are none the worse.

        Raises:
            EngineError: the device failed. The engine stays usable.
        """
        ...


def open_engine(
    checkpoint: Checkpoint, device: str = "auto", precision: str = "auto", exits: Exits | None = None
) -> Engine:
    """The engine for a checkpoint on this machine: PyTorch on GPUs and for decoders, else OpenVINO.

    Args:
        checkpoint: what to run.
        device: "cpu", "cuda", "cuda:1", several such with commas between, "cuda:all" or "auto" (see `devices`).
        precision: "fp32", "bf16", "fp16", "int8", or "auto": the fastest that keeps the vectors (see `choose` and
            `choose_for_torch`).
        exits: for a reranker that can stop early.

    Raises:
        UsageError: there is no such device or precision, or the model has no such exits.
        EngineError: the device lacks the precision, or no engine runs this architecture.
        CheckpointError: tensors are missing or of a wrong shape.
        MissingExtraError: PyTorch is needed and not installed.
    """
    places = devices(device)
    if places == (CPU,) and not checkpoint.is_decoder:
        if exits is not None:
            raise UsageError(f"{checkpoint.name} scores after its last layer alone: it takes no layers to stop after")
        from beige.engines.openvino_engine import OpenVINOEngine

        return OpenVINOEngine(checkpoint, choose_for(checkpoint, precision))
    try:
        from beige.engines.torch_engine import TorchEngine
        from beige.engines.torch_pool import TorchPool
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError(f"the model {checkpoint.name}", "torch") from error
    choice = choose_for_torch(precision, places)
    if len(places) > 1:
        return TorchPool(checkpoint, places, choice, exits)
    return TorchEngine(checkpoint, places[0], choice, exits)
