"""Getting a model onto this machine: where it is already, and the sources tried in turn where it is not."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from beige.environment import home, offline
from beige.errors import CheckpointError, ChecksumError, ModelNotFoundError, SourceError
from beige.models import hub, maven
from beige.models.card import ModelCard
from beige.models.catalogue import CATALOGUE, find_card, suggestion
from beige.models.layout import CONFIG, TOKENIZER, is_whole, sha256
from beige.models.modules import ROUTER

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_PATHS = ("/", "./", "../", "~")
_log = logging.getLogger("beige")


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that is on this machine.

    Attributes:
        model: the card's name, else the repository or folder that was asked for.
        path: the checkpoint's folder.
        source: "folder", "hub:REPOSITORY" or "maven:GROUP:ARTIFACT:VERSION".
        files: hex sha256 of every file, by its path in the folder.
    """

    model: str
    path: Path
    source: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Source:
    """One way to one model: its title in errors, its address, a look on this machine, fetching, verifying."""

    title: str
    address: str
    present: Callable[[], Path | None]
    fetch: Callable[[], Path]
    verify: Callable[[Path], None]


def folder_named(name_or_path: str | Path) -> Path | None:
    """The folder that is meant: a path, or a word that is also a folder with a checkpoint; None for any other word.

    Raises:
        ModelNotFoundError: a path at which there is no folder.
    """
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, Path) or name_or_path.startswith(_PATHS):
        if not path.is_dir():
            raise ModelNotFoundError(f"there is no folder {path}")
        return path
    return path if any((path / name).is_file() for name in (CONFIG, ROUTER)) else None


def known(name: str) -> tuple[str, ModelCard | None]:
    """The name by which a model is kept, and its card; a repository that the catalogue lacks has none.

    Raises:
        ModelNotFoundError: neither a name of the catalogue nor the form of a repository's id.
    """
    try:
        card = find_card(name)
    except ModelNotFoundError:
        if _REPOSITORY.fullmatch(name):
            return name, None
        raise
    return card.name, card


def present(name: str) -> Path | None:
    """A model's folder, if it is whole on this machine; nothing is fetched.

    Raises:
        ModelNotFoundError: as `known`.
    """
    found = (source.present() for source in _sources(name, known(name)[1]))
    return next((path for path in found if path), None)


def installed() -> Mapping[str, Path]:
    """The folder of every model of the catalogue that is on this machine, by its name."""
    found = ((card.name, present(card.name)) for card in CATALOGUE)
    return {name: path for name, path in found if path}


def pull(name: str) -> Pulled:
    """Bring a model onto this machine, or verify the one that is here; a damaged one is fetched anew.

    One process at a time pulls a model: others wait, and find it. A folder is taken as it is.

    Raises:
        ModelNotFoundError: as `known`, or there is no such folder.
        CheckpointError: the folder is no checkpoint.
        SourceError: no source gave it; the text lists what each said. `ChecksumError` if one gave another file.
    """
    if folder := folder_named(name):
        if not is_whole(folder):
            raise CheckpointError(f"{folder} is no checkpoint: it lacks {CONFIG}, {TOKENIZER} or some of its weights")
        return _pulled(name, folder, "folder")
    model, card = known(name)
    sources = _sources(name, card)
    with _lock(model):
        for source in sources:
            path = source.present()
            if path and _sound(source, path):
                return _pulled(model, path, source.address)
        return _fetch(model, sources)


def _sources(name: str, card: ModelCard | None) -> tuple[_Source, ...]:
    """The sources of a model in the order in which they are tried."""
    repository = card.repository if card else name
    published = _Source(
        "the Hub",
        f"hub:{repository}",
        lambda: hub.present(repository),
        lambda: hub.fetch(repository),
        hub.verify,
    )
    if card is None or card.maven is None:
        return (published,)
    return published, _Source(
        "Maven",
        f"maven:{card.maven.artifact}",
        lambda: maven.present(card),
        lambda: maven.fetch(card),
        maven.verify,
    )


def _fetch(model: str, sources: tuple[_Source, ...]) -> Pulled:
    if offline():
        raise SourceError(
            f"{model} is not on this machine, and BEIGE_OFFLINE or HF_HUB_OFFLINE forbids to fetch it: "
            "pull it where there is a network, or name its folder"
        )
    said: dict[str, Exception] = {}
    for source in sources:
        _log.warning("pulling %s from %s", model, source.title)
        try:
            return _pulled(model, source.fetch(), source.address)
        except (SourceError, CheckpointError) as error:
            said[source.title] = error
    kind = ChecksumError if any(isinstance(error, ChecksumError) for error in said.values()) else SourceError
    heard = "; ".join(f"{title} said: {error}" for title, error in said.items())
    hint = suggestion(model) if "/" in model else ""
    raise kind(f"no source gave {model}{hint}: {heard}; set HF_ENDPOINT to a mirror, or name a checkpoint's folder")


def _sound(source: _Source, path: Path) -> bool:
    try:
        source.verify(path)
    except ChecksumError as error:
        if offline():
            raise
        _log.warning("%s is damaged and is fetched anew: %s", path, error)
        return False
    return True


def _pulled(model: str, path: Path, source: str) -> Pulled:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return Pulled(model, path, source, {file.relative_to(path).as_posix(): sha256(file) for file in files})


@contextmanager
def _lock(model: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    file = home() / "locks" / f"{model.replace('/', '--')}.lock"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _log.warning("another process pulls %s; waiting for it", model)
            lock.acquire()
    except OSError as error:
        raise SourceError(f"{file} cannot be written ({error.strerror}): set BEIGE_HOME to another folder") from error
    try:
        yield
    finally:
        lock.release()
