from collections.abc import Iterator
from pathlib import Path

import pytest

from beige import Index
from beige.models.checkpoint import open_checkpoint
from tests.standin import StandIn

RIVERS = {
    "rivers/rhine.md": "# Rivers\n\n## Rhine\n\nThe Rhine flows to the North Sea.\n",
    "rivers/po.md": "# Rivers\n\n## Po\n\nThe Po flows to the Adriatic.\n",
    "stone.txt": "A stone lies still.\n",
}


@pytest.fixture
def embedder(tiny_bert: Path) -> StandIn:
    return StandIn(open_checkpoint(tiny_bert))


@pytest.fixture
def index(tmp_path: Path, embedder: StandIn) -> Iterator[Index]:
    with Index.open(tmp_path / "index", embedder) as index:
        yield index


@pytest.fixture
def rivers(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    monkeypatch.chdir(tmp_path)
    for name, text in RIVERS.items():
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    index.add("docs")
    return index
