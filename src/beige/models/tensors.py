"""Safetensors files as one mapping of arrays, mapped from disk: nothing is read before it is used."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beige.errors import CheckpointError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_DTYPES: dict[str, type[np.generic]] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,  # widened when it is read: numpy has no bfloat16
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one tensor stands: its file, its first byte there, its dtype's safetensors name and its shape."""

    path: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]


class Tensors(Mapping[str, NDArray[Any]]):
    """A checkpoint's tensors by canonical name: without the prefix that a task model puts before its backbone.

    Stored float32 and float16 tensors are read-only views of the mapped file, in their own dtype. bfloat16, which
    numpy lacks, is widened to float32 at each access: exact, a fresh array of the caller's own.
    """

    def __init__(self, places: Mapping[str, _Place], prefix: str) -> None:
        self._prefix = prefix
        self._places = {name.removeprefix(prefix): place for name, place in places.items()}
        self._maps = {path: np.memmap(path, np.uint8, "r") for path in {place.path for place in places.values()}}

    def __getitem__(self, name: str) -> NDArray[Any]:
        place = self._places[name]
        dtype = np.dtype(_DTYPES[place.dtype])
        size = int(np.prod(place.shape, dtype=np.int64)) * dtype.itemsize
        stored = self._maps[place.path][place.offset : place.offset + size].view(np.ndarray).view(dtype)
        stored = np.require(stored.reshape(place.shape), requirements="A")
        if place.dtype == "BF16":
            return (stored.astype(np.uint32) << 16).view(np.float32)
        return stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a checkpoint: `model.safetensors`, or the shards that its index names.

    Raises:
        CheckpointError: there are none, or the index is damaged or names a file that is not there.
    """
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    index = folder / INDEX
    if not index.is_file():
        raise CheckpointError(f"{folder} holds no {WEIGHTS}: pull the checkpoint again, or save it as safetensors")
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        shards = tuple(folder / Path(name).name for name in names)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index} is no index of safetensors shards: pull the checkpoint again") from error
    if missing := [shard.name for shard in shards if not shard.is_file()]:
        raise CheckpointError(f"{folder} lacks {', '.join(missing)}, which {INDEX} names: pull the checkpoint again")
    return shards


def open_tensors(folder: Path, prefixes: tuple[str, ...]) -> Tensors:
    """Map a checkpoint's tensors.

    Args:
        folder: the checkpoint.
        prefixes: backbone prefixes that may stand before canonical names ("bert.").

    Raises:
        CheckpointError: a file is missing or damaged, or a tensor has a dtype that is not read.
    """
    places: dict[str, _Place] = {}
    for path in weight_files(folder):
        places |= _places(path)
    found = (prefix for prefix in prefixes if any(name.startswith(prefix) for name in places))
    return Tensors(places, next(found, ""))


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
    if unknown := {entry["dtype"] for entry in header.values()} - _DTYPES.keys():
        raise CheckpointError(f"{path} holds tensors of dtype {', '.join(sorted(unknown))}: save them as fp32 or bf16")
    return {
        name: _Place(path, 8 + length + entry["data_offsets"][0], entry["dtype"], tuple(entry["shape"]))
        for name, entry in header.items()
    }
