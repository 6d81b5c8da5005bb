"""A reader's recipe over the tiny tokenizer."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from beige.documents.reading import Recipe
from beige.documents.splitter import Splitter


@pytest.fixture(scope="session")
def tokenizer(tiny_bert: Path) -> Path:
    return tiny_bert / "tokenizer.json"


@pytest.fixture(scope="session")
def recipe(tokenizer: Path) -> Recipe:
    return Recipe(Splitter(tokenizer, 64))


@pytest.fixture
def public() -> Iterator[Path]:
    """An empty folder that another user can enter, for tests that run as root and drop to one."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
