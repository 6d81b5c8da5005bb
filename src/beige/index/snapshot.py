"""Backups: an index's database as it stands at one moment, with what proves that it is whole.

A backup is a folder, or a tar file, of two files: the database, written by SQLite from one transaction while others
write on, and a description with its size and sha256. The caches are not in it: they are made anew.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO

from beige.errors import InputError, StoreError
from beige.index.cache_file import sync_folder
from beige.index.connection import connect, explained, named
from beige.index.replacement import replacement
from beige.index.sqlite_store import DATABASE, SqliteStore

DESCRIPTION = "backup.json"
TAR = ".tar"
FORMAT = 1

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup says of itself.

    Attributes:
        format: of the backup.
        created: when, ISO 8601 in UTC.
        models: fingerprints of what made its vectors, by model.
        documents: how many there are.
        chunks: how many they have.
        size: bytes of the database.
        sha256: of the database, in hex.
    """

    format: int
    created: str
    models: Mapping[str, str]
    documents: int
    chunks: int
    size: int
    sha256: str


def backup(folder: Path, path: Path, *, force: bool = False) -> Backup:
    """Write a backup of an index, which may be searched and written to meanwhile.

    It is verified before it gets its name: by SQLite's check of the copy, and by reading again what was written.

    Args:
        folder: of the index.
        path: a name that ends in .tar for one file, else a folder.
        force: whether it may take the place of another backup.

    Raises:
        InputError: there is something of that name.
        StoreError: there is no index, it is damaged, or the disk is full.
    """
    path = path.absolute()
    if os.path.lexists(path):
        if not force:
            raise InputError(f"{path} is there already: give the backup another name, or replace it with --force")
        with _opened(path):
            pass  # nothing but a backup is replaced
    if not (folder / DATABASE).is_file():
        raise StoreError(f"there is no index in {named(folder)}: name one with --index")
    work, old = path.with_name(path.name + ".part"), path.with_name(path.name + ".old")
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(work)
        work.mkdir()
        try:
            made = _copy(folder, work)
            whole = work
            if path.suffix == TAR:
                _pack(work, whole := work / path.name)
            _verify(whole)
            if path.is_dir():  # a folder cannot be replaced at once: there is always one of the two
                _remove(old)
                path.replace(old)
            whole.replace(path)
            sync_folder(path.parent)
            _remove(old)
        finally:
            _remove(work)
    return made


def restore(path: Path, folder: Path, *, force: bool = False) -> Backup:
    """Make an index of a backup, whose checksum is verified first.

    An index that is there is searched as before until the restored one is whole and takes its place.

    Args:
        path: of the backup.
        folder: of the index.
        force: whether it may take the place of an index.

    Raises:
        InputError: there is no backup of that name, or an index in the folder.
        StoreError: the backup is damaged or of a newer Beige, or the folder cannot be written.
        LockedError: another process writes to the index.
    """
    with _opened(path) as (made, _):
        pass
    if (folder / DATABASE).exists() and not force:
        raise InputError(
            f"there is an index in {named(folder)}: restore to another --index, or replace it with --force"
        )
    _verify(path)
    with replacement(folder) as beside, explained(folder):
        beside.mkdir()
        with _opened(path) as (_, data), (beside / DATABASE).open("wb") as file:
            shutil.copyfileobj(data, file, _BLOCK)
            _sync(file)
        with (beside / DATABASE).open("rb") as file:
            _compare(path, made, file)
        with closing(connect(beside / DATABASE, write=True)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        SqliteStore.open(beside, write=True).close()  # makes the caches
    return made


def _copy(folder: Path, work: Path) -> Backup:
    """Write database and description into a folder."""
    copy = work / DATABASE
    with explained(folder):
        with closing(connect(folder / DATABASE, write=False)) as connection:
            connection.execute("VACUUM INTO ?", (os.fspath(copy),))
        with closing(connect(copy, write=False)) as connection:
            if (said := connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(said)
    with SqliteStore.open(work) as store:
        manifest, (documents, chunks) = store.manifest, store.count()
    with copy.open("rb+") as file:
        _sync(file)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    made = Backup(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        models={encoder.model: encoder.fingerprint for encoder in manifest.encoders},
        documents=documents,
        chunks=chunks,
        size=copy.stat().st_size,
        sha256=digest,
    )
    with (work / DESCRIPTION).open("wb") as file:
        file.write(json.dumps(asdict(made), indent=2).encode() + b"\n")
        _sync(file)
    return made


def _pack(work: Path, path: Path) -> None:
    """Put the two files into one; the description first, so that it can be read without the rest."""
    with path.open("wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in (DESCRIPTION, DATABASE):
                tar.add(work / name, arcname=name)
        _sync(file)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Backup, BinaryIO | IO[bytes]]]:
    """A backup's description and its database.

    Raises:
        InputError: it is none.
        StoreError: it is of a newer format.
    """
    try:
        if path.is_dir():
            with (path / DATABASE).open("rb") as file:
                yield _described(path, (path / DESCRIPTION).read_bytes()), file
        else:
            with tarfile.open(path, "r:") as tar:
                description, data = tar.extractfile(DESCRIPTION), tar.extractfile(DATABASE)
                if description is None or data is None:
                    raise KeyError(DATABASE)
                yield _described(path, description.read()), data
    except (FileNotFoundError, KeyError, tarfile.TarError) as error:
        raise InputError(
            f"{path} is no backup of an index ({error}): name one that beige backup has written"
        ) from error


def _described(path: Path, description: bytes) -> Backup:
    try:
        values = json.loads(description)
        if values["format"] > FORMAT:
            raise StoreError(f"the backup {path} was made by a newer Beige: update Beige")
        return Backup(**{field.name: values[field.name] for field in fields(Backup)})
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"the description of the backup {path} is damaged ({error}): take another backup") from error


def _verify(path: Path) -> None:
    with _opened(path) as (made, data):
        _compare(path, made, data)


def _compare(path: Path, made: Backup, data: BinaryIO | IO[bytes]) -> None:
    """Compare a database with its description.

    Raises:
        StoreError: it is another one.
    """
    digest, size = hashlib.sha256(), 0
    while block := data.read(_BLOCK):
        digest.update(block)
        size += len(block)
    if (size, digest.hexdigest()) != (made.size, made.sha256):
        raise StoreError(
            f"the backup {path} is damaged: its database is not the one that was saved; take another backup"
        )


def _sync(file: BinaryIO | IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
