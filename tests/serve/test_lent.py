"""An index over a server's lanes."""

import asyncio
import threading

import numpy as np
import pytest

from beige.embedder import Embedder
from beige.errors import NotFiniteError
from beige.index import Index
from beige.search import Searcher
from beige.serve import lent
from beige.serve.lent import lend
from beige.serve.metrics import Metrics
from beige.serve.models import Models
from beige.serve.service import Service, Terms
from beige.serve.settings import Settings

TEXTS = [f"the speed of light in water {number} " * (1 + number % 7) for number in range(300)]


@pytest.fixture
def service(folders):
    """A service whose event loop runs in a thread."""
    settings = Settings(models=(str(folders["bert"]),), precision="fp32")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def make():
        return Service(settings, Models(settings), Metrics())

    made = asyncio.run_coroutine_threadsafe(make(), loop).result(10)
    made.loop = loop
    yield made
    asyncio.run_coroutine_threadsafe(made.close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def lent_to(service):
    return lambda lane: asyncio.run_coroutine_threadsafe(lend(service, None, lane), service.loop).result(30)


def test_it_embeds_as_the_model_itself(lent_to, folders, monkeypatch):
    monkeypatch.setattr(lent, "WINDOW", 500)  # many windows
    found, expected = lent_to("ingestion"), Embedder(folders["bert"], precision="fp32")
    assert np.abs(found.encode_document(TEXTS).dense - expected.encode_document(TEXTS).dense).max() < 1e-5
    assert found.fingerprint == expected.fingerprint
    assert found.precision == "fp32"


def test_an_index_is_filled_and_searched_through_it(lent_to, here):
    (here / "docs").mkdir()
    for number in range(20):
        (here / "docs" / f"{number}.md").write_text(f"# Stone {number}\n\nlight and water {number}\n")
    with Index.open(here / "index", lent_to("ingestion")) as index:
        index.add("docs")
        with Searcher(index, lent_to("query")) as searcher:
            assert searcher.search("light and water 7", limit=3)


def test_more_than_the_lane_holds_waits_for_its_turn(lent_to, service, monkeypatch):
    monkeypatch.setattr(service.scheduler, "_most", 700)
    monkeypatch.setattr(lent, "WINDOW", 500)
    embedder, done = lent_to("ingestion"), []
    threads = [threading.Thread(target=lambda: done.append(embedder.encode_document(TEXTS[:60]))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(one) for one in done] == [60] * 3


def test_what_is_not_finite_is_named(lent_to, service, monkeypatch):
    monkeypatch.setattr(lent, "WINDOW", 100)
    embedder = lent_to("ingestion")
    model = service.models.all[0].runner.model
    run = model.engine.run_batch

    def sick(texts, outputs):
        found = run(texts, outputs)
        return [NotFiniteError("nan") if text.count == 7 else raw for text, raw in zip(texts, found, strict=True)]

    monkeypatch.setattr(model.engine, "run_batch", sick)
    texts = ["light of the water"] * 50 + ["light of the water in"] + ["light"] * 50
    with pytest.raises(NotFiniteError, match="text 50 "):
        embedder.encode_document(texts)


def test_a_query_need_not_wait_for_an_index(lent_to, service):
    embedder = lent_to("ingestion")
    filling = threading.Thread(target=embedder.encode_document, args=(TEXTS * 10,))
    filling.start()
    ask = service.embed(None, ["light"], Terms(20.0, "query"))
    assert len(asyncio.run_coroutine_threadsafe(ask, service.loop).result(20).embeddings) == 1
    filling.join()
