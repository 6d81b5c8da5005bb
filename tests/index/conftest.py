from pathlib import Path

import pytest

from beige.models.checkpoint import open_checkpoint
from tests.standin import StandIn


@pytest.fixture
def embedder(tiny_bert: Path) -> StandIn:
    return StandIn(open_checkpoint(tiny_bert))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder: sources are relative to it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
