from pathlib import Path

import pytest

from beige.models.checkpoint import open_checkpoint
from tests.standin import StandIn


@pytest.fixture
def embedder(tiny_bert: Path) -> StandIn:
    return StandIn(open_checkpoint(tiny_bert))
