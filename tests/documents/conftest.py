"""A reader's recipe over the tiny tokenizer."""

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
