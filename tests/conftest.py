"""Fixtures that every room's tests share."""

import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Before anything imports a library that reads it: no test may reach the real Hub.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Several tests run at once on the same cores: threads of torch's that wait for each other would keep them busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from beige.environment import home
from tests import checkpoints

if TYPE_CHECKING:
    from tests.index.qdrant_server import State

# A runner in a shell's background ignores SIGINT, and what tests start and then interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

HOME = home()  # the person's own, before each test gets another
CACHE = Path(__file__).resolve().parents[1] / ".cache" / "beige"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pages' examples first: each takes a minute, and at the end some workers would wait for them."""
    items.sort(key=lambda item: item.path.name != "test_docs.py")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data sets beside the checkout; the test skips where they are absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the data sets of ../shared/data")
    return SHARED


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder: sources are relative to it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs to mount a small file system: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random three-layer BERT with CLS pooling."""
    return checkpoints.tiny_bert(tmp_path_factory.mktemp("checkpoints") / "tiny-bert")


@pytest.fixture(scope="session")
def tiny_mean_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT with mean pooling."""
    return checkpoints.tiny_bert(tmp_path_factory.mktemp("checkpoints") / "tiny-mean-bert", pooling="mean", seed=1)


@pytest.fixture(scope="session")
def tiny_m3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random M3 with its heads: dense, sparse and multi."""
    from tests import xlmr_checkpoints

    return xlmr_checkpoints.tiny_m3(tmp_path_factory.mktemp("checkpoints") / "tiny-m3")


@pytest.fixture(scope="session")
def tiny_splade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SPLADE, for queries and documents."""
    from tests import splade_checkpoints

    return splade_checkpoints.tiny_splade(tmp_path_factory.mktemp("checkpoints") / "tiny-splade")


@pytest.fixture(scope="session")
def tiny_doc_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SPLADE for documents, whose queries take their weights from a table."""
    from tests import splade_checkpoints

    return splade_checkpoints.tiny_doc_only(tmp_path_factory.mktemp("checkpoints") / "tiny-doc-only")


def published(name: str) -> Path:
    """A published checkpoint, pulled once into the repository's ignored `.cache`; skips where no source has it."""
    from beige.errors import SourceError
    from beige.models.pull import pull

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BEIGE_HOME", str(CACHE))
        try:
            return pull(name).path
        except SourceError as error:
            pytest.skip(f"needs {name}: {error}")


def on_this_machine(name: str) -> Path:
    """A published checkpoint that somebody has pulled already, here or for themselves; skips where nobody has."""
    from beige.models.pull import present

    for place in (CACHE, HOME):
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("BEIGE_HOME", str(place))
            if path := present(name):
                return path
    pytest.skip(f"needs the weights of {name}: beige pull {name}")


@pytest.fixture(scope="session")
def bge_small() -> Path:
    """The real bge-small-en-v1.5."""
    return published("bge-small-en-v1.5")


@pytest.fixture(
    scope="session",
    params=["bge-small-en-v1.5", "bge-small-en", "bge-small-zh-v1.5", "e5-small-v2", "all-MiniLM-L6-v2"],
)
def published_model(request: pytest.FixtureRequest) -> Path:
    """Every real embedder that can be had without the Hub, one after the other; the folder has the card's name."""
    return published(request.param)


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """What `beige serve` sets up ends with its test: it logs to a stream that is closed then."""
    known = [logging.getLogger(name) for name in ("beige", "uvicorn")]
    before = [(each.handlers, each.level, each.propagate) for each in known]
    yield
    for each, (each.handlers, level, each.propagate) in zip(known, before, strict=True):
        each.setLevel(level)


@pytest.fixture(autouse=True)
def beige_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for each test, so that none sees another's models or records."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("BEIGE_HOME", str(home))
    monkeypatch.delenv("BEIGE_INDEX", raising=False)
    return home


@pytest.fixture
def qdrant(monkeypatch: pytest.MonkeyPatch) -> "Iterator[State]":
    """What stands for a Qdrant server without a key; who tries again hardly waits."""
    from beige.index.qdrant import connection
    from tests.index.qdrant_server import serving

    monkeypatch.delenv("BEIGE_QDRANT_API_KEY", raising=False)
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.001)
    with serving() as state:
        yield state
