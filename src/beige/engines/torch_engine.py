"""The PyTorch engine: one model on one device, a GPU or, for decoders, the CPU."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch

from beige.engines.batches import Batch, batches, in_order, pack, pad
from beige.engines.exits import Exits
from beige.engines.precision import Choice
from beige.engines.results import Raw, by_text, finite
from beige.engines.torch_models import Outputs, open_model
from beige.engines.torch_weights import Weights
from beige.errors import EngineError, NotFiniteError
from beige.models.checkpoint import Checkpoint
from beige.models.tokenizer import Tokens

BUDGETS: Mapping[str, int] = {"cpu": 1024, "cuda": 1 << 15}
"""Tokens of a batch, padding included, to begin with; half as many each time the device's memory does not suffice."""

DTYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """Runs a checkpoint on one device; see `Engine`.

    While one batch runs on a GPU the results of the one before are read. Where the device's memory does not suffice
    for a batch, the budget is halved, for good, and the batch runs in parts; any other error is raised as it is.

    Attributes:
        budget: tokens of a batch, padding included, as it is now.
    """

    streams = 2  # one runs, one is ready to follow

    def __init__(
        self, checkpoint: Checkpoint, device: str, choice: Choice, exits: Exits | None = None, budget: int | None = None
    ) -> None:
        """Load the model.

        Args:
            checkpoint: what to run.
            device: as PyTorch calls it: "cpu", "cuda:0".
            choice: the precision.
            exits: for a reranker that can stop early.
            budget: tokens of a batch, padding included.

        Raises:
            EngineError: PyTorch has no such model here, or the device has too little memory for it.
            UsageError: the model has no such exits.
            CheckpointError: tensors are missing or of a wrong shape.
        """
        self.device = device
        self.choice = choice
        self._checkpoint = checkpoint
        self._device = torch.device(device)
        self.budget = budget or BUDGETS[self._device.type]
        self._pad_id = int(checkpoint.config.get("pad_token_id") or 0)
        try:
            with torch.inference_mode():
                self._model = open_model(checkpoint, Weights(checkpoint, self._device, DTYPES[choice.precision]), exits)
        except torch.OutOfMemoryError as error:
            raise EngineError(
                f"{device} has too little memory for {checkpoint.name} in {choice.precision}: take precision 'bf16' or "
                "another device"
            ) from error

    def run(self, texts: Iterable[Tokens], outputs: tuple[str, ...]) -> Iterator[Raw]:
        """See `Engine.run`."""
        return in_order(finite(self.results(batches(texts, self.budget), outputs)))

    def run_batch(self, texts: Sequence[Tokens], outputs: tuple[str, ...]) -> list[Raw | NotFiniteError]:
        """See `Engine.run_batch`."""
        whole = Batch(tuple(range(len(texts))), tuple(texts))
        return list(in_order(self.results([whole], outputs)))

    def results(self, stream: Iterable[Batch], outputs: tuple[str, ...]) -> Iterator[tuple[int, Raw | NotFiniteError]]:
        """Run batches: each text's place and its numbers (see `by_text`), in the order of the batches."""
        flying: deque[tuple[Batch, Outputs]] = deque()
        for batch in stream:
            for part, given in self._run(batch, outputs):
                flying.append((part, given))
                if len(flying) > 1:
                    yield from self._land(*flying.popleft())
        while flying:
            yield from self._land(*flying.popleft())

    def _run(self, batch: Batch, outputs: tuple[str, ...]) -> Iterator[tuple[Batch, Outputs]]:
        """Start a batch, in parts where the budget has become smaller since it was packed."""
        waiting = deque([batch])
        while waiting:
            parts = _parts(waiting.popleft(), self.budget)
            part = parts.popleft()
            waiting.extendleft(reversed(parts))
            ids, lengths = pad(part, self._pad_id)  # (b, t), (b,)
            try:
                with torch.inference_mode():
                    given = self._model(
                        part,
                        torch.from_numpy(ids).to(self._device, torch.int64),
                        torch.from_numpy(lengths).to(self._device, torch.int64),
                        outputs,
                    )
            except torch.OutOfMemoryError as error:
                if len(part.texts) == 1:
                    raise EngineError(
                        f"text {part.positions[0]} (counted from 0), of {ids.size} tokens, does not fit into the "
                        f"memory of {self.device} beside {self._checkpoint.name}: lower max_tokens or take precision "
                        "'bf16'"
                    ) from error
                self.budget = max(1, min(self.budget, ids.size) // 2)
                torch.cuda.empty_cache()
                waiting.appendleft(part)
            else:
                yield part, given

    def _land(self, batch: Batch, given: Outputs) -> Iterator[tuple[int, Raw | NotFiniteError]]:
        arrays = {output: tensor.cpu().numpy() for output, tensor in given.items()}
        yield from by_text(batch, arrays, self._checkpoint, self.choice)


def _parts(batch: Batch, budget: int) -> deque[Batch]:
    """A batch cut into such as the budget allows; itself where it does."""
    return deque(
        Batch(tuple(batch.positions[at] for at in places), tuple(batch.texts[at] for at in places))
        for places in pack([len(text.ids) for text in batch.texts], budget)
    )
