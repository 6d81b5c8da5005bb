import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from beige.index import cache_file
from beige.index.cache_file import CacheWriter, DamagedCacheError, read
from beige.index.database import Change

CHANGE = Change(number=3, added=70, removed=2, stamp=-(2**63))
PAIR = np.dtype([("row", "<i4"), ("weight", "<f4")])


def write(path: Path) -> None:
    with CacheWriter(path, "kind", CHANGE) as file:
        file.array("blocks", np.dtype("<i4"), (np.full((n, 2), n, np.int64) for n in range(4)))
        file.array("pairs", PAIR, [np.ones(5, PAIR)])
        file.array("empty", np.dtype("<f4"), [])


def test_arrays_come_back(tmp_path: Path) -> None:
    write(tmp_path / "cache")
    file = read(tmp_path / "cache")
    assert (file.kind, file.change) == ("kind", CHANGE)
    assert file.arrays["blocks"].tolist() == [[1, 1], [2, 2], [2, 2], [3, 3], [3, 3], [3, 3]]
    assert file.arrays["blocks"].dtype == np.int32
    assert file.arrays["pairs"].tolist() == [(1, 1.0)] * 5
    assert len(file.arrays["empty"]) == 0
    with pytest.raises(ValueError, match="read-only"):
        file.arrays["blocks"][0] = 1
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    write(tmp_path / "cache")
    before = (tmp_path / "cache").read_bytes()

    def interrupted() -> Iterator[np.ndarray]:
        yield np.zeros(9)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), CacheWriter(tmp_path / "cache", "other", CHANGE) as file:
        file.array("blocks", np.dtype("<i4"), interrupted())
    assert (tmp_path / "cache").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_mapped_file_outlives_its_replacement(tmp_path: Path) -> None:
    write(tmp_path / "cache")
    old = read(tmp_path / "cache")
    with CacheWriter(tmp_path / "cache", "other", CHANGE) as file:
        file.array("blocks", np.dtype("<i4"), [np.zeros(9)])
    assert old.arrays["blocks"].sum() == 28
    assert read(tmp_path / "cache").kind == "other"


def test_what_somebody_else_wrote_is_taken_in(tmp_path: Path) -> None:
    with CacheWriter(tmp_path / "cache", "kind", CHANGE) as file:
        file.temporary.write_bytes(b"abc" * 7)
        file.adopt("content")
        file.array("after", np.dtype("<i8"), [np.arange(3)])
    found = read(tmp_path / "cache").arrays
    assert found["content"].tobytes() == b"abc" * 7
    assert found["after"].tolist() == [0, 1, 2]


def test_every_byte_counts(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    write(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(DamagedCacheError):
            read(path)
    for length in (0, 1, 15, 16, 17, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedCacheError):
            read(path)


def test_a_file_that_is_as_it_was_written_is_not_read_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read_through = tmp_path / "cache", []
    checksum = cache_file._checksum
    monkeypatch.setattr(cache_file, "_checksum", lambda *it: read_through.append(1) or checksum(*it))
    write(path)
    read(path)
    assert read_through == []
    read(path, verify=True)
    shutil.copy2(path, tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mtime_ns == path.stat().st_mtime_ns
    read(tmp_path / "copy")
    os.utime(path)
    read(path)
    assert read_through == [1] * 3
