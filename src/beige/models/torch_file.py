"""A file that torch saved, as one mapping of arrays, mapped from disk, without torch and without running its pickle.

Since version 1.6 `torch.save` writes a zip archive that stores, uncompressed, a pickle (`data.pkl`: names, shapes and
strides) and one record for each storage (`data/0`, `data/1`, ...). `torch_pickle` reads the former; here the latter
become views of the mapped file. Compressed, encrypted, overlapping or misplaced records are refused, so that no
archive yields more than its own bytes.
"""

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from mmap import mmap
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from beige.errors import CheckpointError
from beige.models.dtypes import DTYPES, native
from beige.models.tensor_file import TensorFile, map_file
from beige.models.torch_pickle import RefusedError, StoredTensor, read_pickle

_PICKLE = "data.pkl"
_ORDERS: Mapping[bytes, Literal["<", ">"]] = {b"little": "<", b"big": ">"}
_MAGIC = b"PK\x03\x04"
_HEADER = struct.Struct("<4s22xHH")  # of a record: magic, ..., lengths of its name and its extra field
_ENCRYPTED = 0x1
_LARGEST_PICKLE = 1 << 26  # bytes; a model of ten thousand tensors needs two million
_LEAST_LIMIT = 1 << 20  # bytes that an expanded tensor may have whatever its file's size
_MOST_AXES = 32


@dataclass(frozen=True, slots=True)
class _Record:
    """One record of the archive: its header's place, its bytes' place, how many, and their checksum."""

    header: int
    start: int
    size: int
    crc: int


class TorchFile(TensorFile):
    """The tensors of a state dictionary by name.

    Contiguous ones are read-only views of the mapped file; transposed, sliced or expanded ones, and
    the other byte order are fresh arrays at each access. A storage is compared with the archive's
    checksum when one of its tensors is first asked for.

    Args:
        path: the file.

    Raises:
        CheckpointError: the file is damaged, hostile, of torch's old format or holds something else than tensors; at
            access, a tensor's bytes are not those that were saved.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sound: set[str] = set()
        try:
            self.mapping = _map(path)
            self._map = np.frombuffer(self.mapping, np.uint8)
            self._records = _records(path, self._map)
            self._tensors = read_pickle(self._pickle())
            self._order = self._byte_order()
            for name, tensor in self._tensors.items():
                self._check(name, tensor)
        except RefusedError as refused:
            raise self._error(refused) from refused

    def stored(self, name: str) -> NDArray[Any]:
        """See `TensorFile.stored`."""
        tensor = self._tensors[name]
        dtype = DTYPES[tensor.dtype].newbyteorder(self._order)
        if 0 in tensor.shape:
            return native(np.empty(tensor.shape, dtype))
        try:
            stored = self._bytes(f"data/{tensor.storage}").view(dtype)[tensor.offset :]
        except RefusedError as refused:
            raise self._error(refused) from refused
        strides = [step * dtype.itemsize for step in tensor.strides]
        return native(np.lib.stride_tricks.as_strided(stored, tensor.shape, strides, writeable=False))

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def _error(self, refused: RefusedError) -> CheckpointError:
        return CheckpointError(
            f"{self._path} is not read: {refused}; pull the checkpoint again, or where you trust the file load it with "
            "torch.load(..., weights_only=True) and save its tensors with safetensors.torch.save_file"
        )

    def _pickle(self) -> bytes:
        if _PICKLE not in self._records:
            raise RefusedError("it is a zip archive that torch.save did not write")
        if self._records[_PICKLE].size > _LARGEST_PICKLE:
            raise RefusedError("its pickle is larger than any state dictionary's")
        return self._bytes(_PICKLE).tobytes()

    def _byte_order(self) -> Literal["<", ">"]:
        stated = self._bytes("byteorder").tobytes() if "byteorder" in self._records else b"little"
        if stated not in _ORDERS:
            raise RefusedError("it states an unknown byte order")
        return _ORDERS[stated]

    def _bytes(self, name: str) -> NDArray[np.uint8]:
        """A record's bytes, a view of the file."""
        record = self._records[name]
        view = self._map[record.start : record.start + record.size]
        if name not in self._sound:
            if zlib.crc32(view.data) != record.crc:
                raise RefusedError(f"its record {name} is damaged")
            self._sound.add(name)
        return view

    def _check(self, name: str, tensor: StoredTensor) -> None:
        """Refuse a tensor that reaches outside its storage or would fill the memory."""
        record = self._records.get(f"data/{tensor.storage}")
        width = DTYPES[tensor.dtype].itemsize
        if record is None or record.size != tensor.count * (1 if tensor.counts_bytes else width) or record.size % width:
            raise RefusedError(f"it does not hold the numbers of {name!r}")
        limit = max(_LEAST_LIMIT, len(self._map))
        if len(tensor.shape) > _MOST_AXES or math.prod(max(size, 1) for size in tensor.shape) * width > limit:
            raise RefusedError(f"{name!r} is larger than the whole file")
        last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
        if 0 not in tensor.shape and (last + 1) * width > record.size:
            raise RefusedError(f"{name!r} reaches outside its numbers")


def _map(path: Path) -> mmap:
    with path.open("rb") as file:
        magic = file.read(len(_MAGIC))
    if magic[:1] == b"\x80":
        raise RefusedError("it is a bare pickle, or of torch's format before version 1.6")
    if magic != _MAGIC:
        raise RefusedError("it is no file that torch.save wrote")
    return map_file(path)


def _records(path: Path, mapped: NDArray[np.uint8]) -> dict[str, _Record]:
    """The records below the archive's one folder, each checked against its own header and its neighbours."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError) as error:
        raise RefusedError(f"its directory is damaged ({error})") from error
    records: dict[str, _Record] = {}
    for entry in entries:
        name = entry.filename.partition("/")[2]
        if name in records:
            raise RefusedError(f"it holds two records {name}")
        records[name] = _record(entry, mapped)
    placed = sorted(records.values(), key=lambda record: record.header)
    if any(one.start + one.size > next_one.header for one, next_one in pairwise(placed)):
        raise RefusedError("its records overlap")
    return records


def _record(entry: zipfile.ZipInfo, mapped: NDArray[np.uint8]) -> _Record:
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise RefusedError(f"its record {entry.filename} is compressed")
    header = mapped[entry.header_offset : entry.header_offset + _HEADER.size].tobytes()
    name = entry.orig_filename.encode("utf-8", "surrogateescape")
    if entry.flag_bits & _ENCRYPTED or len(header) < _HEADER.size:
        raise RefusedError(f"its record {entry.filename} cannot be read")
    magic, name_length, extra_length = _HEADER.unpack(header)
    start = entry.header_offset + _HEADER.size + name_length + extra_length
    said = mapped[entry.header_offset + _HEADER.size :][:name_length].tobytes()
    if magic != _MAGIC or said != name or start + entry.file_size > len(mapped):
        raise RefusedError(f"its record {entry.filename} is not where its directory says")
    return _Record(entry.header_offset, start, entry.file_size, entry.CRC)
