import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import beige
from beige.documents.text import Text
from beige.errors import StoreError, UsageError
from beige.search import Searcher
from tests.search.test_results import Backwards
from tests.standin import StandIn


@pytest.fixture
def index(tmp_path: Path, embedder: StandIn) -> Iterator[beige.Index]:
    with beige.Index.open(tmp_path / "index", embedder) as index:
        index.add(Text(name, f"{name} stone river", fields={"even": len(name) % 2 == 0}) for name in NAMES)
        yield index


NAMES = ("boundary", "layer", "mountain", "paper", "water", "wing")


def test_it_finds_what_a_searcher_finds(index: beige.Index) -> None:
    options = {"filter": "even:true", "legs": ["bm25"], "explain": True}
    with Searcher(index) as searcher:
        assert index.search("mountain stone", 3) == searcher.search("mountain stone", 3)
        found = index.search("mountain stone", **options)
        assert found == searcher.search("mountain stone", **options)
    assert [hit.source for hit in found] == ["mountain", "boundary", "wing"]


def test_a_reranker_serves_the_search_that_it_is_given_to(index: beige.Index) -> None:
    reranker = Backwards()
    with Searcher(index, reranker=Backwards()) as searcher:
        assert index.search("stone", reranker=reranker, rerank=4) == searcher.search("stone", rerank=4)
    assert len(reranker.read) == 4
    with pytest.raises(UsageError, match="no reranker"):
        index.search("stone", rerank=4)


def test_threads_share_one_searcher(index: beige.Index) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert len({id(one) for one in threads.map(lambda _: index.searcher, range(32))}) == 1


def test_a_closed_index_says_so(index: beige.Index) -> None:
    index.search("stone")
    for _ in range(2):
        index.close()
        with pytest.raises(StoreError, match="is closed"):
            index.search("stone")


def test_the_event_loop_goes_on_meanwhile(index: beige.Index) -> None:
    told, go = threading.Event(), threading.Event()

    def tell(_: object) -> None:
        told.set()
        assert go.wait(10)

    async def program() -> None:
        adding = asyncio.create_task(index.aadd(Text("new", "a zebra"), tell=tell))
        while not told.is_set():
            await asyncio.sleep(0.001)
        assert not adding.done()
        assert (await index.asearch("zebra", 1))[0].source == "new"  # it was told of, so it is there
        go.set()
        assert (await adding).documents["added"] == 1
        assert (await index.adelete("new")).documents["removed"] == 1
        assert "new" not in {hit.source for hit in await index.asearch("zebra")}

    asyncio.run(program())


def test_what_is_cancelled_is_done_all_the_same(index: beige.Index) -> None:
    told, go = threading.Event(), threading.Event()

    def tell(_: object) -> None:
        told.set()
        assert go.wait(10)

    async def program() -> None:
        adding = asyncio.create_task(index.aadd(Text("new", "a zebra"), Text("newer", "a zebra"), tell=tell))
        while not told.is_set():
            await asyncio.sleep(0.001)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
        go.set()

    asyncio.run(program())  # it ends with its threads
    assert {hit.source for hit in index.search("zebra", 2)} == {"new", "newer"}


def test_a_migration_is_judged_by_searching(index: beige.Index, tiny_mean_bert: Path) -> None:
    from beige.models.checkpoint import open_checkpoint

    asked = []

    def approve(following: beige.Index) -> bool:
        asked.append(following.search("mountain", 1, legs=["bm25"])[0].source)
        return False

    assert index.migrate(StandIn(open_checkpoint(tiny_mean_bert)), approve=approve) is None
    assert asked == ["mountain"]
