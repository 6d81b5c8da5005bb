"""Where an index is: in a folder, in a collection of a Qdrant cluster, behind a Beige server; what each can do."""

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol, TypeAlias

from beige.environment import default_index
from beige.errors import StoreError, UsageError
from beige.index.connection import named
from beige.index.folder_generations import FolderGenerations
from beige.index.generations import NEXT, PREVIOUS, Generations
from beige.index.manifest import Manifest
from beige.index.qdrant import address as qdrant_address
from beige.index.qdrant import generations as qdrant
from beige.index.qdrant.address import Address
from beige.index.qdrant.collection import is_there
from beige.index.qdrant.connection import connected
from beige.index.qdrant.store import QdrantStore
from beige.index.replacement import replacement
from beige.index.server import address as server_address
from beige.index.sqlite_store import DATABASE, SqliteStore
from beige.index.status import Status, of_collection, of_folder
from beige.index.store import Store


class Place(Protocol):
    """Where an index is, or is to be; as text, what `--index` takes."""

    @property
    def name(self) -> str:
        """What it is called where there are no others."""

    @property
    def folder(self) -> Path | None:
        """The folder that a walk leaves out, because the index is in it."""

    @property
    def anew(self) -> str:
        """How a person makes the index anew, to which options and a path are added."""

    def with_model(self, model: str) -> str:
        """How a person comes to an index of another model."""

    def only_folder(self, what: str) -> Path:
        """Its folder.

        Raises:
            UsageError: it is none, so that `what` cannot be done.
        """

    def exists(self) -> bool:
        """Whether there is an index.

        Raises:
            StoreError: a server cannot be asked.
        """

    def manifest(self) -> Manifest | None:
        """The manifest of the index; None where there is none, or none in the folder that can be read.

        Raises:
            StoreError: a server cannot be asked, or the collection is none of Beige's.
        """

    def create(self, manifest: Manifest) -> Store:
        """Make an empty index and open it for writing.

        Raises:
            StoreError: there is one already, or it cannot be made.
            LockedError: another process writes to it.
        """

    def open(self, *, write: bool = False) -> Store:
        """Open the index.

        Raises:
            StoreError: there is none, or it cannot be used.
            LockedError: to be written, and another process writes to it.
        """

    def replaced(self) -> AbstractContextManager["Place"]:
        """A place beside this one for a new index, which takes this one's place when the block ends without an error.

        Raises:
            UsageError: nothing can be put in the place of this one.
            LockedError: another process writes to it.
        """

    def beside(self, name: str) -> "Place":
        """The place of another generation of this index."""

    def generations(self) -> Generations:
        """How one of them takes the place of another."""

    def relative(self, base: str) -> str:
        """What a manifest says of an absolute folder that sources are relative to."""

    def absolute(self, base: str) -> str:
        """The inverse of `relative`."""

    def status(self, store: Store) -> Status:
        """The state of the index, whose store is open."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine; the same one whatever the current folder will be."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.path.absolute())

    def __str__(self) -> str:
        return named(self.path)

    @property
    def name(self) -> str:
        """Its last part."""
        return self.path.name

    @property
    def folder(self) -> Path | None:
        """Itself."""
        return self.path

    @property
    def anew(self) -> str:
        """How it is made anew."""
        return _anew(self)

    def with_model(self, model: str) -> str:
        """How it moves to another model."""
        return _migrated(self, model)

    def only_folder(self, what: str) -> Path:
        """Itself."""
        return self.path

    def exists(self) -> bool:
        """Whether there is an index."""
        return (self.path / DATABASE).exists()

    def manifest(self) -> Manifest | None:
        """The manifest of the index; None where there is none, or none that can be read."""
        try:
            with self.open() as store:
                return store.manifest
        except StoreError:
            return None

    def create(self, manifest: Manifest) -> SqliteStore:
        """Make an empty index."""
        return SqliteStore.create(self.path, manifest)

    def open(self, *, write: bool = False) -> SqliteStore:
        """Open the index."""
        return SqliteStore.open(self.path, write=write)

    @contextmanager
    def replaced(self) -> Iterator[Place]:
        """A folder whose index takes the place of the one in here."""
        with replacement(self.path) as beside:
            yield Folder(beside)

    def beside(self, name: str) -> Place:
        """A folder within."""
        return Folder(self.path / name)

    def generations(self) -> Generations:
        """By renaming databases."""
        return FolderGenerations(self.path)

    def relative(self, base: str) -> str:
        """A base above the index as seen from it, so that both can be moved together; another one as it is."""
        real = os.path.realpath(self.path)
        return os.path.relpath(base, real) if Path(real).is_relative_to(base) else base

    def absolute(self, base: str) -> str:
        """The inverse of `relative`."""
        return os.path.normpath(os.path.join(os.path.realpath(self.path), base))  # noqa: PTH118

    def status(self, store: Store) -> Status:
        """The state of the index and its files."""
        assert isinstance(store, SqliteStore)
        return of_folder(self.path, store, _models_beside(self))


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection on a Qdrant server or cluster."""

    address: Address

    def __str__(self) -> str:
        return str(self.address)

    @property
    def name(self) -> str:
        """The collection's."""
        return self.address.collection

    @property
    def folder(self) -> Path | None:
        """None: no walk comes by it."""
        return None

    @property
    def anew(self) -> str:
        """How it is made anew."""
        return _anew(self)

    def with_model(self, model: str) -> str:
        """How it moves to another model."""
        return _migrated(self, model)

    def only_folder(self, what: str) -> Path:
        """Nothing: refused."""
        raise UsageError(f"{what} is for an index in a folder, and {self} is a collection")

    def exists(self) -> bool:
        """Whether there is a collection of this name."""
        with connected(self.address) as client:
            return is_there(client, self.address)

    def manifest(self) -> Manifest | None:
        """The manifest of the index; None where there is no collection."""
        return manifest_at(self)

    def create(self, manifest: Manifest) -> QdrantStore:
        """Make the collection of an empty index."""
        return QdrantStore.create(self.address, manifest)

    def open(self, *, write: bool = False) -> QdrantStore:
        """Open the index."""
        return QdrantStore.open(self.address, write=write)

    @contextmanager
    def replaced(self) -> Iterator[Place]:
        """A collection that takes the place of the one that serves."""
        with qdrant.replacement(self.address) as beside:
            yield Collection(beside)

    def beside(self, name: str) -> Place:
        """Another collection."""
        return Collection(self.address.beside(name))

    def generations(self) -> Generations:
        """By aliases."""
        return qdrant.CollectionGenerations(self.address)

    def relative(self, base: str) -> str:
        """The base as it is: a collection has no folder."""
        return base

    def absolute(self, base: str) -> str:
        """The base as it is."""
        return base

    def status(self, store: Store) -> Status:
        """The state of the index; its files are the server's."""
        return of_collection(str(self), store, _models_beside(self))


