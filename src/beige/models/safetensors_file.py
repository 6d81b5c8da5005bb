"""A safetensors file as one mapping of arrays, mapped from disk: nothing is read before it is used."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beige.errors import CheckpointError
from beige.models.dtypes import DTYPES, native
from beige.models.tensor_file import TensorFile, map_file


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one tensor stands: its first byte in the file, its dtype's name and its shape."""

    offset: int
    dtype: str
    shape: tuple[int, ...]


class SafetensorsFile(TensorFile):
    """The tensors of a safetensors file by name.

    They are read-only views of the mapped file.

    Args:
        path: the file.

    Raises:
        CheckpointError: the file is damaged, or holds a dtype that is not read.
    """

    def __init__(self, path: Path) -> None:
        self._places = _places(path)
        self.mapping = map_file(path)

    def stored(self, name: str) -> NDArray[Any]:
        """See `TensorFile.stored`."""
        place = self._places[name]
        dtype = DTYPES[place.dtype]
        size = int(np.prod(place.shape, dtype=np.int64)) * dtype.itemsize
        stored = np.frombuffer(self.mapping, np.uint8, size, place.offset).view(dtype)
        return native(stored.reshape(place.shape))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _places(path: Path) -> dict[str, _Place]:
    from safetensors import SafetensorError, safe_open

    try:
        # The library checks the header against the file's length; it would copy each tensor, so the mapping is ours.
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): delete it and pull the checkpoint again") from error
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    if unknown := {entry["dtype"] for entry in header.values()} - DTYPES.keys():
        raise CheckpointError(f"{path} holds tensors of dtype {', '.join(sorted(unknown))}: save them as fp32 or bf16")
    return {
        name: _Place(8 + length + entry["data_offsets"][0], entry["dtype"], tuple(entry["shape"]))
        for name, entry in header.items()
    }
