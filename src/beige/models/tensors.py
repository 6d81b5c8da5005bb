"""A checkpoint's weights as one mapping of arrays, whichever files hold them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from beige.errors import CheckpointError
from beige.models.safetensors_file import SafetensorsFile
from beige.models.tensor_file import TensorFile
from beige.models.torch_file import TorchFile

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TORCH_WEIGHTS = "pytorch_model.bin"
TORCH_INDEX = "pytorch_model.bin.index.json"

_FORMS = ((WEIGHTS, INDEX), (TORCH_WEIGHTS, TORCH_INDEX))
"""What weights come as, the preferred form first: the name of a single file, and of the index of several."""


class Tensors(Mapping[str, NDArray[Any]]):
    """A checkpoint's tensors by canonical name: without the prefix that a task model puts before its backbone.

    float32 and float16 tensors are read-only views of the mapped file, in their own dtype. bfloat16, which numpy
    lacks, is widened to float32 at each access: exact, a fresh array of the caller's own.

    Args:
        folder: the checkpoint, for errors.
        files: the files' tensors by stored name; later files win.
        prefix: what to leave out at the start of names.
    """

    def __init__(self, folder: Path, files: Sequence[TensorFile], prefix: str) -> None:
        self._folder = folder
        self._files = files
        self._places = {name.removeprefix(prefix): (file, name) for file in files for name in file}

    def __getitem__(self, name: str) -> NDArray[Any]:
        file, stored = self._places[name]
        return file[stored]

    def take(self, name: str, *shape: int) -> NDArray[Any]:
        """A tensor that must be there and of a shape, as it is stored: of bfloat16 a record of its bits, see `DTYPES`.

        Raises:
            CheckpointError: it is missing, or has another shape.
        """
        if name not in self._places:
            raise CheckpointError(f"{self._folder} has no tensor {name}: pull the checkpoint again")
        file, stored = self._places[name]
        tensor = file.stored(stored)
        if tensor.shape != shape:
            raise CheckpointError(
                f"{self._folder}: tensor {name} has shape {tensor.shape}, its config.json means {shape}"
            )
        return tensor

    def release(self) -> None:
        """Let the system have the memory that pages of the files take; they come back when they are read again."""
        for file in self._files:
            file.release()

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files of a checkpoint's weights, safetensors before torch's: the single file, or the shards of an index.

    Raises:
        CheckpointError: there are none, or an index is damaged or names a file that is not there.
    """
    for single, index in _FORMS:
        if (folder / single).is_file():
            return (folder / single,)
        if (folder / index).is_file():
            return _shards(folder / index)
    raise CheckpointError(f"{folder} holds neither {WEIGHTS} nor {TORCH_WEIGHTS}: pull the checkpoint again")


def open_tensors(folder: Path, prefixes: tuple[str, ...]) -> Tensors:
    """Map a checkpoint's tensors.

    Args:
        folder: the checkpoint.
        prefixes: backbone prefixes that may stand before canonical names ("bert.").

    Raises:
        CheckpointError: a file is missing, damaged or hostile, or a tensor has a dtype that is not read.
    """
    files = [open_file(path) for path in weight_files(folder)]
    found = (prefix for prefix in prefixes if any(name.startswith(prefix) for file in files for name in file))
    return Tensors(folder, files, next(found, ""))


def open_file(path: Path) -> TensorFile:
    """Map one file of tensors by stored name: safetensors by its ending, else a file that torch saved.

    Raises:
        CheckpointError: it is damaged or hostile, or a tensor has a dtype that is not read.
    """
    return SafetensorsFile(path) if path.suffix == ".safetensors" else TorchFile(path)


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        shards = tuple(index.with_name(Path(name).name) for name in names)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index} is no index of a checkpoint's shards: pull the checkpoint again") from error
    if missing := [shard.name for shard in shards if not shard.is_file()]:
        raise CheckpointError(
            f"{index.parent} lacks {', '.join(missing)}, which {index.name} names: pull the checkpoint again"
        )
    return shards