@dataclass(frozen=True, slots=True)
class Server:
    """A Beige server, which has an index of its own: what needs its files or its vectors is refused here."""

    address: server_address.Address

    def __str__(self) -> str:
        return str(self.address)

    @property
    def name(self) -> str:
        """Its host's."""
        return self.address.name

    @property
    def folder(self) -> Path | None:
        """None: no walk comes by it."""
        return None

    @property
    def anew(self) -> str:
        """Where another one is made."""
        return "make another index where the server runs"

    def with_model(self, model: str) -> str:
        """Where another one is made by another model."""
        return self.anew

    def only_folder(self, what: str) -> Path:
        """Nothing: refused."""
        raise UsageError(f"{what} is for an index in a folder, and {self} is a server: do it where the server runs")

    def exists(self) -> bool:
        """Nothing: refused."""
        self._refuse()

    def manifest(self) -> Manifest | None:
        """Nothing: refused."""
        self._refuse()

    def create(self, manifest: Manifest) -> Store:
        """Nothing: refused."""
        self._refuse()

    def open(self, *, write: bool = False) -> Store:
        """Nothing: refused."""
        self._refuse()

    def replaced(self) -> AbstractContextManager[Place]:
        """Nothing: refused."""
        self._refuse()

    def beside(self, name: str) -> Place:
        """Nothing: refused."""
        self._refuse()

    def generations(self) -> Generations:
        """Nothing: refused."""
        self._refuse()

    def relative(self, base: str) -> str:
        """Nothing: refused."""
        self._refuse()

    def absolute(self, base: str) -> str:
        """Nothing: refused."""
        self._refuse()

    def status(self, store: Store) -> Status:
        """Nothing: refused."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError(
            f"{self} is a server, which can be searched, filled and asked for its status, and this needs the index "
            "itself: do it where the server runs"
        )


def manifest_at(place: Place) -> Manifest | None:
    """The manifest of the index at a place; None where there is none.

    Raises:
        StoreError: there is one that cannot be read.
    """
    if not place.exists():
        return None
    with place.open() as store:
        return store.manifest


def _anew(place: Place) -> str:
    return f"make it anew with beige index --rebuild --index {place}"


def _migrated(place: Place, model: str) -> str:
    return f"move it while it is searched with beige migrate --index {place} --model {model}"


def _models_beside(place: Place) -> dict[str, str]:
    """The models of the generations that do not serve, by name."""
    made = {name: manifest_at(place.beside(name)) for name in (NEXT, PREVIOUS)}
    return {name: manifest.models for name, manifest in made.items() if manifest is not None}


Where: TypeAlias = str | Path | Place | None
"""A folder, a collection's or a server's address, a place; None for `BEIGE_INDEX`, else `.beige` in the current
folder."""


_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
"""The beginning of any address; a folder is not called so by somebody who means one."""


def place_of(where: Where) -> Place:
    """The place that a person or a program names.

    Raises:
        UsageError: an address that is malformed, or of what holds no index.
    """
    if where is None:
        where = default_index()
    if not isinstance(where, str | Path):
        return where
    if qdrant_address.is_address(where):
        return Collection(qdrant_address.parse(str(where)))
    if server_address.is_address(where):
        return Server(server_address.parse(str(where)))
    if _ADDRESS.match(str(where)):
        raise UsageError(
            f"{str(where)!r} is no address of an index: write {qdrant_address.FORM} for a collection, "
            f"{server_address.FORM} for a Beige server"
        )
    return Folder(Path(where).expanduser())
