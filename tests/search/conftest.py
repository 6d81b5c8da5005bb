import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from beige.index import Index
from beige.models.checkpoint import open_checkpoint
from tests.standin import StandIn

WORDS = "boundary layer flow heat wing engine plate pressure stone river mountain light speed water paper".split()


def documents(folder: Path) -> None:
    """Sixty documents of a few common and rare words; some are equal."""
    chance = random.Random(0)
    for number in range(60):
        words = chance.choices(WORDS, k=8)
        (folder / f"{number:02}.txt").write_text("the and of " + " ".join(words))
    for number in range(5):
        (folder / f"same-{number}.txt").write_text("the same zebra")


@pytest.fixture
def embedder(tiny_bert: Path) -> StandIn:
    return StandIn(open_checkpoint(tiny_bert))


@contextmanager
def filled(path: str, embedder: StandIn, **options: Any) -> Iterator[Index]:
    """An index of `documents` in the current folder; `options` are those of `Index.open`."""
    documents(Path())
    with Index.open(path, embedder, **options) as index:
        index.add(".")
        yield index


@pytest.fixture
def index(here: Path, embedder: StandIn) -> Iterator[Index]:
    with filled("../index", embedder) as index:
        yield index
