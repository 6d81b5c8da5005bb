"""The file of a cache: arrays, a description of them, its length, a trailer; immutable once it has its name.

The description comes last so that arrays of unknown length can be written as they come. Every byte before the trailer
is under a CRC-32, checked before the file is mapped, unless it is still the file that was written: the description
holds its inode and the time of its last change, which no damage, copy or restored backup keeps. So opening an index
does not read gigabytes, and what is mapped is read without further checks.
"""

import json
import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from beige.index.database import Change

MAGIC = b"beigecache\x00\x02"
"""Its last byte is the format's version."""

_LENGTH = struct.Struct("<Q")
_TRAILER = struct.Struct("<I12s")
_ALIGNMENT = 64
_BLOCK = 1 << 22


class DamagedCacheError(Exception):
    """The file is not a whole cache of this version; never leaves the room, for a cache can be made anew."""


@dataclass(frozen=True, eq=False)
class CacheFile:
    """An open cache.

    Attributes:
        kind: what sort of cache it is.
        change: the last change it holds.
        arrays: its content, mapped from the file.
    """

    kind: str
    change: Change
    arrays: dict[str, NDArray[Any]]


def read(path: Path, *, verify: bool = False) -> CacheFile:
    """Map a cache.

    Args:
        path: of the file.
        verify: compare the checksum in any case.

    Raises:
        FileNotFoundError: there is none.
        DamagedCacheError: it is damaged or of another version.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        end = status.st_size - _TRAILER.size
        if end < _LENGTH.size:
            raise DamagedCacheError(f"{path} is too short")
        file.seek(end - _LENGTH.size)
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        checksum, magic = _TRAILER.unpack(file.read())
        if magic != MAGIC or length > end - _LENGTH.size:
            raise DamagedCacheError(f"{path} is not a cache of this version, or was cut")
        file.seek(end - _LENGTH.size - length)
        text = file.read(length)
        try:
            written = json.loads(text)["written"]
        except (ValueError, KeyError, TypeError):
            written = None
        if (verify or written != [status.st_ino, status.st_mtime_ns]) and checksum != _checksum(file, end):
            raise DamagedCacheError(f"{path} fails its checksum")
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    description = json.loads(text)
    arrays = {
        name: np.frombuffer(whole, _dtype(dtype), int(np.prod(shape)), offset).reshape(shape)
        for name, (dtype, shape, offset) in description["arrays"].items()
    }
    return CacheFile(description["kind"], Change(**description["change"]), arrays)


def _checksum(file: BinaryIO, end: int) -> int:
    # Read and not mapped: pages that no search needs must not count as this process's memory.
    file.seek(0)
    found = 0
    for start in range(0, end, _BLOCK):
        found = zlib.crc32(file.read(min(_BLOCK, end - start)), found)
    return found


def _dtype(description: Any) -> np.dtype[Any]:
    return np.dtype(description if isinstance(description, str) else [tuple(column) for column in description])


class CacheWriter:
    """Writes a cache beside its place, and puts it there when the block ends without an error."""

    def __init__(self, path: Path, kind: str, change: Change) -> None:
        self._path = path
        self.temporary = _temporary(path)
        self._description: dict[str, Any] = {"kind": kind, "change": asdict(change), "arrays": {}}
        self._checksum = 0
        self._size = 0

    def __enter__(self) -> Self:
        self._file = self.temporary.open("w+b")
        return self

    def adopt(self, name: str) -> None:
        """Take what somebody else has written to the temporary file as the first array, of bytes."""
        with self.temporary.open("rb") as other:
            while block := other.read(_BLOCK):
                self._checksum = zlib.crc32(block, self._checksum)
                self._size += len(block)
        self._file.close()
        self._file = self.temporary.open("r+b")
        self._file.seek(self._size)
        self._description["arrays"][name] = ("|u1", (self._size,), 0)

    def array(self, name: str, dtype: np.dtype[Any], blocks: Iterable[NDArray[Any]]) -> None:
        """Append an array that comes in blocks along its first axis."""
        self._write(b"\0" * (-self._size % _ALIGNMENT))
        offset, rows, rest = self._size, 0, ()
        for block in blocks:
            self._write(np.ascontiguousarray(block, dtype).data.cast("B") if block.size else b"")
            rows, rest = rows + len(block), block.shape[1:]
        self._description["arrays"][name] = (dtype.descr if dtype.names else dtype.str, (rows, *rest), offset)

    def _write(self, data: bytes | memoryview) -> None:
        self._checksum = zlib.crc32(data, self._checksum)
        self._size += self._file.write(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                now = time.time_ns()
                self._description["written"] = [os.fstat(self._file.fileno()).st_ino, now]
                description = json.dumps(self._description).encode("ascii")
                self._write(description + _LENGTH.pack(len(description)))
                self._file.write(_TRAILER.pack(self._checksum, MAGIC))
                self._file.flush()
                os.utime(self._file.fileno(), ns=(now, now))
                os.fsync(self._file.fileno())
                self._file.close()
                self.temporary.replace(self._path)
                sync_folder(self._path.parent)
        finally:
            self._file.close()
            self.temporary.unlink(missing_ok=True)


def scratch(path: Path) -> Path:
    """A name for a cache that is only a step towards the one at `path`."""
    return path.with_name(path.name + ".part")


def unfinished(path: Path) -> list[Path]:
    """What a writer of this cache may leave behind when it is killed."""
    return [_temporary(path), scratch(path), _temporary(scratch(path))]


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def sync_folder(folder: Path) -> None:
    """Make the folder's names durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
