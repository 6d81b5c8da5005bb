"""A checkpoint's tensors on PyTorch's device, checked as they are taken, and the layers that hold them."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # its own documentation's name for it
from numpy.typing import NDArray

from beige.models.checkpoint import Checkpoint
from beige.models.dtypes import BFLOAT16, is_bfloat16


class Weights:
    """Takes tensors by canonical name and shape, one at a time, so that no second copy of a model is ever held.

    Attributes:
        tensors: the checkpoint's.
        device: where they go.
        dtype: what they become.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self.tensors = checkpoint.tensors()

    def take(self, name: str, *shape: int) -> torch.Tensor:
        """A tensor; on a CPU and in the stored dtype it is the file's own memory.

        Raises:
            CheckpointError: it is missing, or has another shape.
        """
        return self.place(self.tensors.take(name, *shape))

    def place(self, array: NDArray[Any]) -> torch.Tensor:
        """An array as it is stored, on the device and in the dtype."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nothing here writes
            if is_bfloat16(array):
                return torch.from_numpy(array[BFLOAT16].view(np.int16)).view(torch.bfloat16).to(self.device, self.dtype)
            return torch.from_numpy(array).to(self.device, self.dtype)

    def linear(self, name: str, rows: int, columns: int, *, bias: bool) -> "Linear":
        """A linear layer from `columns` to `rows` numbers."""
        weight = self.take(f"{name}.weight", rows, columns)
        return Linear(weight, self.take(f"{name}.bias", rows) if bias else None)


@dataclass(frozen=True, eq=False, slots=True)
class Linear:
    """`x W^T + b`."""

    weight: torch.Tensor  # (rows, columns)
    bias: torch.Tensor | None  # (rows,)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(..., columns) to (..., rows)."""
        return F.linear(x, self.weight, self.bias)


@dataclass(frozen=True, eq=False, slots=True)
class LayerNorm:
    """Ba et al. 2016, https://arxiv.org/abs/1607.06450."""

    weight: torch.Tensor  # (h,)
    bias: torch.Tensor  # (h,)
    epsilon: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(..., h) to (..., h)."""
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, eq=False, slots=True)
class RMSNorm:
    """Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467, computed in fp32.

    Attributes:
        weight: (h,).
        epsilon: what is added to the mean square.
        centred: whether the scale is one plus the weight, multiplied in fp32, as in Gemma.
    """

    weight: torch.Tensor
    epsilon: float
    centred: bool = False

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(..., h) to (..., h)."""
        whole = x.float()
        whole = whole * torch.rsqrt(whole.square().mean(-1, keepdim=True) + self.epsilon)
        if self.centred:
            return (whole * (1 + self.weight.float())).to(x.dtype)
        return whole.to(x.dtype) * self.weight
