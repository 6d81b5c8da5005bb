"""The heads that a checkpoint keeps in files of their own beside its backbone, as bge-m3 does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from beige.errors import CheckpointError
from beige.models.tensors import open_file
from beige.values import Output

FILES: Mapping[Output, str] = {"sparse": "sparse_linear", "multi": "colbert_linear"}
"""By output, the file's name without its ending."""

ENDINGS = (".safetensors", ".pt")
"""The preferred first."""


class Head(NamedTuple):
    """A linear layer: `x W^T + b`."""

    weight: NDArray[Any]  # (o, h)
    bias: NDArray[Any]  # (o,)


def open_head(folder: Path, output: Output, hidden: int) -> Head:
    """Read the head that gives an output from hidden states.

    Args:
        folder: the checkpoint.
        output: "sparse", one number a token, or "multi", a vector a token.
        hidden: numbers of a hidden state.

    Raises:
        CheckpointError: the file is missing, damaged or hostile, or holds no linear layer of this size. The reference
            takes random numbers where the file is missing.
    """
    path = head_file(folder, output)
    tensors = open_file(path)
    if tensors.keys() != {"weight", "bias"}:
        raise CheckpointError(f"{path} holds {', '.join(tensors) or 'nothing'}, not the weight and bias of one layer")
    head = Head(tensors["weight"], tensors["bias"])
    rows = 1 if output == "sparse" else len(head.bias)
    if head.weight.shape != (rows, hidden) or head.bias.shape != (rows,):
        raise CheckpointError(
            f"{path} has a weight of shape {head.weight.shape}; for this checkpoint it must be ({rows}, {hidden})"
        )
    return head


def head_file(folder: Path, output: Output) -> Path:
    """The file of the head that gives an output.

    Raises:
        CheckpointError: there is none.
    """
    places = [folder / f"{FILES[output]}{ending}" for ending in ENDINGS]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise CheckpointError(
            f"{folder} lacks {FILES[output]}.pt, without which it gives no output {output!r}: pull the checkpoint again"
        )
    return path
