"""Fixtures of the evaluation's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from beige.evaluate.cache import Cache
from beige.evaluate.run import Settings
from tests.evaluate import providers, sets


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[providers.State]:
    """A local server in the place of every provider, with the right keys in the environment."""
    with providers.serving() as state:
        for name in ("OPENAI_API_KEY", "CO_API_KEY", "VOYAGE_API_KEY", "BEIGE_SERVER_KEY"):
            monkeypatch.setenv(name, providers.KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{state.url}/v1")
        monkeypatch.setenv("CO_API_URL", state.url)
        monkeypatch.setenv("VOYAGE_API_BASE", f"{state.url}/voyage")
        yield state


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    """An empty cache."""
    with Cache(tmp_path / "cache.sqlite") as cache:
        yield cache


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A small BEIR folder, see `tests.evaluate.sets`."""
    return sets.write(tmp_path / "waters")


@pytest.fixture
def settings(cache: Cache) -> Settings:
    """Settings over an empty cache."""
    return Settings(cache)
