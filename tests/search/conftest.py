import random
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture
def index(tmp_path: Path, embedder: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    monkeypatch.chdir(tmp_path)
    documents(tmp_path)
    with Index.open("index", embedder) as index:
        index.add(".")
        yield index
