"""Which models are in memory: opened by fakes, so that when they load and leave can be seen."""

import asyncio
import json
import shutil

import pytest

from beige.errors import EngineError, UsageError
from beige.serve.errors import Refusal
from beige.serve.models import Models
from beige.serve.settings import Settings


class Engine:
    streams = 1
    budget = 100


class Opened:
    device = "cpu"
    engine = Engine()


@pytest.fixture
def three(folders, tmp_path):
    """Three embedders of equal size."""
    for name in "abc":
        shutil.copytree(folders["bert"], tmp_path / name)
    return [str(tmp_path / name) for name in "abc"]


@pytest.fixture
def models(three):
    """Models of which two fit into memory, and what was opened."""
    opened = []

    def opens(given, precision):
        opened.append(given.rpartition("/")[2])
        return Opened()

    size = Models(Settings(models=three[:1])).all[0].size
    return Models(Settings(models=tuple(three), memory=2 * size), {"embedder": opens}), opened


def in_memory(models):
    return [model.name for model in models.all if model.runner is not None]


async def use(models, model):
    async with models.lease(model):
        return in_memory(models)


def test_the_one_that_was_not_used_for_longest_leaves(models):
    models, opened = models

    async def main():
        a, b, c = models.all
        await use(models, a)
        await use(models, b)
        await use(models, a)
        assert await use(models, c) == ["a", "c"]
        assert await use(models, b) == ["b", "c"]
        assert opened == ["a", "b", "c", "b"]

    asyncio.run(main())


def test_one_in_use_never_leaves(models):
    models, _ = models

    async def main():
        a, b, c = models.all
        async with models.lease(a), models.lease(b):
            waiting = asyncio.ensure_future(use(models, c))
            await asyncio.sleep(0.05)
            assert in_memory(models) == ["a", "b"]
            assert not waiting.done()
        assert "c" in await waiting

    asyncio.run(main())


def test_one_that_is_always_in_use_makes_room_in_its_turn(models):
    models, _ = models

    async def main():
        a, b, c = models.all
        end = asyncio.Event()

        async def busy(model):
            while not end.is_set():
                async with models.lease(model):
                    await asyncio.sleep(0.01)

        tasks = [asyncio.ensure_future(busy(model)) for model in (a, a, b, b)]
        await asyncio.sleep(0.05)
        assert "c" in await asyncio.wait_for(use(models, c), 5)
        end.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_it_is_loaded_once_for_all_who_wait(models):
    models, opened = models

    async def main():
        await asyncio.gather(*(use(models, models.all[0]) for _ in range(20)))
        assert opened == ["a"]

    asyncio.run(main())


def test_one_that_cannot_be_loaded_is_an_error_for_its_own_requests(three):
    tries = []

    def opens(given, precision):
        tries.append(given)
        if len(tries) == 1:
            raise EngineError("it does not run here")
        return Opened()

    models = Models(Settings(models=tuple(three)), {"embedder": opens})

    async def main():
        with pytest.raises(EngineError):
            await use(models, models.all[0])
        assert await use(models, models.all[1]) == ["b"]
        assert await use(models, models.all[0]) == ["a", "b"]

    asyncio.run(main())


def test_names(folders):
    settings = Settings(
        models=(str(folders["bert"]), str(folders["m3"])),
        rerankers=(str(folders["reranker"]),),
        aliases={"x": "tiny-m3"},
    )
    models = Models(settings)
    assert models.find(None, "embedder")[0].name == "tiny-bert"
    assert models.find("X:passage", "embedder") == (models.all[1], "document")
    assert models.find("tiny-m3:query", "embedder") == (models.all[1], "query")
    for name in ("tiny-m3:other", "tiny-reranker", "", ":query", "nobody"):
        with pytest.raises(Refusal, match="only tiny-bert, tiny-m3"):
            models.find(name, "embedder")
    with pytest.raises(Refusal):
        models.find("tiny-reranker:query", "reranker")


def test_what_cannot_be_served_is_refused(folders, tmp_path):
    with pytest.raises(UsageError, match="name it with --reranker"):
        Models(Settings(models=(str(folders["reranker"]),)))
    with pytest.raises(UsageError, match="give more with --memory"):
        Models(Settings(models=(str(folders["bert"]),), memory=1000))
    with pytest.raises(UsageError, match="two models are called"):
        Models(Settings(models=(str(folders["bert"]),) * 2))
    with pytest.raises(UsageError, match="'nobody', which is not served"):
        Models(Settings(models=(str(folders["bert"]),), aliases={"x": "nobody"}))
    assert json.loads((folders["bert"] / "config.json").read_text())
