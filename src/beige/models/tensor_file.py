"""What a file of tensors is, whichever its format: a mapping of arrays over memory that is mapped from disk."""

import mmap
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from beige.models.dtypes import widen


def map_file(path: Path) -> mmap.mmap:
    """A file's bytes, read when they are used."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class TensorFile(Mapping[str, NDArray[Any]]):
    """Tensors by name, in their own dtype; bfloat16, which numpy lacks, is widened to float32 at each access.

    Attributes:
        mapping: the file's bytes.
    """

    mapping: mmap.mmap

    @abstractmethod
    def stored(self, name: str) -> NDArray[Any]:
        """A tensor with bfloat16 as it is stored: the record of `DTYPES`."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        return widen(self.stored(name))

    def release(self) -> None:
        """Let the system have the memory that pages of the file take; they come back when they are read again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)
